"""ViLT's answers to a question a row: one of the labels that it was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis import models
from tamis.sources import pin
from tamis.vqa.asked import picture_of, pixels_for, question_of

if TYPE_CHECKING:
    from datasets import Features

    from tamis.vqa.vilt import ViltAnswers


@dataclass(frozen=True)
class ViltVqa:
    """Column NAME_answer (string): the likeliest of the model's own labels (the 3,129 of VQAv2 for the model named
    below; what is not among them it never answers). It is no score; `exact`, `wups` and others compare it with the
    right answer. The nearest class that transformers has to ViLBERT, and its stand-in.

    None where the image cannot be read, or there is no question.
    """

    name: Annotated[str, "begins the name of its column"] = "vilt_vqa"
    model: Annotated[str, "a ViLT that answers questions, or a folder"] = "dandelin/vilt-b32-finetuned-vqa"
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    image_column: Annotated[str, "the image"] = "image"
    question_column: Annotated[str, "the question"] = "question"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column, self.question_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_answer": Value("string")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ((self.model, self.revision),)

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        question = question_of(row, self.question_column)
        picture = picture_of(row, self.image_column, pixels_for(self.model, self.revision))
        return {"question": question, "picture": picture}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {f"{self.name}_answer": self._model().answer(batch["picture"], batch["question"])}

    def _model(self) -> ViltAnswers:
        from tamis.vqa.vilt import ViltAnswers

        revision = pin(self.model, "model", self.revision).revision
        return models.hold(("vilt", self.model, revision), lambda: ViltAnswers(self.model, revision))
