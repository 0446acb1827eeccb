"""The taker of a quiz: what a judge reads off an image of the multiple-choice questions about its topic."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.images import Unscorable, decode_image
from tamis.prompts import source
from tamis.quiz.questions import Question, as_choice, questions_of

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class Quiz:
    """How much of its topic's quiz an image answers, as QuizRank scores images; higher is better:

    - NAME_accuracy (float32, 0..1): the share of questions whose key the judge gives the highest probability.
    - NAME_confidence (float32, 0..1): the mean probability of the key. Of a chat model it is not calibrated.
    - NAME_gain (float32, -1..1): NAME_confidence minus what it is without a picture (0 where that was not asked).
    - NAME_score (float32, 0..1): to rank by within a topic: accuracy, ties broken by confidence.
    - NAME_answers: for each question its id, the option taken, whether it is right, and the key's probability.

    Options stand in an order drawn by the judge's order_seed, with one more that says it cannot be told, which is never
    right; of options that are equally likely a wrong one is taken. None where the row is left out, its image cannot be
    read, its topic has no questions, or the judge refused one of them.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the names of its columns"] = "quiz"
    image_column: Annotated[str, "the image"] = "image"
    questions_column: Annotated[str, "the questions of the row's topic"] = "questions"
    left_out_column: Annotated[str | None, "why a row is not to be asked about; null in it: ask"] = None
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    cannot_tell: Annotated[str | None, "the option that says so; null: none"] = "it cannot be told from the picture"
    orders: Annotated[int, "orders of the options asked and averaged: letters weigh less, each costs a pass"] = 1
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64
    prompt: Annotated[str, "the wording's own text: an edited one is another key"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        object.__setattr__(self, "prompt", source("quiz/question", self.wording))
        if self.orders < 1:
            raise ValueError(f"orders: {self.orders} is not accepted; expected 1 or more")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column, self.questions_column, *([self.left_out_column] if self.left_out_column else []))

    @property
    def columns(self) -> Features:
        from datasets import Features, List, Value

        answer = {"id": Value("string"), "answer": Value("string"), "right": Value("bool"), "key": Value("float32")}
        shares = {f"{self.name}_{what}": Value("float32") for what in ("accuracy", "confidence", "gain", "score")}
        return Features(shares | {f"{self.name}_answers": List(answer)})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        if self.left_out_column and row[self.left_out_column]:
            raise Unscorable(row[self.left_out_column])
        questions = questions_of(row[self.questions_column])
        if not questions:
            raise Unscorable("no questions")
        return {"image": decode_image(row[self.image_column]), "questions": questions}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        # Asked by place, not by id: that holds a topic's name, which a server may not take for a question's.
        requests = [
            judges.Request(
                image, {f"q{at}": as_choice(one, self.wording, self.cannot_tell) for at, one in enumerate(questions, 1)}
            )
            for image, questions in zip(batch["image"], batch["questions"], strict=True)
        ]
        asked = in_orders(self.judge, requests, self.orders)
        rows = [self._row(questions, answers) for questions, answers in zip(batch["questions"], asked, strict=True)]
        return {column: [row.get(column) for row in rows] for column in [*self.columns, f"{self.name}_error"]}

    def _row(self, questions: list[Question], answers: dict[str, dict[str, float] | str]) -> dict[str, Any]:
        told = []
        for at, question in enumerate(questions, 1):
            probabilities = answers[f"q{at}"]
            if isinstance(probabilities, str):
                return {f"{self.name}_error": probabilities}
            taken = most_likely(probabilities, question.answer)
            right, key = taken == question.answer, probabilities[question.answer]
            told.append({"id": question.id, "answer": taken, "right": right, "key": key})
        right, confidence = sum(one["right"] for one in told), sum(one["key"] for one in told) / len(told)
        guessed = [question.blind_confidence for question in questions]
        values = {
            "accuracy": right / len(told),
            "confidence": confidence,
            "gain": confidence - sum(guessed) / len(guessed),
            "score": (right + confidence) / (len(told) + 1),
            "answers": told,
        }
        return {f"{self.name}_{what}": value for what, value in values.items()}


def most_likely(probabilities: dict[str, float], answer: str) -> str:
    """The option taken. A tie is no knowledge of the answer: who finds all equally likely is wrong each time."""
    return max(probabilities, key=lambda option: (probabilities[option], option != answer))


def in_orders(
    judge: judges.Judge, requests: list[judges.Request], orders: int
) -> list[dict[str, dict[str, float] | str]]:
    """For each request a probability of every option by question, the mean over so many orders of the options.

    A question that the judge refused in any of them has the reason in place of its probabilities.
    """
    asked = [ordered(judge, number).decide(requests, batch_size=len(requests)) for number in range(orders)]
    return [
        {name: _mean([answers[name] for answers in turns]) for name in turns[0]} for turns in zip(*asked, strict=True)
    ]


def ordered(judge: judges.Judge, number: int) -> judges.Judge:
    """The same judge with its options in another order, from the seed it has."""
    return judge if number == 0 else replace(judge, order_seed=(judge.order_seed or 0) * 1000 + number)


def _mean(answers: list[dict[str, Any]]) -> dict[str, float] | str:
    refused = next((answer["error"] for answer in answers if "error" in answer), None)
    if refused is not None:
        return refused
    options = answers[0]["probabilities"]
    return {option: sum(answer["probabilities"][option] for answer in answers) / len(answers) for option in options}
