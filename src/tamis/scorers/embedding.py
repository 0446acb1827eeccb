"""Embeddings by any SentenceTransformer: of a text, an image, or both together. For diverse selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from tamis import models
from tamis.images import decode_image, fitted
from tamis.scorers.relevance import as_data
from tamis.sources import pin
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class Embedding:
    """Column NAME_vector (list of float32): the row's embedding, of length 1, so that a dot product is the cosine.

    It is no score: it has no order; tamis.select.diverse spreads a selection over it. None where the text or image is
    null, empty or unreadable. Text counts up to the model's own maximum.

    Images need a model that takes them, such as Qwen/Qwen3-VL-Embedding-2B (which needs torchvision: extra `vision`);
    with both columns the model embeds the pair as one.
    """

    name: Annotated[str, "begins the name of its column"] = "embedding"
    model: Annotated[str, "SentenceTransformer on the Hub, or a folder"] = "sentence-transformers/all-MiniLM-L6-v2"
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    text_column: Annotated[str | None, "the text; null: only the image"] = "text"
    image_column: Annotated[str | None, "the image; null: only the text"] = None
    prompt: Annotated[str | None, "put before each text; null: the model's own"] = None
    longest_text: Annotated[int, "characters read of a text"] = 32_000
    most_pixels: Annotated[int, "larger images are scaled down to this"] = 1280 * 32 * 32
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    def __post_init__(self) -> None:
        if self.text_column is None and self.image_column is None:
            raise ValueError("text_column, image_column: both are null; there is nothing to embed")

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.text_column, self.image_column)))

    @property
    def columns(self) -> Features:
        from datasets import Features, List, Value

        return Features({f"{self.name}_vector": List(Value("float32"))})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ((self.model, self.revision),)

    @property
    def bucket_by(self) -> str | None:
        return self.text_column or self.image_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        prepared: dict[str, Any] = {}
        if self.text_column is not None:
            prepared["text"] = text(row[self.text_column], longest=self.longest_text)
        if self.image_column is not None:
            prepared["image"] = fitted(decode_image(row[self.image_column]), self.most_pixels)
        return prepared

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        encoder = self._encoder()
        if "image" not in batch:
            values = as_data(batch["text"], encoder)
        else:
            values = [{"image": image} for image in batch["image"]]
            if "text" in batch:
                read = as_data(batch["text"], encoder)
                values = [image | both for image, both in zip(values, read, strict=True)]
        vectors = encoder.encode(values, batch_size=len(values), prompt=self.prompt, show_progress_bar=False)
        vectors = np.asarray(vectors, dtype=np.float32)  # bfloat16 would leave a length of 1 give or take 0.4 %
        return {f"{self.name}_vector": (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).tolist()}

    def _encoder(self) -> SentenceTransformer:
        encoder = models.hold(("embedding", self.model, pin(self.model, "model", self.revision)), self._load)
        if self.image_column is not None and not encoder.supports("image"):
            raise ValueError(f"embedding: {self.model!r} takes no images; set image_column: null")
        if self.image_column is not None and self.text_column is not None and not encoder.supports(("image", "text")):
            raise ValueError(
                f"embedding: {self.model!r} takes an image or a text, not both; set text_column or image_column: null"
            )
        return encoder

    def _load(self) -> SentenceTransformer:
        return sentence_transformer(self.model, self.revision)


def sentence_transformer(model: str, revision: str | None) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(
        model,
        revision=pin(model, "model", revision).revision,
        device=str(models.device()),
        model_kwargs={"dtype": models.dtype(), "use_safetensors": True},
    )
