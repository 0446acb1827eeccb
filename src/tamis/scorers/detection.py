"""How surely a detector finds what a text names in an image, and where: OWL-ViT, OWLv2, Grounding DINO."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis import models
from tamis.images import Unscorable, decode_image
from tamis.sources import Source, pin
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features
    from PIL import Image

# Families whose boxes are found by reading the text into the picture want it again where boxes are made of logits.
FAMILIES = {"owlvit": False, "owlv2": False, "grounding-dino": True, "mm-grounding-dino": True}


@dataclass(frozen=True)
class Detection:
    """Columns about the surest box for the row's class; higher is better:

    - NAME_confidence (float32, 0..1): what the detector gives that box. Not calibrated, and of another scale in each
      model.
    - NAME_found (float32): 1 where that is at least `threshold`, else 0: its mean is the detection rate.
    - NAME_box (list of 4 float32): left, top, right, bottom as shares of width and height.

    An open vocabulary has no word that it does not know: a class it cannot see is one that it is never sure of.
    None where the image cannot be read, or the class is empty or longer than the detector reads.
    """

    name: Annotated[str, "begins the names of its columns"] = "detection"
    model: Annotated[str, "OWL-ViT, OWLv2 or Grounding DINO on the Hub, or a folder"] = (
        "google/owlv2-base-patch16-ensemble"
    )
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    image_column: Annotated[str, "the image"] = "image"
    class_column: Annotated[str, "what to find"] = "class"
    query: Annotated[str, "what the detector is asked, {} being the class"] = "a photo of a {}"
    threshold: Annotated[float, "confidence from which it counts as found"] = 0.5
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 256

    def __post_init__(self) -> None:
        if self.query.count("{}") != 1 or "{" in self.query.replace("{}", ""):
            raise ValueError(f"query: {self.query!r} is not accepted; expected a text with one {{}} in it")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold: {self.threshold} is not accepted; expected 0 to 1")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column, self.class_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, List, Value

        shares = {f"{self.name}_{what}": Value("float32") for what in ("confidence", "found")}
        return Features(shares | {f"{self.name}_box": List(Value("float32"))})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ((self.model, self.revision),)

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        query = self.query.format(text(row[self.class_column], longest=200).strip())
        tokens, most = _reader(self.model, pin(self.model, "model", self.revision).revision).length(query)
        if tokens > most:
            raise Unscorable(f"class: {tokens} tokens with its question, the detector reads {most}")
        return {"image": decode_image(row[self.image_column]), "query": query}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        source = pin(self.model, "model", self.revision)
        detector = models.hold(("detection", self.model, source), lambda: _Detector(self.model, source))
        found = detector.surest(batch["image"], batch["query"])
        return {
            f"{self.name}_confidence": [confidence for confidence, _ in found],
            f"{self.name}_found": [float(confidence >= self.threshold) for confidence, _ in found],
            f"{self.name}_box": [box for _, box in found],
        }


class _Detector:
    def __init__(self, path: str, source: Source) -> None:
        from transformers import AutoModelForZeroShotObjectDetection

        self.reader = _reader(path, source.revision)
        self.device = models.device()
        # In float32 wherever it runs: these models are small, and half precision moves confidences near the threshold.
        self.model = AutoModelForZeroShotObjectDetection.from_pretrained(
            path, revision=source.revision, use_safetensors=True
        )
        self.model.to(self.device).eval()

    def surest(self, images: list[Image.Image], queries: list[str]) -> list[tuple[float, list[float]]]:
        import torch

        inputs = self.reader.inputs(images, queries).to(self.device)
        with torch.inference_mode():
            outputs = self.model(**inputs)
        told = []
        for found, image in zip(self.reader.boxes(outputs, inputs, images), images, strict=True):
            best = int(found["scores"].argmax())
            corners = found["boxes"][best].tolist()
            shares = [corner / side for corner, side in zip(corners, image.size * 2, strict=True)]
            told.append((float(found["scores"][best]), [min(max(share, 0.0), 1.0) for share in shares]))
        return told


class _Reader:
    """What makes inputs of images and queries, and boxes of outputs: the library's processor, by Pillow."""

    def __init__(self, path: str, revision: str) -> None:
        from transformers import AutoConfig, AutoProcessor, AutoTokenizer

        config = AutoConfig.from_pretrained(path, revision=revision)
        if config.model_type not in FAMILIES:
            raise ValueError(
                f"detection: {path!r} is a {config.model_type} model; expected one of {', '.join(FAMILIES)}"
            )
        self.reads_twice = FAMILIES[config.model_type]
        self.processor = AutoProcessor.from_pretrained(path, revision=revision, backend="pil")
        # One of its own to count by: padding is a tokenizer's state, and rows are prepared while others are computed.
        self.counter, self.counting = AutoTokenizer.from_pretrained(path, revision=revision), threading.Lock()
        text_config = config.get_text_config()
        self.most = min(getattr(config, "max_text_len", None) or 512, text_config.max_position_embeddings)

    def length(self, query: str) -> tuple[int, int]:
        """Its tokens, and how many are read."""
        with self.counting:
            return len(self.counter(query)["input_ids"]), self.most

    def inputs(self, images: list[Image.Image], queries: list[str]) -> Any:
        # OWL's queries were trained on at the full width.
        padded = {"padding": True} if self.reads_twice else {"padding": "max_length", "max_length": self.most}
        return self.processor(text=[[query] for query in queries], images=images, return_tensors="pt", **padded)

    def boxes(self, outputs: Any, inputs: Any, images: list[Image.Image]) -> list[dict[str, Any]]:
        # Every box comes back, and no names are decoded for them.
        read = {"input_ids": inputs["input_ids"], "text_threshold": 1.0} if self.reads_twice else {}
        sizes = [(image.height, image.width) for image in images]
        return self.processor.post_process_grounded_object_detection(
            outputs, threshold=-1.0, target_sizes=sizes, **read
        )


@models.once
def _reader(path: str, revision: str) -> _Reader:
    return _Reader(path, revision)
