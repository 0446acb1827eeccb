"""Scorers whose every answer is known, for tests of the engine. What they were asked is noted in a file."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets import Features, List, Value

from tamis.images import Unscorable
from tamis.quiz.questions import row_features


def note(what: str) -> None:
    """One line in the file that TAMIS_TEST_NOTES names, appended whole: ranks and killed children share it."""
    if path := os.environ.get("TAMIS_TEST_NOTES"):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{what}\n".encode())
        os.close(descriptor)


def notes(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@dataclass(frozen=True)
class Length:
    """Characters of a text; null for an empty one."""

    name: str = "length"
    text_column: str = "text"
    factor: float = 1.0
    rows_per_chunk: int = 16
    seconds_a_call: float = 0.0
    bucket_by: ClassVar[str | None] = None
    models: ClassVar[tuple] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text_column,)

    @property
    def columns(self) -> Features:
        return Features({f"{self.name}_characters": Value("float32")})

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        if not row[self.text_column]:
            raise Unscorable("text: empty")
        return {"text": row[self.text_column]}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        note(" ".join(batch["text"]))
        time.sleep(self.seconds_a_call)
        return {f"{self.name}_characters": [self.factor * len(text) for text in batch["text"]]}


@dataclass(frozen=True)
class Author:
    """Writes as many questions as the article has words; the word is what the blind judge makes of it."""

    name: str = "quiz_writer"
    topic_column: str = "topic"
    rows_per_chunk: int = 2
    bucket_by: ClassVar[str | None] = None
    models: ClassVar[tuple] = ()
    inputs: ClassVar[tuple[str, ...]] = ("topic", "article")

    @property
    def columns(self) -> Features:
        return Features({f"{self.name}_questions": List(row_features())})

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        if not row["article"]:
            raise Unscorable("article: empty")
        return row

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        quizzes = [
            [
                {"topic": topic, "number": at, "question": word, "options": ["x", "y"], "answer": "x"}
                | {"blind_confidence": 0.0}
                for at, word in enumerate(article.split(), 1)
            ]
            for topic, article in zip(batch["topic"], batch["article"], strict=True)
        ]
        return {f"{self.name}_questions": quizzes}


@dataclass(frozen=True)
class Blind:
    """Needs no picture for a question that is `known`, and refuses one that is `rude`."""

    name: str = "needs_picture"
    rows_per_chunk: int = 4
    bucket_by: ClassVar[str | None] = None
    models: ClassVar[tuple] = ()
    inputs: ClassVar[tuple[str, ...]] = ("question",)

    @property
    def columns(self) -> Features:
        return Features({f"{self.name}_{what}": Value("float32") for what in ("missed", "surprise")})

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["question"] == "rude":
            raise Unscorable("judge: refused")
        return row

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        missed = [{"known": 0.25, "even": 0.5}.get(word, 1.0) for word in batch["question"]]
        return {f"{self.name}_missed": missed, f"{self.name}_surprise": [0.75] * len(missed)}
