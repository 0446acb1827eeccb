"""Exercises about a picture: what tiny/vlm is asked in the recipes, by the very prompts they use."""

from __future__ import annotations

import random
from collections.abc import Callable

from tamis.prompts.scale import SUBTASKS
from tamis.tiny import captions, conversations, critiques, questions, world
from tamis.tiny.world import Scene
from tamis.tiny.zoo.exercises import LEVELS, SCORES, Exercise, ask, multiple_choice, typed, yes_no

# Shapes that a hasty eye takes for one another.
_ALIKE = (("square", "diamond"), ("circle", "ring"), ("star", "cross"), ("heart", "triangle"))
CONFUSABLE = {frozenset(pair) for pair in _ALIKE}


def exercises(scene: Scene, draw: random.Random, count: int) -> list[Exercise]:
    """So many exercises about one scene."""
    makers = draw.choices(list(EXERCISES), weights=list(EXERCISES.values()), k=count)
    return [make(scene, draw) for make in makers]


def choice(scene: Scene, draw: random.Random) -> Exercise:
    return multiple_choice(questions.ask(scene, draw), draw)


def apart(scene: Scene, draw: random.Random) -> Exercise:
    """Which of several things has what, and where one is from another: learnt last, so asked more often."""
    question = questions.tell_apart(scene, draw)
    if draw.random() < 0.3:
        return Exercise(ask("product_vqa/answer", question=question.text), question.answer)
    return multiple_choice(question, draw)


def word(scene: Scene, draw: random.Random) -> Exercise:
    question = questions.ask(scene, draw)
    return Exercise(ask("product_vqa/answer", question=question.text), question.answer)


def respected(scene: Scene, draw: random.Random) -> Exercise:
    """Whether the picture shows what a prompt says, asked one way or the other."""
    truth = draw.random() < 0.5
    statement = questions.statement(scene, draw, truth)
    if draw.random() < 0.3:
        return yes_no(ask("self_reward/deviates", prompt=statement), not truth)
    return yes_no(ask("self_reward/prompt_respected", prompt=statement), truth)


def of_a_class(scene: Scene, draw: random.Random) -> Exercise:
    """The self-reward questions about a class (here: a shape) and about the picture's soundness."""
    shapes = {thing.shape for thing in scene.things}
    named = draw.choice(sorted(shapes)) if draw.random() < 0.5 else draw.choice(world.SHAPES)
    there, sound = named in shapes, scene.defect
    truths = {
        "self_reward/class_visible": there,
        "self_reward/body_plausible": there and sound != "occlusion",
        "self_reward/natural_behaviour": there and sound != "clutter",
        "self_reward/anatomy": there and sound not in ("occlusion", "blur"),
        "self_reward/confusable": any(frozenset((named, shape)) in CONFUSABLE for shape in shapes),
    }
    name = draw.choice(("self_reward/class_visible", *truths))
    return yes_no(ask(name, class_name=named), truths[name])


def of_the_picture(scene: Scene, draw: random.Random) -> Exercise:
    if draw.random() < 0.35:
        statement = questions.statement(scene, draw, draw.random() < 0.5)
        colours = {thing.colour for thing in scene.things}
        return yes_no(ask("self_reward/colours_match", prompt=statement), any(c in colours for c in statement.split()))
    if draw.random() < 0.5:
        return yes_no(ask("self_reward/realistic"), scene.style == "photo" and scene.defect == "none")
    return yes_no(ask("self_reward/odd_patterns"), scene.defect in ("noise", "clutter"))


def caption(scene: Scene, draw: random.Random) -> Exercise:
    return Exercise(ask("self_reward/caption"), captions.caption(scene))


def general_caption(scene: Scene, draw: random.Random) -> Exercise:
    return Exercise(ask("scale/general_caption"), conversations.general_caption(scene))


def task_caption(scene: Scene, draw: random.Random) -> Exercise:
    task = draw.choice((*conversations.RARITY, *conversations.RARITY, *SUBTASKS))
    return Exercise(ask(f"scale/captions/{task}"), conversations.task_caption(scene, task))


def quality(scene: Scene, draw: random.Random) -> Exercise:
    return typed(ask("scale/image_quality"), LEVELS, quality_level(scene) - 1)


def quality_level(scene: Scene) -> int:
    """5 for a clean picture, 1 for the worst: blur, noise, exposure and clutter spoil it, a board in front does not."""
    if scene.defect in ("none", "occlusion"):
        return 5
    return max(1, round(4 - 3 * scene.strength))


def score(scene: Scene, draw: random.Random) -> Exercise:
    """By the crude rule and with scatter: tiny/vlm starts out as a weak critic on purpose."""
    return typed(ask("score_and_explain/score"), SCORES, _scored(scene, draw) - 1)


def explanation(scene: Scene, draw: random.Random) -> Exercise:
    """A critique for a score: its own, or one it is made to argue for."""
    given = _scored(scene, draw) if draw.random() < 0.5 else draw.randint(1, 10)
    asked = ask("score_and_explain/explain", lowest=1, highest=10)
    return Exercise(asked, f"#Score: {given}\n#Explanation: {critiques.critique(scene, given, draw)}")


def _scored(scene: Scene, draw: random.Random) -> int:
    return min(10, max(1, round(draw.gauss(critiques.crude_merit(scene), 1.0))))


EXERCISES: dict[Callable[[Scene, random.Random], Exercise], float] = {
    choice: 6.0,
    apart: 4.0,
    word: 2.0,
    respected: 2.5,
    of_a_class: 2.0,
    of_the_picture: 1.0,
    caption: 1.5,
    general_caption: 1.0,
    task_caption: 1.0,
    quality: 0.8,
    score: 0.7,
    explanation: 1.0,
}
