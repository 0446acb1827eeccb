"""Relevance of an image (or text) to a text, by a reranker: a model that reads both together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis import models
from tamis.images import decode_image, fitted
from tamis.sources import pin
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.model import BaseModel


@dataclass(frozen=True)
class Relevance:
    """Column NAME_score (float32): how well the row's image, text, or both answer its query, higher is better.

    The model's raw logit, for rerankers on a language model logit(yes) - logit(no): 0 is undecided, no bounds, usual
    values -10..10. Its sigmoid would be the probability of yes, but rounds to 1 for all of the best rows. Compare rows,
    not models. None where the query, image or text is null, empty or unreadable.

    The default model needs torchvision (extra `vision`). Text of the dataset cannot speak as the prompt: the model's
    control tokens in it are broken up.
    """

    name: Annotated[str, "begins the name of its column"] = "relevance"
    model: Annotated[str, "CrossEncoder of sentence-transformers, or a folder"] = "Qwen/Qwen3-VL-Reranker-2B"
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    query_column: Annotated[str, "the text to be relevant to"] = "text"
    image_column: Annotated[str | None, "the image judged; null: only a text is"] = "image"
    document_column: Annotated[str | None, "the text judged, alone or with the image"] = None
    prompt: Annotated[str | None, "instruction to the model; null: its own"] = None
    longest_text: Annotated[int, "characters read of a text"] = 8000
    most_pixels: Annotated[int, "larger images are scaled down to this; the authors' own limit"] = 1280 * 32 * 32
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64

    def __post_init__(self) -> None:
        if self.image_column is None and self.document_column is None:
            raise ValueError("image_column, document_column: both are null; there is nothing to judge")

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.query_column, self.image_column, self.document_column)))

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_score": Value("float32")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ((self.model, self.revision),)

    @property
    def bucket_by(self) -> str | None:
        return self.image_column or self.document_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        prepared = {"query": text(row[self.query_column], longest=self.longest_text)}
        if self.document_column is not None:
            prepared["document"] = text(row[self.document_column], longest=self.longest_text)
        if self.image_column is not None:
            prepared["image"] = fitted(decode_image(row[self.image_column]), self.most_pixels)
        return prepared

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        import torch

        encoder = self._encoder()
        queries = as_data(batch["query"], encoder)
        if "image" not in batch:
            documents = as_data(batch["document"], encoder)
        elif "document" not in batch:
            documents = [{"image": image} for image in batch["image"]]
        else:
            read = as_data(batch["document"], encoder)
            documents = [{"image": image} | both for image, both in zip(batch["image"], read, strict=True)]
        scores = encoder.predict(
            list(zip(queries, documents, strict=True)),
            batch_size=len(queries),
            prompt=self.prompt,
            activation_fn=torch.nn.Identity(),
            show_progress_bar=False,
        )
        return {f"{self.name}_score": scores.tolist()}

    def _encoder(self) -> CrossEncoder:
        encoder = models.hold(("relevance", self.model, pin(self.model, "model", self.revision)), self._load)
        if encoder.num_labels != 1:
            raise ValueError(f"relevance: {self.model!r} gives {encoder.num_labels} numbers a pair; expected one")
        if self.image_column is not None and not encoder.supports("image"):
            raise ValueError(f"relevance: {self.model!r} takes no images; set image_column: null and document_column")
        return encoder

    def _load(self) -> CrossEncoder:
        from sentence_transformers import CrossEncoder

        return CrossEncoder(
            self.model,
            revision=pin(self.model, "model", self.revision).revision,
            device=str(models.device()),
            model_kwargs={"dtype": models.dtype(), "use_safetensors": True},
        )


def as_data(texts: list[str], model: BaseModel) -> list[Any]:
    """Texts in the form in which a sentence-transformers model takes them for text, whatever they say.

    Given a plain string, a model that takes images would open it as a file or download it where it looks like a
    path, a URL or base64; and the tokenizer would read `<|im_end|>` in it as the end of the prompt.
    """
    if not model.supports("image"):
        return texts  # a string is only text then, and control tokens change no one's role
    control = sorted({*model.tokenizer.all_special_tokens, *model.tokenizer.get_added_vocab()}, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, control)))
    return [{"text": pattern.sub(lambda token: f"{token[0][0]} {token[0][1:]}", value)} for value in texts]
