"""The oracle reads what the renderer drew, says unsure sooner than something wrong, and does not mind the phase."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import mean

import numpy as np
import pytest

from tamis.tiny import world
from tamis.tiny.oracle import Reading, agreement, read
from tamis.tiny.render import render

READ = (*world.ATTRIBUTES, "size", "place", "style", "defect")


def truth(scene: world.Scene) -> dict[str, str]:
    return {name: scene.defect if name == "defect" else scene.value(name) for name in READ}


def drawn(count: int, *, start: int = 0, **what) -> list[world.Scene]:
    first = world.SEEDS["test"].start + start
    return [world.scene(seed, **what) for seed in range(first, first + count)]


def tally(scenes: list[world.Scene], spoil=lambda picture: picture) -> dict[str, Counter]:
    """Of each attribute: how many were right, wrong, unsure."""
    counts: dict[str, Counter] = {name: Counter() for name in READ}
    for scene in scenes:
        reading = read(spoil(render(scene)))
        for name, value in truth(scene).items():
            got = getattr(reading, name)
            counts[name]["right" if got == value else "unsure" if got is None else "wrong"] += 1
    return counts


def test_clean_scenes_are_read_right():
    scenes = drawn(150)
    assert {scene.thing.shape for scene in scenes} == set(world.SHAPES)
    assert {(scene.ground, scene.style) for scene in scenes} == {(g, s) for g in world.GROUNDS for s in world.STYLES}
    for name, found in tally(scenes).items():
        assert found["right"] >= 0.97 * len(scenes), (name, found)
        assert found["wrong"] <= 0.01 * len(scenes), (name, found)


@pytest.mark.parametrize("defect", ["noise", "occlusion", "clutter", "blur"])
def test_spoilt_scenes_are_unsure_rather_than_wrong(defect):
    found = tally(drawn(40, start=1000, defects=(defect,)))
    for name in (*world.ATTRIBUTES, "size", "place", "style"):
        assert found[name]["wrong"] <= 2, (name, found[name])
    assert found["defect"]["right"] >= 36


@pytest.mark.parametrize("defect", ["dark", "bright"])
def test_exposure_is_seen_and_seen_through(defect):
    found = tally(drawn(30, start=2000, defects=(defect,)))
    for name in (*world.ATTRIBUTES, "defect"):
        assert found[name]["right"] >= 28, (name, found[name])


def test_soft_edges_and_grain_are_no_defect():
    from scipy.ndimage import gaussian_filter

    def softened(picture: np.ndarray) -> np.ndarray:
        grain = np.random.default_rng(0).normal(0, 3, picture.shape)
        soft = gaussian_filter(picture.astype(float), (0.7, 0.7, 0)) + grain
        return np.clip(np.rint(soft), 0, 255).astype(np.uint8)

    found = tally(drawn(40, start=3000), softened)
    for name in (*world.ATTRIBUTES, "defect"):
        assert found[name]["right"] >= 36, (name, found[name])
        assert found[name]["wrong"] <= 1, (name, found[name])


@pytest.mark.parametrize("pattern", world.PATTERNS[1:])
def test_no_phase_of_a_pattern_is_missed(pattern):
    scene = next(scene for scene in drawn(50) if (scene.ground, scene.thing.size) == ("white", "large"))
    for shape in ("square", "circle", "star"):
        for phase in np.linspace(0, 1, 4, endpoint=False):
            thing = replace(scene.thing, shape=shape, pattern=pattern, phase=(phase, (phase * 3 + 0.4) % 1))
            assert read(render(replace(scene, things=(thing,)))).pattern == pattern, (shape, phase)


@pytest.mark.parametrize("ground", world.GROUNDS)
def test_an_empty_ground_shows_nothing_else(ground):
    from tamis.tiny.render import GROUND_INKS

    picture = np.broadcast_to(np.array(GROUND_INKS[ground], dtype=np.uint8), (64, 64, 3))
    assert {name: getattr(read(picture), name) for name in READ} == dict.fromkeys(READ) | {"ground": ground}


def test_what_is_no_scene_is_unsure():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    flat = np.full((64, 64, 3), (200, 40, 200), dtype=np.uint8)
    stripes = flat.copy()
    stripes[:, ::2] = (120, 10, 10)
    for picture in (noise, flat, stripes):
        assert [getattr(read(picture), name) for name in READ] == [None] * len(READ)


def test_of_several_things_it_reads_one_or_none():
    for scene in drawn(20, start=4000, things=(2, 3)):
        reading = read(render(scene))
        for name in ("shape", "colour"):
            assert getattr(reading, name) in {None, *(getattr(thing, name) for thing in scene.things)}
        assert reading.ground == scene.ground


def test_agreement_counts_unsure_as_wrong():
    reading = Reading("star", "red", None, "tan", "small", "left", "photo", "none")
    assert agreement(reading, {"shape": "star"}) == 1.0
    assert agreement(reading, {"shape": "star", "colour": "blue", "pattern": "plain", "ground": "tan"}) == 0.5
    scenes = drawn(20, start=5000)
    assert mean(agreement(read(render(scene)), truth(scene)) for scene in scenes) > 0.97
    with pytest.raises(ValueError, match="nothing was asked"):
        agreement(reading, {})


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\(32, 32, 3\)"):
        read(np.zeros((32, 32, 3), dtype=np.uint8))
