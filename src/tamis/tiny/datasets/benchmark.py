"""tiny/benchmark: multiple-choice questions over scenes that nothing else shows, in MMBench's columns."""

from __future__ import annotations

import itertools
import random
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tamis.prompts.scale import SUBTASKS
from tamis.tiny.conversations import RARITY
from tamis.tiny.datasets import writing
from tamis.tiny.datasets.writing import Table
from tamis.tiny.questions import Question, ask
from tamis.tiny.world import SEEDS, Scene, scene

PER_TASK = {"dev": 20, "test": 40}

COLUMNS = {
    "index": ("int64", "unique over both splits"),
    "question": ("string", "about the picture"),
    "hint": ("string", "always null"),
    "A": ("string", "an option"),
    "B": ("string", "an option"),
    "C": ("string", "an option; null where there are two"),
    "D": ("string", "an option; null where there are fewer than four"),
    "answer": ("string", "the letter of the right option, in both splits"),
    "category": ("string", "the sub-task"),
    "image": ("image", "a clean scene of one to three things, its own for every question"),
    "source": ("string", "always tiny"),
    "l2-category": ("string", "the sub-task's category"),
    "comment": ("string", "always null"),
    "split": ("string", "dev or test"),
}
ABOUT = f"""
Multiple-choice questions in MMBench's columns and labels: the {len(RARITY)} sub-tasks that make sense for drawn scenes,
as many questions of each. Unlike MMBench's, the answers of `test` are there.
"""


def tables() -> dict[str, Table]:
    seeds, index = iter(SEEDS["benchmark"]), itertools.count()
    splits = {
        split: [_row(*found, split, next(index)) for found in _found(seeds, count)] for split, count in PER_TASK.items()
    }
    return {"default": Table(COLUMNS, splits)}


def write(folder: Path) -> None:
    title = "Benchmark of the embedded world"
    tasks = ["visual-question-answering", "multiple-choice"]
    writing.write(folder, title=title, about=ABOUT, tasks=tasks, tables=tables())


def _found(seeds: Iterator[int], count: int) -> list[tuple[Scene, Question, random.Random]]:
    """So many questions of every sub-task, from the next seeds; one scene has one question."""
    made: list[tuple[Scene, Question, random.Random]] = []
    had: Counter[str] = Counter()
    while len(made) < count * len(RARITY):
        seed = next(seeds)
        drawn, draw = scene(seed, things=(1, 1, 2, 3)), random.Random(f"benchmark-{seed}")
        question = ask(drawn, draw)
        if had[question.task] < count:
            had[question.task] += 1
            made.append((drawn, question, draw))
    return made


def _row(drawn: Scene, question: Question, draw: random.Random, split: str, index: int) -> dict[str, Any]:
    options = question.options(draw)
    return {
        "index": index,
        "question": question.text,
        **dict(zip(string.ascii_uppercase, options, strict=False)),
        "answer": string.ascii_uppercase[options.index(question.answer)],
        "category": question.task,
        "image": drawn,
        "source": "tiny",
        "l2-category": SUBTASKS[question.task].category,
        "split": split,
    }
