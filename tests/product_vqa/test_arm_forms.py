"""Names of arms of product_vqa, and what each is tuned on."""

from __future__ import annotations

import pytest
from datasets import Dataset

from tamis import arm_names
from tamis.config import ConfigError
from tamis.product_vqa import arm_forms, tuning

SHAPE = "r8-query-value"


def pool(rows: int = 40) -> Dataset:
    scores = [None if row == 3 else (row * 7 % rows) / rows for row in range(rows)]
    return Dataset.from_dict({"row_id": [f"q{row}" for row in range(rows)], "seen": scores})


def test_a_name_says_shape_and_what_is_done_with_it() -> None:
    base, plain, half = map(arm_forms.parse, ("base", SHAPE, f"{SHAPE}.top-50pct"))
    assert (base.shape, base.trained, plain.plain, half.plain) == (None, False, True, False)
    assert (plain.shape.r, plain.shape.targets) == (8, ("query", "value"))
    assert (half.way, half.share, half.trained) == ("top", 0.5, True)
    eight, on_eight = arm_forms.parse(f"{SHAPE}.8bit"), arm_forms.parse(f"{SHAPE}.on-8bit")
    assert not eight.trained and eight.adapter == SHAPE and on_eight.trained and on_eight.adapter == on_eight.name
    assert [arm_names.folder(SHAPE, seed, 1) for seed in (1, 2)] == [SHAPE, f"{SHAPE}.seed-2"]


@pytest.mark.parametrize(
    "name",
    ["", "none", "r8", "r-query", "r8-look", f"{SHAPE}.", f"{SHAPE}.top-0pct", f"{SHAPE}.top-100pct", "base.8bit"],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="arms: "):
        arm_forms.parse(name)


def test_rows_are_those_that_the_name_says() -> None:
    train, by_row = pool(), pool(10)
    arms = [
        arm_forms.parse(f"{SHAPE}{mark}") for mark in ("", ".by-row", ".top-25pct", ".bottom-25pct", ".random-25pct")
    ]
    found = [tuning.rows_of(arm, train, by_row, "seen", 1) for arm in arms]
    assert [len(rows) for rows in found] == [40, 10, 10, 10, 10]
    top, bottom, drawn = (set(rows["seen"][:]) for rows in found[2:])
    assert min(top) > max(bottom) and None not in drawn and drawn not in (top, bottom)
    assert set(tuning.rows_of(arms[4], train, by_row, "seen", 2)["seen"][:]) != drawn


def test_every_seed_has_its_own_folder_and_8_bits_are_apart() -> None:
    arms = [arm_forms.parse(name) for name in ("base", SHAPE, f"{SHAPE}.on-8bit", f"{SHAPE}.8bit")]
    seeds, given = {0: arms, 7: arms[1:2]}, {"train": pool(), "train_by_row": None, "select_by": None, "main_seed": 0}
    assert {name: one.seed for name, one in tuning.wanted(seeds, **given, on_8bit=False).items()} == {
        SHAPE: 0,
        f"{SHAPE}.seed-7": 7,
    }
    assert list(tuning.wanted(seeds, **given, on_8bit=True)) == [f"{SHAPE}.on-8bit"]


@pytest.mark.parametrize(
    ("main", "other", "said"),
    [
        (["base"], [], "give at least one plain shape"),
        (["base", SHAPE, "r8-query.8bit"], [], "arms: r8-query.8bit: needs r8-query among them"),
        (["base", SHAPE, f"{SHAPE}.8bit"], [f"{SHAPE}.8bit"], f"other_seeds_arms: {SHAPE}.8bit: needs {SHAPE}"),
        (["base", SHAPE], ["base"], "other_seeds_arms: base: has no seed"),
        (["base", SHAPE, f"{SHAPE}.top-50pct"], [], "needs select_by"),
    ],
)
def test_arms_that_cannot_be_are_refused(main: list[str], other: list[str], said: str) -> None:
    seeds = {0: [arm_forms.parse(name) for name in main], 1: [arm_forms.parse(name) for name in other]}
    with pytest.raises(ConfigError, match=said):
        arm_forms.refuse_unfit(seeds, None)
