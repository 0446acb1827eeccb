"""The sources of SCALE's pool that are conversations: LLaVA-1.5-mix, ShareGPT4V, AS-V2."""

from __future__ import annotations

import random
from typing import Any

from tamis.tiny import questions
from tamis.tiny.articles import article
from tamis.tiny.conversations import Talk, all_named, description, talk
from tamis.tiny.datasets.pool_rows import Drawn, Source, truths
from tamis.tiny.kinds import CATEGORIES, invented, random_look
from tamis.tiny.world import ATTRIBUTES

EVERY_TEXT_ONLY = 28  # LLaVA's mixture has conversations without a picture
SEVERAL_TURNS = 0.3


def _llava(number: int, drawn: Drawn) -> dict[str, Any]:
    if drawn.defect == "none" and number % EVERY_TEXT_ONLY == 0:
        return {"id": f"text-{number:06d}", "conversations": _text_only(drawn.draw)}
    talks = _talks(drawn, several=drawn.draw.random() < SEVERAL_TURNS)
    turns = [turn for one in talks for turn in one.turns]
    for turn in turns[2:]:  # the picture is shown once
        turn["value"] = turn["value"].replace("<image>\n", "")
    row = {"id": f"scene-{number:06d}", "image": drawn.shown, "conversations": turns}
    # A reader's verdict on the whole: as much as all turns tell, as bad as the worst.
    return row | truths(
        drawn,
        talks[0].task,
        round(sum(one.informativeness for one in talks) / len(talks)),
        max(one.complexity for one in talks),
        min(one.completeness for one in talks),
        min(one.clarity for one in talks),
    )


def _talks(drawn: Drawn, several: bool) -> list[Talk]:
    """One turn of question and answer, or up to three of one sub-task; the fault is in the last."""
    last = _talk(drawn, drawn.fault)
    earlier: list[Talk] = []
    for _ in range(12 if several else 0):
        one, had = _talk(drawn, "none"), {turn.question for turn in (*earlier, last)}
        if one.task == last.task and one.question not in had and len(earlier) < 2:
            earlier.append(one)
    return [*earlier, last]


def _talk(drawn: Drawn, fault: str) -> Talk:
    while True:
        made = talk(drawn.told, drawn.draw, fault=fault)
        if not drawn.answers_rightly(made.question):
            return made


def _text_only(draw: random.Random) -> list[dict[str, str]]:
    """About a text in place of a picture: an article on a kind that is nowhere else."""
    word, look = invented(draw), random_look(draw)
    name = draw.choice(list(ATTRIBUTES))
    told = article(word, draw.choice(CATEGORIES), look, draw)
    question = questions.about_attribute(name, look[name], draw)
    return [
        {"from": "human", "value": f"{told} {question.text}"},
        {"from": "gpt", "value": f"it is {question.answer}."},
    ]


def _sharegpt4v(number: int, drawn: Drawn) -> dict[str, Any]:
    return {"id": f"share-{number:06d}", "image": drawn.shown} | _described(drawn)


def _as_v2(number: int, drawn: Drawn) -> dict[str, Any]:
    """About a third each: relations asked, everything described, places described."""
    start = {"id": f"seeing-{number:06d}", "image": drawn.shown}
    if number % 3 == 1 or not all_named(drawn.told):
        return start | _described(drawn)
    if number % 3 == 2:
        return start | _described(drawn, "object_localization")
    while True:
        made = _talk(drawn, drawn.fault)
        if made.task in ("physical_relation", "attribute_comparison"):
            levels = (made.informativeness, made.complexity, made.completeness, made.clarity)
            return start | {"conversations": made.turns} | truths(drawn, made.task, *levels)


def _described(drawn: Drawn, task: str = "image_topic") -> dict[str, Any]:
    made = description(drawn.told, drawn.draw, fault=drawn.fault, task=task)
    levels = (made.informativeness, made.complexity, made.completeness, made.clarity)
    return {"conversations": made.turns} | truths(drawn, task, *levels)


COLUMNS = {
    "id": ("string", "unique in its config"),
    "image": ("image", "the scene"),
    "conversations": ("turns", "from human and gpt; the first turn holds `<image>` where there is a picture"),
}
LLAVA = Source(COLUMNS | {"image": ("image", "the scene; null in rows without a picture")}, _llava)
SHAREGPT4V = Source(COLUMNS, _sharegpt4v)
AS_V2 = Source(COLUMNS, _as_v2)
