"""Questions about a scene with one right word, the wrong ones to choose among, and what kind of question it is."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tamis.tiny.captions import named, relation
from tamis.tiny.world import ATTRIBUTES, COLOURS, PATTERNS, PLACES, SHAPES, SIZES, STYLES, Scene, other

DIFFICULTIES = (0, 1, 2, 3, 5)  # how much must be seen and put together
NUMBERS = ("one", "two", "three")
RELATIONS = ("left of", "right of", "above", "below")

# Several ways to ask for one attribute of the only thing: a quiz of ten questions has no two alike.
ASKED: dict[str, tuple[str, ...]] = {
    "shape": ("what shape is it?", "which shape is shown?", "what is its shape?", "it has the shape of a"),
    "colour": ("what colour is it?", "which colour is shown?", "what is its colour?", "it has the colour"),
    "pattern": (
        "what pattern is on it?",
        "which pattern is shown?",
        "what is its pattern?",
        "it has a pattern that is",
    ),
    "ground": ("what ground is it on?", "which ground is shown?", "what is its ground?", "it is on a ground that is"),
}


@dataclass(frozen=True)
class Question:
    text: str
    answer: str
    wrong: tuple[str, ...]  # every other value it could have been
    task: str  # the sub-task, by MMBench's label
    difficulty: int

    def options(self, draw: random.Random, count: int = 4, among: str | None = None) -> list[str]:
        """The answer and wrong ones in an order of chance; `among` is a wrong one that must be there."""
        wrong = [value for value in self.wrong if value != among]
        chosen = draw.sample(wrong, min(count - 1 - (among is not None), len(wrong)))
        options = [self.answer, *chosen, *([among] if among is not None else [])]
        draw.shuffle(options)
        return options


def about_attribute(attribute: str, value: str, draw: random.Random) -> Question:
    wrong = tuple(choice for choice in ATTRIBUTES[attribute] if choice != value)
    task = "image_scene" if attribute == "ground" else "attribute_recognition"
    return Question(draw.choice(ASKED[attribute]), value, wrong, task, 1 if attribute == "pattern" else 0)


def ask(scene: Scene, draw: random.Random) -> Question:
    """A question that the scene answers."""
    return _first(_SINGLE if len(scene.things) == 1 else _SEVERAL, scene, draw)


def tell_apart(scene: Scene, draw: random.Random) -> Question:
    """A question that only who tells several things apart can answer; any other about a single one."""
    return _first(_SINGLE if len(scene.things) == 1 else _APART, scene, draw)


def _first(
    makers: Sequence[Callable[[Scene, random.Random], Question | None]], scene: Scene, draw: random.Random
) -> Question:
    """Of the makers by chance: not every scene can be asked everything, but any for its ground."""
    for _ in range(100):
        question = draw.choice(makers)(scene, draw)
        if question is not None:
            return question
    return _ground(scene, draw)


def _attribute(scene: Scene, draw: random.Random) -> Question:
    name = draw.choice(list(ATTRIBUTES))
    return about_attribute(name, scene.value(name), draw)


def _named_attribute(scene: Scene, draw: random.Random) -> Question:
    """With the shape named: in a scene of several this says which one is meant."""
    thing = draw.choice(scene.things)
    name = draw.choice(("colour", "pattern"))
    value = getattr(thing, name)
    wrong = tuple(choice for choice in ATTRIBUTES[name] if choice != value)
    text = f"what colour is the {thing.shape}?" if name == "colour" else f"what pattern is on the {thing.shape}?"
    return Question(text, value, wrong, "attribute_recognition", 1)


def _unique_named_attribute(scene: Scene, draw: random.Random) -> Question | None:
    return _named_attribute(scene, draw) if _all_differ(scene, "shape") else None


def _topic(scene: Scene, draw: random.Random) -> Question:
    shape = scene.thing.shape
    wrong = tuple(choice for choice in SHAPES if choice not in {thing.shape for thing in scene.things})
    text = draw.choice(("what is this a picture of?", "what does the picture show?"))
    return Question(text, shape, wrong, "image_topic", 0)


def _ground(scene: Scene, draw: random.Random) -> Question:
    return about_attribute("ground", scene.ground, draw)


def _style(scene: Scene, draw: random.Random) -> Question:
    text = draw.choice(("is it a photo or a drawing?", "what style is the picture?"))
    return Question(text, scene.style, (other(draw, STYLES, scene.style),), "image_style", 0)


def _size(scene: Scene, draw: random.Random) -> Question:
    size = scene.thing.size
    return Question("how large is it?", size, (other(draw, SIZES, size),), "attribute_recognition", 1)


def _place(scene: Scene, draw: random.Random) -> Question:
    place = scene.thing.place
    wrong = tuple(choice for choice in PLACES if choice != place)
    return Question(f"where is the {scene.thing.shape}?", place, wrong, "object_localization", 2)


def _shape_of(scene: Scene, draw: random.Random) -> Question | None:
    if not _all_differ(scene, "colour"):
        return None
    thing = draw.choice(scene.things)
    wrong = tuple(choice for choice in SHAPES if choice != thing.shape)
    return Question(f"what shape is the {thing.colour} one?", thing.shape, wrong, "attribute_recognition", 2)


def _count(scene: Scene, draw: random.Random) -> Question:
    number = NUMBERS[len(scene.things) - 1]
    wrong = tuple(choice for choice in NUMBERS if choice != number)
    return Question("how many things are there?", number, wrong, "object_localization", 2)


def _relation(scene: Scene, draw: random.Random) -> Question | None:
    if not _all_differ(scene, "shape"):
        return None
    first, second = draw.sample(scene.things, 2)
    truth = relation(first, second)
    wrong = tuple(choice for choice in RELATIONS if choice != truth)
    return Question(f"where is the {first.shape} from the {second.shape}?", truth, wrong, "physical_relation", 3)


def _compared(scene: Scene, draw: random.Random) -> Question | None:
    if not _all_differ(scene, "shape"):
        return None
    first, second = draw.sample(scene.things, 2)
    name = draw.choice(("colour", "pattern"))
    same = getattr(first, name) == getattr(second, name)
    text = f"have the {first.shape} and the {second.shape} the same {name}?"
    answer, wrong = ("same", "different") if same else ("different", "same")
    return Question(text, answer, (wrong,), "attribute_comparison", 3)


def _neighbour(scene: Scene, draw: random.Random) -> Question | None:
    """Two steps: find the one that is beside another, then say its colour."""
    if not (_all_differ(scene, "shape") and len(scene.things) == 2):
        return None
    first, second = draw.sample(scene.things, 2)
    wrong = tuple(choice for choice in COLOURS if choice != first.colour)
    text = f"what colour is the one {relation(first, second)} the {second.shape}?"
    return Question(text, first.colour, wrong, "physical_relation", 5)


def _pattern_of(scene: Scene, draw: random.Random) -> Question | None:
    if not _all_differ(scene, "colour"):
        return None
    thing = draw.choice(scene.things)
    wrong = tuple(choice for choice in PATTERNS if choice != thing.pattern)
    return Question(f"what pattern is on the {thing.colour} one?", thing.pattern, wrong, "attribute_recognition", 5)


def _all_differ(scene: Scene, name: str) -> bool:
    return len({getattr(thing, name) for thing in scene.things}) == len(scene.things)


def statement(scene: Scene, draw: random.Random, right: bool) -> str:
    """A short sentence about the scene that holds, or one that does not."""
    thing = draw.choice(scene.things)
    if right:
        return f"a {named(thing)} on {scene.ground} ground"
    name = draw.choice(list(ATTRIBUTES))
    look = {one: getattr(thing, one) for one in ("colour", "pattern", "shape")} | {"ground": scene.ground}
    taken = {getattr(one, name) for one in scene.things} if name != "ground" else {scene.ground}
    look[name] = draw.choice([value for value in ATTRIBUTES[name] if value not in taken])
    return f"a {look['colour']} {look['pattern']} {look['shape']} on {look['ground']} ground"


_SINGLE = (_attribute, _attribute, _attribute, _named_attribute, _topic, _ground, _style, _size, _place, _count)
_SEVERAL = (
    _unique_named_attribute,
    _unique_named_attribute,
    _ground,
    _style,
    _shape_of,
    _count,
    _relation,
    _compared,
    _neighbour,
    _pattern_of,
)
_APART = (_unique_named_attribute, _shape_of, _pattern_of, _relation, _relation, _neighbour)
