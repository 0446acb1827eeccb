"""Pictures of the embedded world's kinds with a quiz about each, and a judge whose every answer is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from datasets import Dataset, Features, Image, List, load_dataset
from judge.api_server import USAGE, Replayed, replaying

from tamis.quiz.questions import Question, row_features
from tamis.tiny import questions as asking
from tamis.tiny.kinds import kinds
from tamis.tiny.world import ATTRIBUTES

TINY = {"model": "tiny/vlm"}


def quiz_of(word: str, count: int = 4) -> list[Question]:
    """About a kind's look, four options each; the answer comes first, as careless writers have it."""
    draw = random.Random(word)
    look = next(kind.look for kind in kinds() if kind.word == word)
    made = []
    for number in range(count):
        name = list(ATTRIBUTES)[number % len(ATTRIBUTES)]
        text = asking.ASKED[name][number // len(ATTRIBUTES)]
        wrong = draw.sample([value for value in ATTRIBUTES[name] if value != look[name]], 3)
        made.append(Question(word, number + 1, text, (look[name], *wrong), look[name]))
    return made


def commons(count: int, **truth: Any) -> Dataset:
    """The first rows of tiny/commons of which this is true, images as stored."""
    rows = load_dataset("tiny/commons", split="train").cast_column("image", Image(decode=False))
    columns = zip(*(rows[f"truth_{name}"] for name in truth), strict=True)
    return rows.select([at for at, told in enumerate(columns) if told == tuple(truth.values())][:count])


def quiz_rows(images: list[Any], questions: list[list[Question] | None], **columns: list[Any]) -> Dataset:
    cells = [{"bytes": one, "path": None} if isinstance(one, bytes) else one for one in images]
    quizzes = [None if quiz is None else [one.row() for one in quiz] for quiz in questions]
    features = Features({"image": Image(decode=False), "questions": List(row_features())})
    rows = Dataset.from_dict({"image": cells, "questions": quizzes}, features=features)
    for name, values in columns.items():
        rows = rows.add_column(name, values)
    return rows


Weights = Callable[[str, dict[str, Any]], dict[str, float] | float | None]


@contextmanager
def judged(answer: Weights, **settings: Any) -> Iterator[tuple[dict[str, Any], Replayed]]:
    """Settings of a judge on loopback, and what it is sent.

    answer: from a question's name and the question, options as it is shown them, a probability each (of a noul: that of
    yes); None: the server leaves the question out.
    """

    def reply(number: int, body: dict[str, Any]) -> Any:
        answers = {}
        for name, question in body["questions"].items():
            told = answer(name, question)
            if isinstance(told, dict):
                answers[name] = {"type": "choice", "probabilities": told}
            elif told is not None:
                answers[name] = {"type": "noul", "noul": told}
        return 200, {}, {"model": "m", "answers": answers, "usage": USAGE}

    with replaying(reply) as server:
        asked = {"backend": "api", "model": "m", "base_url": server.url, "route": "systemone"}
        yield asked | {"api_key_env": "JUDGE_TEST_KEY"} | settings, server


def second_of(name: str, question: dict[str, Any]) -> dict[str, float]:
    """Always B, and nearly sure of it."""
    rest = 0.1 / (len(question["criteria"]) - 1)
    return {option: 0.9 if place == 1 else rest for place, option in enumerate(question["criteria"])}


def shown(server: Replayed, name: str) -> list[list[str]]:
    """The options of a question in each request that asks it, as they were ordered."""
    return [list(body["questions"][name]["criteria"]) for body in server.bodies if name in body["questions"]]
