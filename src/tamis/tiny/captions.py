"""Sentences that describe a scene: complete ones, short ones, and those that leave something out."""

from __future__ import annotations

import random

from tamis.tiny.world import Scene, Thing

DEFECT_WORDS = {
    "none": "clear",
    "blur": "blurry",
    "noise": "noisy",
    "clutter": "cluttered",
    "dark": "dark",
    "bright": "pale",
    "occlusion": "covered",
}
PLACE_WORDS = {
    "left": "at the left",
    "right": "at the right",
    "top": "at the top",
    "bottom": "at the bottom",
    "middle": "in the middle",
}


def named(thing: Thing, *, size: bool = False, pattern: bool = True) -> str:
    """ "large red striped star"; the word "plain" is said too."""
    words = [thing.size] if size else []
    words += [thing.colour]
    words += [thing.pattern] if pattern else []
    return " ".join([*words, thing.shape])


def caption(scene: Scene) -> str:
    """Everything about the scene, in one fixed form."""
    things = _listed([f"a {named(thing, size=len(scene.things) == 1)}" for thing in scene.things])
    place = f" {PLACE_WORDS[scene.thing.place]}" if len(scene.things) == 1 else ""
    clear = "" if scene.defect == "none" else f"{DEFECT_WORDS[scene.defect]} "
    return f"a {clear}{scene.style} of {things}{place} on {scene.ground} ground"


def brief(scene: Scene) -> str:
    """The four attributes of the only or first thing: "a red striped star on tan ground"."""
    return f"a {named(scene.thing)} on {scene.ground} ground"


def varied(scene: Scene, draw: random.Random) -> str:
    """As people write: other orders, some things left out, the four attributes mostly there."""
    if len(scene.things) > 1:
        return _varied_many(scene, draw)
    thing = scene.thing
    size = draw.random() < 0.4
    name = named(thing, size=size, pattern=thing.pattern != "plain" or draw.random() < 0.6)
    place = f" {PLACE_WORDS[thing.place]}" if draw.random() < 0.4 else ""
    style = draw.choice((f"a {scene.style} of ", f"{scene.style} of ", "", "", "a picture of "))
    clear = f", {DEFECT_WORDS[scene.defect]}" if scene.defect != "none" and draw.random() < 0.7 else ""
    form = draw.choice(
        (
            f"{style}a {name}{place} on {scene.ground} ground",
            f"{style}a {name}{place} on {scene.ground} ground",
            f"{style}one {name}{place}, {scene.ground} ground",
            f"{scene.ground} ground with a {name}{place}",
            f"a {name}{place} on {scene.ground} ground, {scene.style}",
        )
    )
    return form + clear


def _varied_many(scene: Scene, draw: random.Random) -> str:
    things = list(scene.things)
    draw.shuffle(things)
    listed = _listed([f"a {named(thing, pattern=draw.random() < 0.6)}" for thing in things])
    first, second = things[:2]
    forms = [
        f"{listed} on {scene.ground} ground",
        f"a {scene.style} of {listed} on {scene.ground} ground",
        f"{scene.ground} ground with {listed}",
        f"a {named(first, pattern=False)} {relation(first, second)} a {named(second, pattern=False)}",
    ]
    clear = f", {DEFECT_WORDS[scene.defect]}" if scene.defect != "none" and draw.random() < 0.7 else ""
    return draw.choice(forms) + clear


def relation(first: Thing, second: Thing) -> str:
    """Where the first stands, seen from the second, by the larger of the two distances."""
    across, down = first.x - second.x, first.y - second.y
    if abs(across) >= abs(down):
        return "left of" if across < 0 else "right of"
    return "above" if down < 0 else "below"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
