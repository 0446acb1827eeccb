"""A benchmark's questions, answered by the probability of each option: no text is written, none is parsed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis import judge as judges
from tamis.images import decode_image
from tamis.judge.shares import shares
from tamis.prompts import source
from tamis.quiz.questions import Question, as_choice
from tamis.scorers.needs_picture import choice_of
from tamis.scorers.quiz import in_orders, most_likely

if TYPE_CHECKING:
    from datasets import Features

LONGEST = 20_000  # characters of a question and its hint: passages stand before some


@dataclass(frozen=True)
class MultipleChoice:
    """Columns of a dataset with a row a question, as scale_select.benchmarks reads them; higher is better:

    - NAME_accuracy (float32, 0 or 1): 1, the judge gives the key the highest probability; a tie is wrong. Its mean is
      the accuracy.
    - NAME_probability (float32, 0..1): of the key. Of a chat model it is not calibrated.
    - NAME_answer (string): the option taken.

    By letters a model is asked as benchmarks ask: the options stand in the question. By words it is asked the question
    alone, as conversations ask in training, and an option is as probable as its words are as the beginning of a reply,
    beside those of the others: what language models are measured by. Long options are less likely than short ones.

    None where question, options or key cannot be read, the image cannot (rows without one are asked without, if
    text_only), or the judge refused.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the names of its columns"] = "multiple_choice"
    image_column: Annotated[str, "the image"] = "image"
    question_column: Annotated[str, "the question, its hint before it"] = "question"
    options_column: Annotated[str, "its options"] = "options"
    answer_column: Annotated[str, "the right one of them"] = "answer"
    text_only: Annotated[bool, "ask rows whose image is null without one"] = False
    option_reading: Annotated[
        Literal["letters", "words"],
        "letters: options are listed in the question; words: they are not, and each is a reply, more or less likely",
    ] = "letters"
    reply_begun: Annotated[str, "of words: how a reply begins before the option"] = ""
    orders: Annotated[
        int, "of letters: orders of the options asked and averaged: letters weigh less, each costs a pass"
    ] = 1
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 256
    prompt: Annotated[str, "the wording's own text: an edited one is another key"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        object.__setattr__(self, "prompt", source("scale/benchmark", self.wording))
        if self.orders < 1:
            raise ValueError(f"orders: {self.orders} is not accepted; expected 1 or more")
        if self.option_reading == "words" and (self.orders > 1 or not isinstance(self.judge, judges.LocalJudge)):
            raise ValueError("option_reading: words need a judge on this machine, and have no order: leave orders out")
        if self.reply_begun and self.option_reading != "words":
            raise ValueError(f"reply_begun: {self.reply_begun!r}: goes with option_reading words")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column, self.question_column, self.options_column, self.answer_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        kinds = {"accuracy": "float32", "probability": "float32", "answer": "string"}
        return Features({f"{self.name}_{what}": Value(kind) for what, kind in kinds.items()})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        columns = (self.question_column, self.options_column, self.answer_column)
        question = choice_of(*(row[column] for column in columns), longest=LONGEST)
        if self.text_only and row[self.image_column] is None:
            return {"state": "", "question": question}
        return {"state": decode_image(row[self.image_column]), "question": question}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        by = self._by_words if self.option_reading == "words" else self._by_letters
        asked = by(list(zip(batch["state"], batch["question"], strict=True)))
        rows = [self._row(told, question.answer) for told, question in zip(asked, batch["question"], strict=True)]
        return {column: [row.get(column) for row in rows] for column in [*self.columns, f"{self.name}_error"]}

    def _by_letters(self, rows: list[tuple[Any, Question]]) -> list[dict[str, float] | str]:
        requests = [
            judges.Request(state, {"asked": as_choice(question, self.wording, None, "scale/benchmark")})
            for state, question in rows
        ]
        return [one["asked"] for one in in_orders(self.judge, requests, self.orders)]

    def _by_words(self, rows: list[tuple[Any, Question]]) -> list[dict[str, float] | str]:
        begun = self.reply_begun
        asks = [judges.Ask(question.question, (state,) if state else (), begun) for state, question in rows]
        options = [list(question.options) for _, question in rows]
        told = self.judge.likelihoods(asks, options, batch_size=len(asks))
        return [dict(zip(some, shares(one), strict=True)) for some, one in zip(options, told, strict=True)]

    def _row(self, told: dict[str, float] | str, key: str) -> dict[str, Any]:
        if isinstance(told, str):
            return {f"{self.name}_error": told}
        taken = most_likely(told, key)
        values = {"accuracy": float(taken == key), "probability": told[key], "answer": taken}
        return {f"{self.name}_{what}": value for what, value in values.items()}
