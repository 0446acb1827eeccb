"""Instructions in LLaVA's form, with known faults and known levels of quality, and what captions say of a scene."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tamis.prompts.scale import SUBTASKS
from tamis.tiny import questions
from tamis.tiny.captions import DEFECT_WORDS, PLACE_WORDS, caption, named, relation
from tamis.tiny.world import Scene

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
    complexity: int
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
