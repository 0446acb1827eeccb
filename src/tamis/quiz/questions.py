"""Quizzes: a judge writes multiple-choice questions about what can be seen, from a topic's article, as JSON.

A reply that breaks a rule goes back with what is wrong with it, twice at most; a topic that still has no whole quiz is
reported with its last faults, and never padded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tamis.judge import Ask
from tamis.prompts import render

REPAIRS = 2
KEYS = {"question", "options", "answer"}
# Options that say nothing to be seen; the one for "cannot be told" is the taker's to add.
EMPTY = ("none of these", "all of these", "none of the above", "all of the above", "cannot be told", "cannot tell")
_FENCE = re.compile(r"\A\s*```(?:json)?\s*(.*?)\s*```\s*\Z", re.DOTALL)


class Writer(Protocol):
    def write(self, asks: list[Ask], *, max_new_tokens: int) -> list[str]: ...


@dataclass(frozen=True)
class Topic:
    """What a quiz is about: its article, and those of things that it could be taken for, by name."""

    name: str
    article: str
    lookalikes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    topic: str
    number: int
    question: str
    options: tuple[str, ...]
    answer: str
    blind_confidence: float = 0.0  # the judge's probability of the answer without a picture

    @property
    def id(self) -> str:
        return f"{self.topic}-{self.number}"

    def row(self) -> dict[str, Any]:
        """As a dataset holds it; questions_of() reads it back."""
        return {
            "topic": self.topic,
            "number": self.number,
            "question": self.question,
            "options": list(self.options),
            "answer": self.answer,
            "blind_confidence": self.blind_confidence,
        }


def row_features() -> dict[str, Any]:
    from datasets import List, Value

    texts = {name: Value("string") for name in ("topic", "question", "answer")}
    return texts | {"number": Value("int32"), "options": List(Value("string")), "blind_confidence": Value("float32")}


def questions_of(rows: list[dict[str, Any]] | None) -> list[Question]:
    return [Question(**row | {"options": tuple(row["options"])}) for row in rows or ()]


def as_choice(
    question: Question, wording: str, cannot_tell: str | None, prompt: str = "quiz/question"
) -> dict[str, Any]:
    """The question as a judge takes it, with the option that it cannot be told, where there is to be one."""
    options = [*question.options, *([cannot_tell] if cannot_tell else [])]
    instructions = render(prompt, wording=wording, question=question.question)
    return {"type": "choice", "instructions": instructions, "criteria": dict.fromkeys(options)}


@dataclass(frozen=True)
class Quizzes:
    written: dict[str, list[Question]]
    repaired: dict[str, int]  # how often a topic's quiz went back before it was whole
    refused: dict[str, str]  # topics without a quiz, and what was wrong with the last reply


def write_quizzes(
    judge: Writer,
    topics: Sequence[Topic],
    *,
    count: int,
    options: int = 4,
    wording: str = "full",
    max_new_tokens: int = 2048,
) -> Quizzes:
    """A quiz of `count` questions with so many options each for every topic that the judge can write one for."""
    names = [topic.name for topic in topics]
    if len(set(names)) < len(names):
        raise ValueError(f"topics: {next(name for name in names if names.count(name) > 1)!r} is there twice")
    quizzes = Quizzes({}, {}, {})
    for topic in topics:
        if not topic.article.strip():
            quizzes.refused[topic.name] = "no article"
    left = [topic for topic in topics if topic.name not in quizzes.refused]
    asks = [Ask(render("quiz/write", wording=wording, **_told(topic, count, options))) for topic in left]
    for repairs in range(REPAIRS + 1):
        again = []
        for topic, reply in zip(left, judge.write(asks, max_new_tokens=max_new_tokens), strict=True):
            questions, faults = read(reply, topic.name, count=count, options=options)
            if faults:
                quizzes.refused[topic.name] = "; ".join(faults)
                again.append((topic, reply, faults))
            else:
                quizzes.refused.pop(topic.name, None)
                quizzes.written[topic.name], quizzes.repaired[topic.name] = questions, repairs
        left = [topic for topic, _, _ in again]
        asks = [
            Ask(render("quiz/repair", wording=wording, **_told(topic, count, options), reply=reply, faults=faults))
            for topic, reply, faults in again
        ]
        if not left:
            break
    return quizzes


def read(reply: str, topic: str, *, count: int, options: int) -> tuple[list[Question], list[str]]:
    """The questions of a reply, or what is wrong with it, in sentences that a repair can be asked with."""
    if not reply.strip():
        return [], ["nothing was written"]
    fenced = _FENCE.match(reply)
    try:
        made = json.loads(fenced[1] if fenced else reply)
    except (ValueError, RecursionError):  # a model that loops writes thousands of brackets
        return [], ["not JSON"]
    if not isinstance(made, list):
        return [], ["not a list"]
    faults, questions = [], []
    for number, one in enumerate(made, start=1):
        fault = _fault(one, topic, options)
        if fault is None and any(one["question"].strip() == earlier.question for earlier in questions):
            fault = "it is asked twice"
        if fault is not None:
            faults.append(fault if fault == WRONG_ANSWER else f"question {number}: {fault}")
            continue
        texts = tuple(option.strip() for option in one["options"])
        questions.append(Question(topic, number, one["question"].strip(), texts, one["answer"].strip()))
    if len(made) != count:
        faults.append("too few questions" if len(made) < count else "too many questions")
    return ([], list(dict.fromkeys(faults))) if faults else (questions, [])


WRONG_ANSWER = "the answer is not among the options"


def _fault(one: Any, topic: str, options: int) -> str | None:
    if not isinstance(one, dict) or set(one) != KEYS:
        return f"it is no object of {', '.join(sorted(KEYS))} alone"
    texts = [one["question"], one["answer"], *(one["options"] if isinstance(one["options"], list) else [None])]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        return "its question, options and answer are to be texts"
    given = [option.strip().casefold() for option in one["options"]]
    if len(given) != options:
        return f"it has {len(given)} options, not {options}"
    if len(set(given)) < len(given):
        return "two of its options are the same"
    if any(option in EMPTY for option in given):
        return "one of its options says nothing that can be seen"
    if one["answer"].strip() not in [option.strip() for option in one["options"]]:
        return WRONG_ANSWER
    if re.search(rf"(?<!\w){re.escape(topic.casefold())}(?!\w)", one["question"].casefold()):
        return "it names the topic"
    return None


def _told(topic: Topic, count: int, options: int) -> dict[str, Any]:
    lookalikes = [{"topic": name, "article": article} for name, article in topic.lookalikes.items()]
    shown = {"topic": topic.name, "article": topic.article, "lookalikes": lookalikes}
    return shown | {"count": count, "options": options}
