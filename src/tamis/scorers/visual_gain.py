"""What seeing the picture adds to answering a question about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.images import decode_image
from tamis.prompts import render, source
from tamis.quiz.questions import Question, as_choice
from tamis.scorers.needs_picture import choice_of
from tamis.scorers.quiz import in_orders
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features
    from PIL import Image


@dataclass(frozen=True)
class VisualGain:
    """Columns (float32), from the same question asked with the row's picture and without; higher is better:

    - NAME_gain (-1..1): the probability of the right answer with the picture minus without. Around 0: the picture adds
      nothing, because it does not show the answer or because the answer is known without it. Below: it misleads.
    - NAME_seen (0..1): the probability of the right answer with the picture.

    With options_column the question is a choice and the probability the key's; without, the judge says whether the
    answer is right. None where image, question or answer cannot be read, or the judge refused.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the names of its columns"] = "visual_gain"
    image_column: Annotated[str, "the image"] = "image"
    question_column: Annotated[str, "the question"] = "question"
    answer_column: Annotated[str, "the right answer"] = "answer"
    options_column: Annotated[str | None, "the options, the right answer among them; null: open questions"] = None
    orders: Annotated[int, "orders of the options asked and averaged"] = 1
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64
    prompt: Annotated[str, "the wording's own text: an edited one is another key"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        name = "quiz/question" if self.options_column else "quiz/is_answer"
        object.__setattr__(self, "prompt", source(name, self.wording))
        if self.orders < 1:
            raise ValueError(f"orders: {self.orders} is not accepted; expected 1 or more")

    @property
    def inputs(self) -> tuple[str, ...]:
        columns = (self.image_column, self.question_column, self.answer_column, self.options_column)
        return tuple(column for column in columns if column is not None)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_{what}": Value("float32") for what in ("gain", "seen")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        question, answer = row[self.question_column], row[self.answer_column]
        if self.options_column:
            asked = choice_of(question, row[self.options_column], answer)
        else:
            asked = Question("", 0, text(question, longest=2000), (), text(answer, longest=500))
        return {"image": decode_image(row[self.image_column]), "question": asked}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        seen = self._probabilities(batch["image"], batch["question"])
        blind = self._probabilities([""] * len(seen), batch["question"])
        scored = {column: [] for column in [*self.columns, f"{self.name}_error"]}
        for one, other in zip(seen, blind, strict=True):
            refused = next((value for value in (one, other) if isinstance(value, str)), None)
            scored[f"{self.name}_gain"].append(None if refused else one - other)
            scored[f"{self.name}_seen"].append(None if refused else one)
            scored[f"{self.name}_error"].append(refused)
        return scored

    def _probabilities(self, states: list[Image.Image | str], questions: list[Question]) -> list[float | str]:
        """Of the right answer, or why there is none."""
        requests = [
            judges.Request(state, {"asked": self._typed(question)})
            for state, question in zip(states, questions, strict=True)
        ]
        if not self.options_column:
            answers = [one["asked"] for one in self.judge.decide(requests, batch_size=len(requests))]
            return [answer["error"] if "error" in answer else answer["noul"] for answer in answers]
        asked = [one["asked"] for one in in_orders(self.judge, requests, self.orders)]
        return [
            told if isinstance(told, str) else told[question.answer]
            for told, question in zip(asked, questions, strict=True)
        ]

    def _typed(self, question: Question) -> dict[str, Any]:
        if self.options_column:
            return as_choice(question, self.wording, None)
        told = {"question": question.question, "answer": question.answer}
        return {"type": "noul", "instructions": render("quiz/is_answer", wording=self.wording, **told)}
