"""BLIP's answers to a question a row, with adapters on and off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import models
from tamis.config import COST_ONLY
from tamis.sources import pin
from tamis.training.adapter import weights_hash
from tamis.vqa.asked import picture_of, pixels_for, question_of

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class BlipVqa:
    """Column NAME_answer (string): what the model answers, in few words. It is no score; `exact`, `wups` and others
    compare it with the right answer.

    With `adapters` there is a column NAME_ADAPTER for each instead, all from one encoding of the picture. Empty where
    the model answers nothing. None where the image cannot be read, or there is no question.
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
        if "error" in self.adapters:
            raise ValueError("adapters: error names another column of this scorer")
        for name, least in (("question_tokens", 3), ("answer_tokens", 1)):  # [CLS], a word, [SEP]
            if getattr(self, name) < least:
                raise ValueError(f"{name}: {getattr(self, name)} is not accepted; expected {least} or more")
        object.__setattr__(self, "worn", {name: weights_hash(folder) for name, folder in self.adapters.items()})

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
        question = question_of(row, self.question_column)
        picture = picture_of(row, self.image_column, pixels_for(self.model, self.revision))
        return {"question": question, "picture": picture}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        told = self.held().answer(
            batch["picture"],
            batch["question"],
            adapters=list(self.adapters.values()) or [""],
            prefix=self.question_prefix,
            question_tokens=self.question_tokens,
            answer_tokens=self.answer_tokens,
        )
        return dict(zip(self.columns, told, strict=True))

    def held(self) -> Any:
        from tamis.vqa.blip import BlipAnswers

        revision = pin(self.model, "model", self.revision).revision
        folders = [folder for folder in self.adapters.values() if folder]
        key = ("blip", self.model, revision, self.quantization, tuple(sorted(self.worn.items())), tuple(folders))
        return models.hold(key, lambda: BlipAnswers(self.model, revision, folders, quantization=self.quantization))
