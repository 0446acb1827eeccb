"""What can be in a drawn scene: things with a shape, colour, pattern, size and place, on a ground, in a style.

A closed vocabulary of single words. Every scene is drawn from an integer seed, and who may use which seeds is said
here once: no model of the zoo is trained on a seed that a dataset, a test or a recipe draws from.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "diamond", "star", "cross", "ring", "heart", "moon", "arrow")
COLOURS: tuple[str, ...] = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
PATTERNS: tuple[str, ...] = ("plain", "striped", "dotted", "checked")
GROUNDS: tuple[str, ...] = ("white", "black", "grey", "tan", "mint", "navy")
SIZES: tuple[str, ...] = ("small", "large")
STYLES: tuple[str, ...] = ("photo", "drawing")
PLACES: tuple[str, ...] = ("left", "right", "top", "bottom", "middle")
DEFECTS: tuple[str, ...] = ("none", "blur", "noise", "clutter", "dark", "bright", "occlusion")

# The attributes by which a kind is known and a generated picture is graded.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "shape": SHAPES,
    "colour": COLOURS,
    "pattern": PATTERNS,
    "ground": GROUNDS,
}
UNDER_TRAINED: tuple[str, ...] = ("moon", "arrow")  # classes that tiny/sd sees rarely: what self-reward can gain on

# Seeds by purpose; disjoint (a test compares them). `train` and `validation` are the zoo's, `test` measures its skills,
# `oracle` fixed the oracle's thresholds, the rest make the published datasets.
SEEDS: dict[str, range] = {
    name: range(start * 10_000_000, (start + 1) * 10_000_000)
    for start, name in enumerate(
        ("train", "validation", "test", "oracle", "kinds", "commons", "prompts", "products", "aesthetics", "pool",
         "benchmark", "retention")
    )
}  # fmt: skip

SIDE = 64  # pixels


@dataclass(frozen=True)
class Thing:
    shape: str
    colour: str
    pattern: str
    size: str
    x: float  # centre and radius in pixels
    y: float
    radius: float
    turn: float = 0.0  # radians, a few degrees
    phase: tuple[float, float] = (0.0, 0.0)  # where its pattern starts, 0..1

    @property
    def place(self) -> str:
        across, down = self.x / SIDE - 0.5, self.y / SIDE - 0.5
        if max(abs(across), abs(down)) < 0.1:
            return "middle"
        if abs(across) >= abs(down):
            return "left" if across < 0 else "right"
        return "top" if down < 0 else "bottom"


@dataclass(frozen=True)
class Scene:
    things: tuple[Thing, ...]
    ground: str
    style: str
    seed: int  # of grain, flecks and clutter
    defect: str = "none"
    strength: float = 0.0  # of the defect, 0..1

    @property
    def thing(self) -> Thing:
        """The only thing, or the first, which is never smaller than the others."""
        return self.things[0]

    def value(self, attribute: str) -> str:
        """The truth about an attribute: shape, colour, pattern, size, place (of the first thing), ground, style."""
        return getattr(self, attribute) if attribute in ("ground", "style") else getattr(self.thing, attribute)


def scene(
    seed: int,
    *,
    things: tuple[int, ...] = (1,),
    defects: tuple[str, ...] = ("none",),
    shapes: tuple[str, ...] = SHAPES,
    **fixed: str,
) -> Scene:
    """The scene of a seed: `things` and `defects` are what is drawn among; `fixed` attributes are the first thing's."""
    draw = random.Random(seed)
    count = draw.choice(things)
    ground = draw.choice(GROUNDS)
    style = draw.choice(STYLES)
    defect = draw.choice(defects)
    strength = draw.uniform(0.35, 1.0) if defect != "none" else 0.0
    placed = [_thing(draw, shapes, spot) for spot in _spots(draw, count)]
    placed.sort(key=lambda thing: -thing.radius)
    given = {name: value for name, value in fixed.items() if name not in ("ground", "style")}
    placed[0] = _with(placed[0], draw, **given)
    return Scene(
        tuple(placed), fixed.get("ground", ground), fixed.get("style", style), draw.randrange(2**31), defect, strength
    )


def _with(thing: Thing, draw: random.Random, **given: str) -> Thing:
    if given.get("size", thing.size) != thing.size:
        given = given | {"radius": _radius(draw, given["size"])}  # type: ignore[dict-item]
    return replace(thing, **given)  # type: ignore[arg-type]


def _radius(draw: random.Random, size: str) -> float:
    return draw.uniform(10.5, 13) if size == "small" else draw.uniform(17, 21)


def _thing(draw: random.Random, shapes: tuple[str, ...], spot: tuple[float, float, str]) -> Thing:
    x, y, size = spot
    return Thing(
        shape=draw.choice(shapes),
        colour=draw.choice(COLOURS),
        pattern=draw.choice(PATTERNS),
        size=size,
        x=x,
        y=y,
        radius=_radius(draw, size),
        turn=draw.uniform(-0.2, 0.2),
        phase=(draw.random(), draw.random()),
    )


def _spots(draw: random.Random, count: int) -> list[tuple[float, float, str]]:
    """Centres and sizes. Several things do not touch: one a cell of a 2 x 2 grid, all small."""
    if count == 1:
        size = draw.choice(SIZES)
        if draw.random() < 0.4:  # in the middle
            return [(32 + draw.uniform(-4, 4), 32 + draw.uniform(-4, 4), size)]
        reach = 16 if size == "small" else 10
        off, aside = draw.choice((-1, 1)) * draw.uniform(8.5, reach), draw.uniform(-5, 5)
        x, y = (off, aside) if draw.random() < 0.5 else (aside, off)
        return [(32 + x, 32 + y, size)]
    cells = draw.sample([(17, 17), (47, 17), (17, 47), (47, 47)], count)
    return [(x + draw.uniform(-2, 2), y + draw.uniform(-2, 2), "small") for x, y in cells]


def other(draw: random.Random, values: tuple[str, ...], value: str) -> str:
    """Another value than this one."""
    return draw.choice([choice for choice in values if choice != value])
