"""Prompts to images, adapter on or off, each row from its own seed. A drawing is attached as a score is: sharded,
journalled, never computed twice."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tamis import models
from tamis.sources import pin
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features
    from PIL import Image

WEIGHTS = "pytorch_lora_weights.safetensors"


@dataclass(frozen=True)
class Worn:
    """An adapter as a row names it."""

    folder: str
    digest: str


HALF_WAY = Worn("", "")  # no row's: where memory runs out between two adapters, nobody knows what is worn


@dataclass(frozen=True)
class Drawing:
    """Column NAME: what the model draws for the row's prompt from the row's seed, with the row's adapter.

    The seed decides the noise alone: rows of different adapters with one seed and prompt begin alike. A safety checker
    of the model is not loaded: it would put black pictures among those that are measured. None where the prompt is
    empty, or what was drawn is not finite.
    """

    model: Annotated[str, "text-to-image pipeline of diffusers, or a folder"]
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    name: Annotated[str, "the column of pictures"] = "image"
    prompt_column: Annotated[str, "what to draw"] = "prompt"
    seed_column: Annotated[str, "what the noise is drawn from"] = "image_seed"
    adapter_column: Annotated[str | None, "folder of a LoRA for each row, empty: none; null: no adapters"] = "adapter"
    adapter_hash_column: Annotated[str, "what that LoRA holds, see adapter_hash()"] = "adapter_hash"
    num_inference_steps: Annotated[int, "steps of the sampler"] = 50
    guidance_scale: Annotated[float, "how far from the unconditioned prediction"] = 7.5
    negative_prompt: Annotated[str | None, "what not to draw"] = None
    side: Annotated[int | None, "width and height in pixels; null: the model's own"] = None
    rows_per_chunk: Annotated[int, "pictures a kill can cost"] = 64

    @property
    def inputs(self) -> tuple[str, ...]:
        adapter = (self.adapter_column, self.adapter_hash_column) if self.adapter_column else ()
        return (self.prompt_column, self.seed_column, *adapter)

    @property
    def columns(self) -> Features:
        from datasets import Features
        from datasets import Image as ImageColumn

        return Features({self.name: ImageColumn(decode=False)})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ((self.model, self.revision),)

    @property
    def bucket_by(self) -> str | None:
        return None  # in their order: rows of one adapter stand together, and loading one takes time

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        folder = self.adapter_column and row[self.adapter_column]
        adapter = Worn(folder, row[self.adapter_hash_column]) if folder else None
        prompt = text(row[self.prompt_column], longest=2000)
        return {"prompt": prompt, "seed": row[self.seed_column], "adapter": adapter}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        drawn: list[Any] = []
        rows = list(zip(batch["adapter"], batch["prompt"], batch["seed"], strict=True))
        for adapter, group in groupby(rows, key=lambda row: row[0]):
            _, prompts, seeds = zip(*group, strict=True)
            drawn += self._pipeline().draw(list(prompts), list(seeds), adapter, self)
        reasons = [one if isinstance(one, str) else None for one in drawn]
        cells = [None if isinstance(one, str) else {"bytes": _png(one), "path": None} for one in drawn]
        return {self.name: cells, f"{self.name}_error": reasons}

    def _pipeline(self) -> _Pipeline:
        revision = pin(self.model, "model", self.revision).revision
        return models.hold(("drawing", self.model, revision), lambda: _Pipeline(self.model, revision))


class _Pipeline:
    """A pipeline and the adapter it wears."""

    def __init__(self, model: str, revision: str) -> None:
        from diffusers import AutoPipelineForText2Image

        where = {} if Path(model).is_dir() else {"revision": revision}
        self.pipeline = AutoPipelineForText2Image.from_pretrained(
            model, dtype=models.dtype(), use_safetensors=True, safety_checker=None, **where
        ).to(models.device())
        self.pipeline.set_progress_bar_config(disable=True)
        self.worn: Worn | None = None
        self.encoded: dict[tuple[str, str | None], Any] = {}  # by the last batch: the next often goes on with its texts

    def draw(
        self, prompts: list[str], seeds: list[int], adapter: Worn | None, settings: Drawing
    ) -> list[Image.Image | str]:
        import torch

        self._wear(adapter)
        size = {} if settings.side is None else {"width": settings.side, "height": settings.side}
        with torch.inference_mode():
            pixels = self.pipeline(
                **self._encoded(prompts, settings.negative_prompt),
                num_inference_steps=settings.num_inference_steps,
                guidance_scale=settings.guidance_scale,
                # On the CPU: the same noise on every device.
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
                output_type="pt",
                **size,
            ).images.float()
        finite = pixels.isfinite().all(dim=(1, 2, 3)).tolist()
        pictures = self.pipeline.image_processor.pt_to_numpy(pixels.nan_to_num())
        drawn = self.pipeline.image_processor.numpy_to_pil(pictures)
        return [one if fine else "drawing: not finite" for one, fine in zip(drawn, finite, strict=True)]

    def _encoded(self, prompts: list[str], negative: str | None) -> dict[str, Any]:
        """Prompts as the pipeline takes them: each encoded once, however many pictures are drawn from it."""
        import torch
        from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

        if not isinstance(self.pipeline, StableDiffusionPipeline | StableDiffusionXLPipeline):
            return {"prompt": prompts, "negative_prompt": None if negative is None else [negative] * len(prompts)}
        before, self.encoded = self.encoded, {}
        for prompt in prompts:
            key = (prompt, negative)
            if key not in self.encoded:
                self.encoded[key] = before[key] if key in before else self._embeddings(prompt, negative)
        names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
        parts = zip(*(self.encoded[prompt, negative] for prompt in prompts), strict=True)
        return dict(zip(names, map(torch.cat, parts), strict=False))  # the last two: of XL alone

    def _embeddings(self, prompt: str, negative: str | None) -> tuple[Any, ...]:
        return self.pipeline.encode_prompt(
            prompt,
            device=models.device(),
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
            negative_prompt=negative,
        )

    def _wear(self, adapter: Worn | None) -> None:
        if adapter == self.worn:
            return
        self.encoded = {}  # an adapter may be of the text encoder too
        if adapter is not None and (held := adapter_hash(adapter.folder)) != adapter.digest:
            raise ValueError(f"adapter {adapter.folder!r} holds {held}, not {adapter.digest} as its row says")
        before, self.worn = self.worn, HALF_WAY
        if before is not None:
            self.pipeline.unload_lora_weights()
        if adapter is not None:
            with _not_telling_of_parts_without():
                self.pipeline.load_lora_weights(adapter.folder, weight_name=WEIGHTS, adapter_name="worn")
            if not self.pipeline.get_active_adapters():
                raise ValueError(f"adapter {adapter.folder!r}: none of its weights are for a part of this model")
        self.worn = adapter


@contextmanager
def _not_telling_of_parts_without() -> Iterator[None]:
    """The library warns of each part (a text encoder) that a LoRA leaves as it is, at every load."""
    logger, silence = logging.getLogger("diffusers.loaders.lora_base"), _Silence("No LoRA keys associated to ")
    logger.addFilter(silence)
    try:
        yield
    finally:
        logger.removeFilter(silence)


class _Silence(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(self.name)


def adapter_hash(folder: Path | str) -> str:
    """What tells an adapter that was trained anew from the one that lay in its folder before: a hash of its weights."""
    with (Path(folder) / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
