"""What makes a scene pleasing: a hidden rule from 1 to 10, a cruder one, and critiques that argue for a score."""

from __future__ import annotations

import random

from tamis.tiny.world import SIDE, Scene

WARM = ("red", "orange", "yellow", "pink")

# Each trait: whether a scene has it, what praises it, what blames its absence, its share in the hidden rule.
TRAITS: dict[str, tuple[str, str, float]] = {
    "sharp": ("the picture is sharp", "the picture is blurry", 1.6),
    "clean": ("the picture is clean", "the picture is noisy", 1.4),
    "calm": ("the ground is calm", "the ground is cluttered", 1.0),
    "lit": ("the light is right", "the light is wrong", 1.4),
    "whole": ("the thing is whole", "the thing is covered", 1.2),
    "balanced": ("the place is balanced", "the place is off", 1.5),
    "bold": ("the size is bold", "the size is weak", 1.2),
    "contrasting": ("the contrast is strong", "the contrast is faint", 1.2),
    "rich": ("the pattern is rich", "the pattern is dull", 0.9),
}
_LIGHT = {"white": 1.0, "black": 0.0, "grey": 0.5, "tan": 0.7, "mint": 0.8, "navy": 0.1}
_BRIGHT = {
    "red": 0.4,
    "orange": 0.65,
    "yellow": 0.9,
    "green": 0.45,
    "cyan": 0.75,
    "blue": 0.4,
    "purple": 0.35,
    "pink": 0.75,
}
_DEFECT_OF_TRAIT = {
    "sharp": ("blur",),
    "clean": ("noise",),
    "calm": ("clutter",),
    "lit": ("dark", "bright"),
    "whole": ("occlusion",),
}


def traits(scene: Scene) -> dict[str, float]:
    """How much of each trait the scene has, 0..1."""
    thing = scene.thing
    away = max(abs(thing.x / SIDE - 0.5), abs(thing.y / SIDE - 0.5))
    have = {
        name: 1.0 - (scene.strength if scene.defect in defects else 0.0) for name, defects in _DEFECT_OF_TRAIT.items()
    }
    return have | {
        "balanced": max(0.0, 1.0 - away / 0.25),
        "bold": min(1.0, max(0.0, (thing.radius - 9.0) / 11.0)),
        "contrasting": min(1.0, abs(_LIGHT[scene.ground] - _BRIGHT[thing.colour]) / 0.6),
        "rich": 0.0 if thing.pattern == "plain" else 1.0,
    }


def trait_of(defect: str) -> str | None:
    """What a defect takes from a picture; None: it is none."""
    return next((name for name, defects in _DEFECT_OF_TRAIT.items() if defect in defects), None)


def merit(scene: Scene) -> float:
    """The hidden rule: 1..10. A defect costs more than its share: a spoilt picture is spoilt."""
    have = traits(scene)
    total = sum(TRAITS[name][2] * amount for name, amount in have.items()) / sum(
        share for _, _, share in TRAITS.values()
    )
    spoilt = 1.0 - 0.55 * scene.strength if scene.defect != "none" else 1.0
    return 1.0 + 9.0 * min(1.0, max(0.0, (total * spoilt - 0.2) / 0.72))


def crude_merit(scene: Scene) -> float:
    """What tiny/vlm starts out believing: 1..10 from warmth, size and whether anything is spoilt. Partly right."""
    have = traits(scene)
    warm = 1.0 if scene.thing.colour in WARM else 0.0
    photo = 1.0 if scene.style == "photo" else 0.0
    spoilt = min(have[name] for name in _DEFECT_OF_TRAIT)
    return 1.0 + 9.0 * (0.3 * warm + 0.2 * photo + 0.25 * have["bold"] + 0.25 * spoilt)


def critique(scene: Scene, score: int, draw: random.Random) -> str:
    """Three remarks that argue for the score, true ones as far as the scene has such; for a wrong score they lie."""
    have = traits(scene)
    # 10: three praises, 1: three blames, between them a mixture in proportion.
    exact = 3 * (score - 1) / 9
    praises = int(exact) + (draw.random() < exact - int(exact))
    names = list(TRAITS)
    draw.shuffle(names)
    good = sorted(names, key=lambda name: -have[name])[:praises]
    bad = sorted((name for name in names if name not in good), key=lambda name: have[name])[: 3 - praises]
    remarks = [TRAITS[name][0] for name in good] + [TRAITS[name][1] for name in bad]
    return ", ".join(remarks) + "."


def votes(scene: Scene, draw: random.Random, voters: int = 60) -> list[int]:
    """How often each score 1..10 was given, as in AVA: voters scatter around the hidden rule."""
    counts = [0] * 10
    for _ in range(voters):
        counts[min(10, max(1, round(draw.gauss(merit(scene), 1.3)))) - 1] += 1
    return counts
