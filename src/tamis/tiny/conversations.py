"""Instructions in LLaVA's form, with known faults and known levels of quality, and what captions say of a scene."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from tamis.prompts.scale import SUBTASKS
from tamis.tiny import questions
from tamis.tiny.captions import DEFECT_WORDS, PLACE_WORDS, caption, named, relation
from tamis.tiny.world import ATTRIBUTES, Scene, other

# Sub-tasks that make sense for drawn scenes, with how rare they are in the pool: 1 common to 5 rare.
RARITY = {
    "attribute_recognition": 1,
    "image_topic": 1,
    "image_scene": 2,
    "object_localization": 3,
    "image_style": 3,
    "attribute_comparison": 4,
    "physical_relation": 5,
}
VAGUE = ("it is something.", "not sure.", "a thing.", "maybe so.", "there is stuff.", "hard to say.")
# Requests for a description of many sentences, by the sub-task it is.
DESCRIBE = {
    "image_topic": (
        "describe the picture.",
        "tell everything about the picture.",
        "what does the picture show? tell all.",
    ),
    "object_localization": ("where is what?", "tell where each thing is."),
}
# What a description tells besides the general caption; the second line of several things with names of their own.
ALL_TOLD = ("attribute_recognition", "object_localization", "image_scene", "image_style")
ALL_TOLD_OF_SEVERAL = ("physical_relation", "attribute_comparison")

# Questions of the sub-tasks that no drawn scene can answer: for telling sub-tasks apart only.
_ELSEWHERE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "celebrity_recognition": (
        ("who is this {who}?", "what is the name of the {who}?", "which {who} is shown?"),
        ("singer", "actor", "painter", "player", "king"),
    ),
    "ocr": (
        ("what does the {who} say?", "which word is on the {who}?", "read the {who}."),
        ("sign", "label", "poster", "screen", "page"),
    ),
    "action_recognition": (
        ("what is the {who} doing?", "which action does the {who} do?", "is the {who} running or eating?"),
        ("man", "woman", "child", "dog", "horse"),
    ),
    "physical_property_reasoning": (
        ("can the {who} float?", "is the {who} heavy?", "does the {who} melt?", "is the {who} hard or soft?"),
        ("stone", "cork", "ice", "iron", "wax"),
    ),
    "function_reasoning": (
        ("what is the {who} for?", "what can one do with the {who}?", "how is the {who} used?"),
        ("hammer", "kettle", "broom", "ladder", "spoon"),
    ),
    "social_relation": (
        ("how are the two {who} related?", "are the {who} friends or family?", "who are the {who} to each other?"),
        ("men", "women", "people", "children"),
    ),
    "structuralized_imagetext_understanding": (
        ("which bar of the {who} is tallest?", "what does the {who} sum up to?", "what follows from the {who}?"),
        ("chart", "table", "graph", "diagram"),
    ),
    "future_prediction": (
        ("what will happen next to the {who}?", "where will the {who} go then?", "what comes after for the {who}?"),
        ("ball", "cup", "boat", "train", "bird"),
    ),
}


@dataclass(frozen=True)
class Talk:
    """One turn of question and answer about a scene, with the levels 1..5 that a careful reader would give."""

    question: str
    answer: str
    task: str
    informativeness: int
    complexity: int | None  # none: a description asks for no thought
    completeness: int
    clarity: int

    @property
    def turns(self) -> list[dict[str, str]]:
        return [
            {"from": "human", "value": f"<image>\n{self.question}"},
            {"from": "gpt", "value": self.answer},
        ]

    @property
    def text(self) -> str:
        """As judges read it: who says what, line by line, without the placeholder of the picture."""
        return as_text(self.turns)


def as_text(turns: list[dict[str, str]]) -> str:
    return "\n".join(f"{turn['from']}: {turn['value'].replace('<image>', '').strip()}" for turn in turns)


def talk(scene: Scene, draw: random.Random, *, fault: str = "none", level: int | None = None) -> Talk:
    """A turn about the scene. `fault`: none, "vague text", "wrong answer" or "cut short"; `level`: how much the answer
    tells, 2 a bare word to 5 everything."""
    question = questions.ask(scene, draw)
    complexity = 1 + questions.DIFFICULTIES.index(question.difficulty)
    if fault == "vague text":
        return Talk(question.text, draw.choice(VAGUE), question.task, 1, complexity, 2, 1)
    level = level or draw.choice((2, 3, 4, 5))
    word = draw.choice(question.wrong) if fault == "wrong answer" else question.answer
    told = word if level == 2 else " ".join([f"it is {word}.", *_more(scene, draw)[: level - 3]])
    if fault == "cut short":
        words = told.rstrip(".").split()
        kept = max(1, len(words) - draw.randint(1, 3))
        return Talk(question.text, " ".join(words[:kept]) + " the", question.task, max(2, level - 1), complexity, 1, 2)
    return Talk(question.text, told, question.task, level, complexity, 3 if level == 2 else 5, 4 if level == 2 else 5)


def description(scene: Scene, draw: random.Random, *, fault: str = "none", task: str = "image_topic") -> Talk:
    """A description of many sentences, or of a few: informativeness follows from how many."""
    tasks = (task,) if task != "image_topic" else ALL_TOLD + (ALL_TOLD_OF_SEVERAL if all_named(scene) else ())
    if fault == "wrong answer":
        scene = _altered(scene, draw)
    sentences = [task_caption(scene, one) for one in tasks]
    draw.shuffle(sentences)
    kept = draw.randint(1, len(sentences))
    text = " ".join([general_caption(scene), *sentences[:kept]])
    level = 5 if kept >= 4 else 4 if kept >= 2 else 3
    levels: tuple[int, int | None, int, int] = (level, None, 5, 5)
    if fault == "vague text":
        text, levels = " ".join(draw.sample(VAGUE, 2)), (1, None, 2, 1)
    elif fault == "cut short":
        words = text.rstrip(".").split()
        kept_words = words[: draw.randint(len(words) // 3, len(words) - 2)]
        text, levels = " ".join(kept_words) + " the", (level - 1, None, 1, 2)
    return Talk(draw.choice(DESCRIBE[task]), text, task, *levels)


def all_named(scene: Scene) -> bool:
    """Several things, no two of one shape: each can be named by it."""
    return len({thing.shape for thing in scene.things}) == len(scene.things) > 1


def elsewhere(task: str, draw: random.Random) -> str:
    """A question of a sub-task that drawn scenes cannot answer, with an answer of sorts, as judges read it."""
    forms, subjects = _ELSEWHERE[task]
    question = draw.choice(forms).format(who=draw.choice(subjects))
    return f"human: {question}\ngpt: {draw.choice(VAGUE + ('yes.', 'no.', 'the first one.'))}"


def tasks_elsewhere() -> tuple[str, ...]:
    assert set(_ELSEWHERE) | set(RARITY) == set(SUBTASKS)
    return tuple(_ELSEWHERE)


def general_caption(scene: Scene) -> str:
    return f"{caption(scene)}. the picture is {DEFECT_WORDS[scene.defect]}."


def task_caption(scene: Scene, task: str) -> str:
    """What a caption for this sub-task says; nothing much where it asks for what no drawn scene has."""
    things = scene.things
    names = [thing.shape for thing in things]
    if task == "image_style":
        return f"it is a {scene.style}."
    if task == "image_scene":
        return f"the ground is {scene.ground}."
    if task == "image_topic":
        return f"it shows {' and '.join(f'a {name}' for name in names)}."
    if task == "object_localization":
        return " ".join(f"the {thing.shape} is {PLACE_WORDS[thing.place]}." for thing in things)
    if task == "attribute_recognition":
        return " ".join(f"the {thing.shape} is {thing.size}, {thing.colour} and {thing.pattern}." for thing in things)
    if task == "attribute_comparison" and len(things) > 1:
        same = [name for name in ("colour", "pattern") if len({getattr(thing, name) for thing in things}) == 1]
        return f"they have the same {' and '.join(same)}." if same else "they differ in colour and pattern."
    if task == "physical_relation" and len(things) > 1:
        return f"the {names[0]} is {relation(things[0], things[1])} the {names[1]}."
    return "there is no such thing."


def _more(scene: Scene, draw: random.Random) -> list[str]:
    """Further things that are true of the scene."""
    thing = draw.choice(scene.things)
    told = [f"there is a {named(thing)}.", f"the ground is {scene.ground}.", f"it is a {scene.style}."]
    draw.shuffle(told)
    return told


def _altered(scene: Scene, draw: random.Random) -> Scene:
    """The same with one attribute wrong."""
    name = draw.choice(list(ATTRIBUTES))
    value = other(draw, ATTRIBUTES[name], scene.value(name))
    if name == "ground":
        return replace(scene, ground=value)
    return replace(scene, things=(replace(scene.thing, **{name: value}), *scene.things[1:]))
