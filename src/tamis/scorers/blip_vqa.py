"""BLIP's answers to a question a row, with adapters on and off."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tamis import models
from tamis.config import COST_ONLY
from tamis.images import decode_image, image_bytes
from tamis.sources import pin
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features

WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class BlipVqa:
    """Column NAME_answer (string): what the model answers, in few words. It is no score; `exact`, `wups` and others
    compare it with the right answer.

    With `adapters` there is a column NAME_ADAPTER for each instead, all from one encoding of the picture. None where
    the image cannot be read, there is no question, or nothing was answered.
    """

    name: Annotated[str, "begins the names of its columns"] = "blip_vqa"
    model: Annotated[str, "a BLIP that answers questions, or a folder"] = "Salesforce/blip-vqa-base"
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    image_column: Annotated[str, "the image"] = "image"
    question_column: Annotated[str, "the question"] = "question"
    adapters: Annotated[dict[str, str], "name: folder of a LoRA for this model; empty: the model alone"] = field(
        default_factory=dict, metadata=COST_ONLY
    )
    question_prefix: Annotated[str, "before each question: the one the adapters were trained with"] = ""
    question_tokens: Annotated[int, "tokens of a question that are read"] = 32
    answer_tokens: Annotated[int, "tokens an answer may take"] = 5
    quantization: Annotated[str | None, "8bit: by bitsandbytes, on any device; null: none"] = None
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024
    worn: Annotated[dict[str, str], "what the adapters hold: the same folder trained anew is another key"] = field(
        init=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.quantization not in (None, "8bit"):
            raise ValueError(f"quantization: {self.quantization!r} is not accepted; expected 8bit or null")
        for name in ("question_tokens", "answer_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not accepted; expected 1 or more")
        object.__setattr__(self, "worn", {name: _hash(folder) for name, folder in self.adapters.items()})

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column, self.question_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_{adapter}": Value("string") for adapter in self.adapters or ("answer",)})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ((self.model, self.revision),)

    @property
    def bucket_by(self) -> str | None:
        return None  # in their order: questions on one picture stand together, and it is read once for all

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        question = text(row[self.question_column], longest=2000, what="question")
        image = decode_image(row[self.image_column])
        digest = hashlib.sha256(image_bytes(row[self.image_column])).hexdigest()
        pixels = _processor(self.model, pin(self.model, "model", self.revision).revision)(image, return_tensors="pt")
        return {"question": question, "picture": (digest, pixels["pixel_values"][0])}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        told = self.held().answer(
            batch["picture"],
            batch["question"],
            adapters=list(self.adapters.values()) or [""],
            prefix=self.question_prefix,
            question_tokens=self.question_tokens,
            answer_tokens=self.answer_tokens,
        )
        answers = dict(zip(self.columns, told, strict=True))
        silent = [any(not answer for answer in row) for row in zip(*told, strict=True)]
        return {column: [answer or None for answer in some] for column, some in answers.items()} | {
            f"{self.name}_error": ["nothing was answered" if none else None for none in silent]
        }

    def held(self) -> Any:
        from tamis.vqa.blip import BlipAnswers

        revision = pin(self.model, "model", self.revision).revision
        folders = [folder for folder in self.adapters.values() if folder]
        key = ("blip", self.model, revision, self.quantization, tuple(sorted(self.worn.items())), tuple(folders))
        return models.hold(key, lambda: BlipAnswers(self.model, revision, folders, quantization=self.quantization))


@models.once
def _processor(model: str, revision: str) -> Any:
    from transformers import AutoImageProcessor

    where = {} if Path(model).is_dir() else {"revision": revision}
    return AutoImageProcessor.from_pretrained(model, **where)


def _hash(folder: str) -> str:
    if not folder:
        return ""
    with (Path(folder) / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
