"""CLIP's and SigLIP's answers to a question a row: the likeliest of a vocabulary."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis import models
from tamis.scorers.clip import Towers, framing_of
from tamis.sources import pin
from tamis.vqa.asked import picture_of, question_of, refuse_slots

if TYPE_CHECKING:
    from datasets import Features

    from tamis.vqa.vocabulary import VocabularyAnswers


@dataclass(frozen=True)
class ClipVocabulary:
    """Column NAME_answer (string): the answer of `vocabulary` whose text, the template filled in, is the most similar
    to the picture. It is no score; `exact`, `wups` and others compare it with the right answer.

    None where the image cannot be read, or there is no question. The cost is that of embedding the vocabulary once for
    each question that differs, unless the template leaves the question out.
    """

    vocabulary: Annotated[list[str], "the answers to choose among; those of the training rows"]
    name: Annotated[str, "begins the name of its column"] = "clip_vocabulary"
    model: Annotated[str, "CLIP or SigLIP on the Hub, or a folder"] = "openai/clip-vit-base-patch32"
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    image_column: Annotated[str, "the image"] = "image"
    question_column: Annotated[str, "the question"] = "question"
    template: Annotated[str, "what the picture is compared with: {answer}, and {question} if wanted"] = (
        "a product photo. {question} {answer}"
    )
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    def __post_init__(self) -> None:
        if not self.vocabulary:
            raise ValueError("vocabulary: empty; expected the answers to choose among")
        if not all(answer.strip() for answer in self.vocabulary):
            raise ValueError("vocabulary: an answer in it is empty")
        twice = [answer for answer, count in Counter(self.vocabulary).items() if count > 1]
        if twice:
            raise ValueError(f"vocabulary: {twice[0]!r} stands in it more than once")
        refuse_slots("template", self.template, needed=("answer",), optional=("question",))

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
        return None  # in their order: questions on one picture stand together, and it is embedded once for all

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        question = question_of(row, self.question_column)
        framing = framing_of(self.model, pin(self.model, "model", self.revision).revision)
        return {"question": question, "picture": picture_of(row, self.image_column, framing.pixels)}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {f"{self.name}_answer": self._model().answer(batch["picture"], batch["question"])}

    def _model(self) -> VocabularyAnswers:
        from tamis.vqa.vocabulary import VocabularyAnswers

        source = pin(self.model, "model", self.revision)
        key = ("clip vocabulary", self.model, source, tuple(self.vocabulary), self.template)
        return models.hold(
            key, lambda: VocabularyAnswers(Towers((self.model,), (source,)), self.vocabulary, self.template)
        )
