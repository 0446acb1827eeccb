"""CLIP and SigLIP: how well a text fits its image, the image's embedding, and linear heads on it. One forward."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from tamis import models
from tamis.images import Unscorable, decode_image
from tamis.sources import Source, pin
from tamis.texts import text

if TYPE_CHECKING:
    import torch
    from datasets import Features
    from PIL import Image

FAMILIES = ("clip", "siglip")
LONGEST_TEXT = 8192  # characters; the 77 tokens that CLIP reads never reach further


@dataclass(frozen=True)
class Clip:
    """Columns (float32), all higher is better, from one pass of the image tower and one of the text tower:

    - NAME_similarity: cosine of image and text, -1..1; 0.2 to 0.35 is usual for CLIP where they fit. The text counts
      up to the model's own maximum (CLIP: 77 tokens). None where the text is null or empty; absent without text_column.
    - NAME_embedding (embedding: true): the image's L2-normalised embedding.
    - NAME_HEAD for each of `heads`: a linear head on that embedding, w.x + b, or its sigmoid (0..1). What high means
      is the head's: name it for the good end (aesthetic: more pleasing; safety: safer).

    All are None where the image cannot be read.

    A head is a repo or folder with `head.safetensors` (`weight` [1, d], `bias` [1]; d: the embedding's width) and, if
    it wants a sigmoid, `config.json` with {"sigmoid": true}. It must have been trained on embeddings of this model.
    """

    name: Annotated[str, "begins the names of its columns"] = "clip"
    model: Annotated[str, "CLIP or SigLIP on the Hub, or a folder"] = "openai/clip-vit-large-patch14"
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    image_column: Annotated[str, "the image"] = "image"
    text_column: Annotated[str | None, "the text compared with the image; null: no similarity"] = "text"
    embedding: Annotated[bool, "add the image's embedding, for diverse selection"] = False
    heads: Annotated[dict[str, str], "column name: repo or folder of a linear head"] = field(default_factory=dict)
    heads_revisions: Annotated[dict[str, str], "column name: branch, tag or commit of the head"] = field(
        default_factory=dict
    )
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    def __post_init__(self) -> None:
        if self.text_column is None and not self.embedding and not self.heads:
            raise ValueError("text_column: null leaves nothing to compute without embedding or heads")
        reserved = {"similarity", "embedding", "error"} & set(self.heads)
        if reserved:
            raise ValueError(f"heads: {', '.join(sorted(reserved))} names another column of this scorer")
        strangers = set(self.heads_revisions) - set(self.heads)
        if strangers:
            raise ValueError(f"heads_revisions: {', '.join(sorted(strangers))} is not among heads")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column,) if self.text_column is None else (self.image_column, self.text_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, List, Value

        columns = {}
        if self.text_column is not None:
            columns[f"{self.name}_similarity"] = Value("float32")
        if self.embedding:
            columns[f"{self.name}_embedding"] = List(Value("float32"))
        return Features(columns | {f"{self.name}_{head}": Value("float32") for head in self.heads})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        heads = tuple((repo, self.heads_revisions.get(head)) for head, repo in self.heads.items())
        return ((self.model, self.revision), *heads)

    @property
    def bucket_by(self) -> str | None:
        return None  # images are all resized to one size, and texts are short

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        image = decode_image(row[self.image_column])
        prepared = {"pixels": framing_of(self.model, pin(self.model, "model", self.revision).revision).pixels(image)}
        if self.text_column is not None:
            prepared |= {"text": None, "reason": None}
            try:
                prepared["text"] = text(row[self.text_column], longest=LONGEST_TEXT)
            except Unscorable as reason:
                prepared["reason"] = str(reason)
        return prepared

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        import torch

        towers = self._towers()
        scored: dict[str, list[Any]] = {}
        with torch.inference_mode():
            images = towers.images(batch["pixels"])
            if self.text_column is not None:
                scored[f"{self.name}_similarity"] = _similarities(images, batch["text"], towers)
                scored[f"{self.name}_error"] = batch["reason"]
            if self.embedding:
                scored[f"{self.name}_embedding"] = images.tolist()
            for head, linear in zip(self.heads, towers.heads, strict=True):
                scored[f"{self.name}_{head}"] = linear(images).tolist()
        return scored

    def _towers(self) -> Towers:
        pinned = tuple(pin(repo, "model", revision) for repo, revision in self.models)
        paths = (self.model, *self.heads.values())
        return models.hold(("clip", paths, pinned), lambda: Towers(paths, pinned))


def _similarities(images: torch.Tensor, texts: list[str | None], towers: Towers) -> list[float | None]:
    import torch

    # Captions repeat (class names, prompts): each is read once.
    different = {value: index for index, value in enumerate(dict.fromkeys(filter(None, texts)))}
    similarities: list[float | None] = [None] * len(texts)
    if different:
        present = [row for row, value in enumerate(texts) if value is not None]
        which = torch.tensor([different[texts[row]] for row in present], device=images.device)
        vectors = towers.texts(list(different))[which]
        cosines = (images[torch.tensor(present, device=images.device)] * vectors).sum(dim=-1).clamp(-1.0, 1.0)
        for row, value in zip(present, cosines.tolist(), strict=True):
            similarities[row] = value
    return similarities


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.nn.functional.normalize(vectors.float(), dim=-1)


class Towers:
    """The model, its tokenizer and its heads, on the device."""

    def __init__(self, paths: tuple[str, ...], pinned: tuple[Source, ...]) -> None:
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        path, revision = paths[0], pinned[0].revision
        config = AutoConfig.from_pretrained(path, revision=revision)
        if config.model_type not in FAMILIES:
            raise ValueError(f"clip: {path!r} is a {config.model_type} model; expected one of {', '.join(FAMILIES)}")
        self.device = models.device()
        self.model = AutoModel.from_pretrained(path, revision=revision, dtype=models.dtype(), use_safetensors=True)
        self.model.to(self.device).eval()
        self.framing = framing_of(path, revision)
        self.heads = [_Head(repo, source, self.device) for repo, source in zip(paths[1:], pinned[1:], strict=True)]
        self.tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
        self.longest = config.text_config.max_position_embeddings
        self._padded_whole = config.model_type == "siglip"  # trained on texts padded to the full width, unmasked

    def images(self, pixels: list[np.ndarray]) -> torch.Tensor:
        values = self.framing.normalised(np.stack(pixels), self.device).to(self.model.dtype)
        return _unit(self.model.get_image_features(pixel_values=values).pooler_output)

    def texts(self, texts: list[str]) -> torch.Tensor:
        tokens = self.tokenizer(
            texts,
            padding="max_length" if self._padded_whole else True,
            truncation=True,
            max_length=self.longest,
            return_attention_mask=not self._padded_whole,
            return_token_type_ids=False,
            return_tensors="pt",
        )
        return _unit(self.model.get_text_features(**tokens.to(self.device)).pooler_output)


class _Head:
    """w.x + b, or its sigmoid."""

    def __init__(self, repo: str, source: Source, device: torch.device) -> None:
        from huggingface_hub import snapshot_download
        from safetensors.torch import load_file

        wanted = ["head.safetensors", "config.json"]
        folder = Path(
            repo if source.local else snapshot_download(repo, revision=source.revision, allow_patterns=wanted)
        )
        if not (folder / "head.safetensors").is_file():
            raise ValueError(f"heads: {repo!r} has no head.safetensors")
        tensors = load_file(folder / "head.safetensors")
        if set(tensors) != {"weight", "bias"} or tensors["weight"].ndim != 2 or len(tensors["weight"]) != 1:
            shapes = {key: tuple(value.shape) for key, value in tensors.items()}
            raise ValueError(f"heads: {repo!r} holds {shapes}; expected weight (1, d) and bias (1,)")
        settings = folder / "config.json"
        self.repo = repo
        self.weight = tensors["weight"][0].float().to(device)
        self.bias = tensors["bias"].float().to(device)
        self.sigmoid = settings.is_file() and json.loads(settings.read_text(encoding="utf-8")).get("sigmoid", False)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if len(self.weight) != images.shape[1]:
            raise ValueError(
                f"heads: {self.repo!r} reads {len(self.weight)} numbers, the model's embedding has {images.shape[1]}: "
                "it was trained on another model"
            )
        logits = images @ self.weight + self.bias
        return logits.sigmoid() if self.sigmoid else logits


@dataclass(frozen=True)
class _Framing:
    """What the model's image processor does to a picture, by Pillow whether torchvision is there or not.

    The processor itself turns every picture into floats several times on the CPU. Here a picture stays bytes until
    it is on the device: the numbers are the same (a test compares), a row costs less.
    """

    shortest_edge: int | None
    size: tuple[int, int] | None  # width, height
    crop: tuple[int, int] | None
    resample: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Height x width x 3, bytes."""
        size = self.size or _scaled(image.size, self.shortest_edge)
        if size != image.size:
            image = image.resize(size, self.resample)
        if self.crop is not None and self.crop != size:
            left, top = (size[0] - self.crop[0]) // 2, (size[1] - self.crop[1]) // 2
            image = image.crop((left, top, left + self.crop[0], top + self.crop[1]))
        return np.asarray(image)

    def normalised(self, pixels: np.ndarray, device: torch.device) -> torch.Tensor:
        """A batch of them as the model takes it: 3 x height x width, floats."""
        import torch

        values = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).contiguous().float()
        mean, std = (torch.tensor(numbers, device=device).view(1, 3, 1, 1) for numbers in (self.mean, self.std))
        return values.mul_(self.scale / std).sub_(mean / std)


def _scaled(size: tuple[int, int], shortest_edge: int) -> tuple[int, int]:
    short, long = min(size), max(size)
    longer = int(shortest_edge * long / short)
    return (shortest_edge, longer) if size[0] <= size[1] else (longer, shortest_edge)


@models.once
def framing_of(path: str, revision: str) -> _Framing:
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(path, revision=revision, backend="pil")
    if type(processor).__name__ not in ("CLIPImageProcessorPil", "SiglipImageProcessorPil"):
        raise ValueError(f"clip: {path!r} prepares images by {type(processor).__name__}, which is not supported")
    size, crop = processor.size, processor.crop_size
    if not (processor.do_resize and processor.do_rescale and processor.do_normalize) or size.longest_edge:
        raise ValueError(f"clip: {path!r} prepares its images in an unusual way, which is not supported")
    return _Framing(
        shortest_edge=size.shortest_edge,
        size=None if size.shortest_edge else (size.width, size.height),
        crop=(crop.width, crop.height) if processor.do_center_crop else None,
        resample=int(processor.resample),
        scale=processor.rescale_factor,
        mean=tuple(processor.image_mean),
        std=tuple(processor.image_std),
    )
