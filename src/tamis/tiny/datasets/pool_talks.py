"""The sources of SCALE's pool that are conversations: LLaVA-1.5-mix, ShareGPT4V, AS-V2."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from tamis.tiny import questions
from tamis.tiny.articles import article
from tamis.tiny.conversations import VAGUE, Talk, general_caption, talk, task_caption
from tamis.tiny.datasets.pool_rows import Drawn, Source, truths
from tamis.tiny.kinds import CATEGORIES, invented, random_look
from tamis.tiny.world import ATTRIBUTES, Scene, other

EVERY_TEXT_ONLY = 28  # LLaVA's mixture has conversations without a picture
SEVERAL_TURNS = 0.3
# What a description tells besides the general caption; the second line of several things with names of their own.
ALL_TOLD = ("attribute_recognition", "object_localization", "image_scene", "image_style")
ALL_TOLD_OF_SEVERAL = ("physical_relation", "attribute_comparison")
DESCRIBE = {
    "image_topic": (
        "describe the picture.",
        "tell everything about the picture.",
        "what does the picture show? tell all.",
    ),
    "object_localization": ("where is what?", "tell where each thing is."),
}


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
    if number % 3 == 1 or not _all_named(drawn.told):
        return start | _described(drawn)
    if number % 3 == 2:
        return start | _described(drawn, "object_localization")
    while True:
        made = _talk(drawn, drawn.fault)
        if made.task in ("physical_relation", "attribute_comparison"):
            levels = (made.informativeness, made.complexity, made.completeness, made.clarity)
            return start | {"conversations": made.turns} | truths(drawn, made.task, *levels)


def _described(drawn: Drawn, task: str = "image_topic") -> dict[str, Any]:
    """A description of many sentences, or of a few: informativeness follows from how many."""
    draw, told = drawn.draw, drawn.told
    tasks = (task,) if task != "image_topic" else ALL_TOLD + (ALL_TOLD_OF_SEVERAL if _all_named(told) else ())
    if drawn.fault == "wrong answer":
        told = _altered(told, draw)
    sentences = [task_caption(told, one) for one in tasks]
    draw.shuffle(sentences)
    kept = draw.randint(1, len(sentences))
    text = " ".join([general_caption(told), *sentences[:kept]])
    level = 5 if kept >= 4 else 4 if kept >= 2 else 3
    levels: tuple[int, int | None, int, int] = (level, None, 5, 5)
    if drawn.fault == "vague text":
        text, levels = " ".join(draw.sample(VAGUE, 2)), (1, None, 2, 1)
    elif drawn.fault == "cut short":
        words = text.rstrip(".").split()
        kept_words = words[: draw.randint(len(words) // 3, len(words) - 2)]
        text, levels = " ".join(kept_words) + " the", (level - 1, None, 1, 2)
    turns = [
        {"from": "human", "value": f"<image>\n{draw.choice(DESCRIBE[task])}"},
        {"from": "gpt", "value": text},
    ]
    return {"conversations": turns} | truths(drawn, task, *levels)


def _all_named(told: Scene) -> bool:
    """Several things, no two of one shape: each can be named by it."""
    return len({thing.shape for thing in told.things}) == len(told.things) > 1


def _altered(told: Scene, draw: random.Random) -> Scene:
    """The same with one attribute wrong."""
    name = draw.choice(list(ATTRIBUTES))
    value = other(draw, ATTRIBUTES[name], told.value(name))
    if name == "ground":
        return replace(told, ground=value)
    return replace(told, things=(replace(told.thing, **{name: value}), *told.things[1:]))


COLUMNS = {
    "id": ("string", "unique in its config"),
    "image": ("image", "the scene"),
    "conversations": ("turns", "from human and gpt; the first turn holds `<image>` where there is a picture"),
}
LLAVA = Source(COLUMNS | {"image": ("image", "the scene; null in rows without a picture")}, _llava)
SHAREGPT4V = Source(COLUMNS, _sharegpt4v)
AS_V2 = Source(COLUMNS, _as_v2)
