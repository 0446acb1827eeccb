"""What BLIP-2 or Florence-2 writes in answer to a question a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis import models
from tamis.sources import pin
from tamis.vqa.asked import picture_of, pixels_for, question_of, refuse_slots

if TYPE_CHECKING:
    from datasets import Features

    from tamis.vqa.generated import GeneratedAnswers


@dataclass(frozen=True)
class GeneratedVqa:
    """Column NAME_answer (string): the first line that the model writes, without a final stop. It is no score; `exact`,
    `wups` and others compare it with the right answer.

    The model is a BLIP-2, or a Florence-2 in the form that transformers itself reads (florence-community/Florence-2-*),
    the nearest class it has to OFA and its stand-in. Florence-2's published weights know no task of questions and
    answers: give the prompt that yours were tuned with ("<VQA>{question}" is usual).

    Empty where nothing was written. None where the image cannot be read, or there is no question.
    """

    name: Annotated[str, "begins the name of its column"] = "generated_vqa"
    model: Annotated[str, "BLIP-2 or Florence-2 on the Hub, or a folder"] = "Salesforce/blip2-opt-2.7b"
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    image_column: Annotated[str, "the image"] = "image"
    question_column: Annotated[str, "the question"] = "question"
    prompt: Annotated[str, "how it is asked, with {question}"] = "Question: {question} Answer:"
    question_tokens: Annotated[int, "tokens of a question that are read"] = 64
    answer_tokens: Annotated[int, "tokens an answer may take"] = 10
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 256

    def __post_init__(self) -> None:
        refuse_slots("prompt", self.prompt, needed=("question",))
        for name in ("question_tokens", "answer_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not accepted; expected 1 or more")

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
        return None  # in their order: questions on one picture stand together, and it is read once for all

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        question = question_of(row, self.question_column)
        picture = picture_of(row, self.image_column, pixels_for(self.model, self.revision))
        return {"question": question, "picture": picture}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        told = self._model().answer(
            batch["picture"],
            batch["question"],
            prompt=self.prompt,
            question_tokens=self.question_tokens,
            answer_tokens=self.answer_tokens,
        )
        return {f"{self.name}_answer": told}

    def _model(self) -> GeneratedAnswers:
        from tamis.vqa.generated import GeneratedAnswers

        revision = pin(self.model, "model", self.revision).revision
        return models.hold(("generated", self.model, revision), lambda: GeneratedAnswers(self.model, revision))
