"""Each packaged model with what measures it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tamis.tiny.zoo import skills_of_drawing, skills_of_looking, skills_of_sight, skills_of_writing
from tamis.tiny.zoo.skill import Skill

MEASURES: dict[str, Callable[[Path, int], list[Skill]]] = {
    "clip": skills_of_sight.clip,
    "detector": skills_of_sight.detector,
    "blip-vqa": skills_of_sight.answering,
    "llm": skills_of_writing.writing,
    "vlm": skills_of_looking.looking,
    "sd": skills_of_drawing.drawing,
}


def measure(name: str, folder: Path, count: int) -> list[Skill]:
    """`count`: about how many scenes or texts each number rests on."""
    return MEASURES[name](folder, count)


def reached(measured: list[Skill]) -> bool:
    return all(skill.reached for skill in measured)


def show(say: Callable[[str], None], found: dict[str, list[Skill]]) -> None:
    """One table of all of them."""
    for name, measured in found.items():
        for skill in measured:
            value = "-" if skill.measured.value is None else f"{skill.measured.value:.3f}"
            mark = "" if not skill.wanted else "reached" if skill.reached else "SHORT"
            say(f"{name:9} {skill.name:24} {value:>7}  n {skill.measured.n:<5} {skill.wanted:12} {mark}")
