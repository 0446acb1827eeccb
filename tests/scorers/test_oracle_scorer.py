"""The oracle as a scorer: what it read, whether that was asked for, a reason where it could not look."""

from __future__ import annotations

import pytest
from PIL import Image

from tamis import scorers
from tamis.config import ConfigError
from tamis.scorers.oracle import Oracle
from tamis.scoring import attach_scores
from tamis.tiny import world
from tamis.tiny.render import render

ASKS = {name: name for name in world.ATTRIBUTES}


@pytest.fixture(scope="module")
def drawn() -> list[world.Scene]:
    return [world.scene(world.SEEDS["test"].start + seed) for seed in range(12)]


@pytest.fixture
def rows(drawn, dataset_of, encoded):
    values = {name: [scene.value(name) for scene in drawn] for name in ASKS}
    return dataset_of([encoded(Image.fromarray(render(scene))) for scene in drawn], **values)


def test_it_reads_and_compares(run, rows, drawn):
    scored = attach_scores(rows, Oracle(asks=ASKS), run=run, batch_size=4)
    for name in ASKS:
        assert scored[f"oracle_{name}"][:] == [scene.value(name) for scene in drawn]
    assert scored["oracle_defect"][:] == ["none"] * len(drawn)
    assert scored["oracle_accuracy"][:] == scored["oracle_all"][:] == [1.0] * len(drawn)
    assert scored["oracle_error"][:] == [None] * len(drawn)


def test_what_was_not_drawn_is_wrong(run, rows):
    wrong = rows.remove_columns("ground").add_column("ground", ["plaid"] * len(rows))
    scored = attach_scores(wrong, Oracle(asks=ASKS), run=run, batch_size=4)
    assert scored["oracle_accuracy"][:] == [0.75] * len(rows)
    assert scored["oracle_all"][:] == [0.0] * len(rows)


def test_a_description_asks_for_what_its_words_name(run, dataset_of, encoded):
    """As the cards of kinds have it, in other words and orders, and for less than everything."""
    drawn = [world.scene(seed, shape="star", colour="red", pattern="dotted", ground="tan") for seed in range(2)]
    picture = encoded(Image.fromarray(render(drawn[0])))
    texts = {
        "a red dotted star on tan ground": (1.0, 1.0, None),
        "Red star, on TAN ground; photographed from afar, with nothing else. " * 3: (1.0, 1.0, None),
        "a blue dotted star on tan ground": (0.75, 0.0, None),
        "a ring": (0.0, 0.0, None),
        "a starry night": (None, None, "description: names no attribute, or several values of one"),
        "a red star on tan ground, like a blue one": (
            None,
            None,
            "description: names no attribute, or several values of one",
        ),
        " ": (None, None, "told: empty"),
    }
    rows = dataset_of([picture] * len(texts), told=list(texts))
    scored = attach_scores(rows, Oracle(description_column="told"), run=run, batch_size=4)
    columns = (scored[f"oracle_{name}"][:] for name in ("accuracy", "all", "error"))
    assert list(zip(*columns, strict=True)) == list(texts.values())
    assert Oracle(description_column="told").inputs == ("image", "told")


def test_a_long_description_is_read_to_its_end():
    told = "x " * 500 + "on navy ground"
    picture = Image.fromarray(render(world.scene(1, ground="navy")))
    assert Oracle(description_column="told").prepare({"image": picture, "told": told})["accuracy"] == 1.0


def test_asks_and_a_description_are_not_both_given():
    with pytest.raises(ConfigError, match="asks, description_column: give one of them"):
        scorers.build([{"scorer": "oracle", "asks": {"shape": "shape"}, "description_column": "told"}])


def test_without_asks_it_only_reads(run, rows):
    scored = attach_scores(rows, Oracle(name="seen"), run=run)
    read = ("shape", "colour", "pattern", "ground", "defect")
    assert scored.column_names == [*rows.column_names, *(f"seen_{name}" for name in read), "seen_error"]


@pytest.mark.parametrize("side", [128, 512])
def test_larger_pictures_are_read_as_well(drawn, side):
    for scene in drawn:
        image = Image.fromarray(render(scene)).resize((side, side), Image.Resampling.BICUBIC)
        found = Oracle(asks=ASKS).prepare({"image": image} | {name: scene.value(name) for name in ASKS})
        assert found["accuracy"] >= 0.75, (scene, found)


def test_odd_images_get_a_reading_or_a_reason(run, dataset_of, odd_images):
    contents, reasons = zip(*odd_images.values(), strict=True)
    scored = attach_scores(dataset_of(list(contents)), Oracle(), run=run, batch_size=4)
    assert scored["oracle_error"] == list(reasons)
    assert [value is None for value in scored["oracle_shape"]] == [reason is not None for reason in reasons]


def test_pictures_that_are_no_scenes_are_unsure_and_no_error(run, dataset_of, encoded):
    grey = encoded(Image.new("RGB", (64, 64), (90, 200, 90)))
    [row] = attach_scores(dataset_of([grey], shape=["star"]), Oracle(asks={"shape": "shape"}), run=run)
    assert {row[f"oracle_{name}"] for name in ("shape", "colour", "pattern", "ground", "defect")} == {"unsure"}
    assert (row["oracle_accuracy"], row["oracle_error"]) == (0.0, None)


def test_a_value_that_is_missing_is_a_reason(run, drawn, dataset_of, encoded):
    picture = encoded(Image.fromarray(render(drawn[0])))
    rows = dataset_of([picture] * 3, kind=[None, " ", drawn[0].thing.shape])
    scored = attach_scores(rows, Oracle(asks={"shape": "kind"}), run=run)
    assert scored["oracle_error"][:] == ["kind: null", "kind: empty", None]
    assert scored["oracle_accuracy"][:] == [None, None, 1.0]


def test_a_yaml_builds_it_and_refuses_what_it_cannot_read():
    [scorer] = scorers.build([{"scorer": "oracle", "asks": {"shape": "shape", "colour": "shape"}}])
    assert scorer.inputs == ("image", "shape")
    with pytest.raises(ConfigError, match="asks: 'taste' is not accepted; expected one of shape"):
        scorers.build([{"scorer": "oracle", "asks": {"taste": "shape"}}])
