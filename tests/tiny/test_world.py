"""The drawn world: the same scene gives the same picture, and its texts are true of it."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest

from tamis.tiny import captions, conversations, critiques, kinds, questions, world
from tamis.tiny.render import coverage, extent, render
from tamis.tiny.zoo import exercises, looking

SCENES = [world.scene(seed, things=(1, 1, 2, 3), defects=world.DEFECTS) for seed in range(300)]
ALL_WORDS = {word for values in world.ATTRIBUTES.values() for word in values}


def test_seeds_of_different_purposes_never_meet() -> None:
    for (one, first), (two, second) in combinations(world.SEEDS.items(), 2):
        assert set(range(first.start, first.stop, 1_000_000)).isdisjoint(range(second.start, second.stop, 1_000_000)), (
            one,
            two,
        )
        assert first.stop <= second.start or second.stop <= first.start


def test_a_seed_draws_one_scene_and_a_scene_one_picture() -> None:
    for seed in range(20):
        first, second = (world.scene(seed, things=(1, 2, 3), defects=world.DEFECTS) for _ in range(2))
        assert first == second
        assert (render(first) == render(second)).all()
    assert len({render(scene).tobytes() for scene in SCENES}) == len(SCENES)


def test_the_picture_of_a_seed_does_not_change_with_time() -> None:
    """Every packaged model was trained on these pixels. Means, so that a last bit of arithmetic may differ."""
    means = [round(float(render(world.scene(seed)).mean()), 1) for seed in range(5)]
    assert means == pytest.approx(MEANS, abs=0.2)


MEANS = [165.8, 188.0, 227.7, 173.9, 119.5]


@pytest.mark.parametrize("defect", world.DEFECTS[1:])
def test_each_defect_changes_the_picture_more_the_stronger_it_is(defect: str) -> None:
    from dataclasses import replace

    clean = world.scene(11)
    away = [
        np.abs(render(clean).astype(float) - render(replace(clean, defect=defect, strength=strength))).mean()
        for strength in (0.35, 1.0)
    ]
    assert 0.5 < away[0] < away[1]


def test_things_stay_in_the_picture_and_do_not_touch() -> None:
    for scene in SCENES:
        covers = [coverage(thing) > 0.5 for thing in scene.things]
        for thing, cover in zip(scene.things, covers, strict=True):
            left, top, right, bottom = extent(thing)
            assert 0 <= left < right <= world.SIDE and 0 <= top < bottom <= world.SIDE
            assert not (cover[0].any() and cover[-1].any())
        assert sum(cover.astype(int) for cover in covers).max() == 1


def test_patterns_and_shapes_all_look_different() -> None:
    plain = world.scene(3, shape="square", pattern="plain", size="large", style="drawing")
    from dataclasses import replace

    for name, values in (("pattern", world.PATTERNS), ("shape", world.SHAPES), ("colour", world.COLOURS)):
        pictures = [
            render(replace(plain, things=(replace(plain.thing, **{name: value}),))).astype(float) for value in values
        ]
        assert all(np.abs(one - two).mean() > 1.0 for one, two in combinations(pictures, 2))


def test_captions_name_what_is_there_and_nothing_else() -> None:
    draw = random.Random(0)
    for scene in SCENES:
        there = {getattr(thing, name) for thing in scene.things for name in ("shape", "colour", "pattern")} | {
            scene.ground
        }
        for text in (captions.caption(scene), captions.varied(scene, draw), conversations.general_caption(scene)):
            assert set(text.replace(",", "").replace(".", "").split()) & ALL_WORDS <= there
        assert there <= set(captions.caption(scene).replace(",", "").split())


def test_questions_have_one_right_answer_among_distinct_options() -> None:
    draw = random.Random(1)
    difficulties = set()
    for scene in SCENES:
        for _ in range(5):
            question = questions.ask(scene, draw)
            options = question.options(draw)
            assert options.count(question.answer) == 1 and len(set(options)) == len(options) <= 4
            assert question.answer not in question.wrong
            difficulties.add(question.difficulty)
    assert difficulties == {0, 1, 2, 3, 5}


def test_statements_hold_or_do_not() -> None:
    draw = random.Random(2)
    for scene in SCENES:
        for truth in (True, False):
            words = questions.statement(scene, draw, truth).split()
            held = any({thing.colour, thing.pattern, thing.shape, scene.ground} <= set(words) for thing in scene.things)
            assert held == truth


def test_relations_agree_with_where_things_are() -> None:
    for scene in SCENES:
        for first, second in combinations(scene.things, 2):
            there, back = captions.relation(first, second), captions.relation(second, first)
            opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
            assert opposite[there] == back


def test_the_hidden_rule_uses_its_scale_and_falls_with_defects() -> None:
    merits = [critiques.merit(scene) for scene in SCENES]
    assert min(merits) >= 1 and max(merits) <= 10 and max(merits) - min(merits) > 5
    clean = [merit for merit, scene in zip(merits, SCENES, strict=True) if scene.defect == "none"]
    spoilt = [merit for merit, scene in zip(merits, SCENES, strict=True) if scene.strength > 0.7]
    assert np.mean(clean) > np.mean(spoilt) + 1


def test_critiques_praise_in_proportion_to_the_score() -> None:
    draw = random.Random(3)
    praise = {good for good, _, _ in critiques.TRAITS.values()}
    for score, praises in ((1, 0), (10, 3)):
        remarks = critiques.critique(SCENES[0], score, draw).rstrip(".").split(", ")
        assert sum(remark in praise for remark in remarks) == praises and len(remarks) == 3


def test_twenty_kinds_with_lookalikes_and_four_with_two_looks() -> None:
    found = kinds.kinds()
    assert len({kind.word for kind in found}) == 20
    assert sum(len(kind.looks) == 2 for kind in found) == 4
    assert len({tuple(look.values()) for kind in found for look in kind.looks}) == 24
    by_word = {kind.word: kind for kind in found}
    for kind in found:
        assert by_word[kind.lookalike].lookalike == kind.word
        assert by_word[kind.lookalike].look == kind.lookalike_look
        assert len(kind.distinguishing) in (2, 3)
        assert kind.look["shape"] not in world.UNDER_TRAINED


def test_no_word_of_a_kind_stands_in_what_models_are_trained_on() -> None:
    draw = exercises.Draw(5)
    texts = [kinds.invented(draw) for _ in range(3000)]
    texts += [text for scene in SCENES for text in (captions.caption(scene), captions.varied(scene, draw))]
    for _ in range(30):
        made = [make(draw) for make in exercises.EXERCISES]
        made += [make(SCENES[0], draw) for make in looking.EXERCISES]
        texts += [f"{one.prompt} {one.reply}" for one in made]
    words = set(" ".join(texts).replace(",", " ").replace(":", " ").replace(".", " ").split())
    assert words.isdisjoint(kinds.WORDS)
