"""Arms of scale_select: their names, exactly as many rows in each of one size, ties told, too many refused."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from datasets import Dataset
from ranked_pools import RANKINGS, pool

from tamis.config import ConfigError
from tamis.scale_select import arm_forms, ties
from tamis.scale_select.rankings import with_rankings
from tamis.tie_breaks import tie_break

NAMES = ["base", "full", "random-10pct", "scale-10pct", "text-10pct", "clip-10pct", "scale-7"]
MIXED = ["scale-10pct.per-source", "scale-10pct.per-task", "scale-10pct.per-length"]
MIXED += ["random-10pct.per-source", "scale-10pct.matched"]


def chosen(made: Dataset, names: list[str], seed: int = 3, draws: int = 3) -> dict[str, Dataset]:
    return arm_forms.subsets(made, arm_forms.expand(names, RANKINGS, draws), seed=seed)


def numbers(values: list[float | None]) -> list[float | None]:
    return [None if value is None or math.isnan(value) else value for value in values]


def test_names_are_read_and_draws_pooled() -> None:
    arms = arm_forms.expand([*NAMES, *MIXED, "random-10pct.2", "scale-10pct.per-task.matched"], RANKINGS, 2)
    assert [arm.name for arm in arms] == [
        *["base", "full", "random-10pct.1", "random-10pct.2", "scale-10pct", "text-10pct", "clip-10pct", "scale-7"],
        *["scale-10pct.per-source", "scale-10pct.per-task", "scale-10pct.per-length"],
        *["random-10pct.1.per-source", "random-10pct.2.per-source"],
        *["scale-10pct.matched", "scale-10pct.per-task.matched"],
    ]
    assert {arm.pooled for arm in arms if arm.way == "random"} == {"random-10pct", "random-10pct.per-source"}
    assert [arm.name for arm in arms if arm.matched] == ["scale-10pct.matched", "scale-10pct.per-task.matched"]
    assert arm_forms.headline(arms) == "scale-10pct"
    equals = {arm.pooled for arm in arm_forms.equals(arms, "scale-10pct")}
    assert "scale-7" not in equals and {"random-10pct", "clip-10pct", "scale-10pct.matched"} <= equals
    arm_forms.refuse_unfit(arms)


@pytest.mark.parametrize(
    "name",
    ["base.matched", "full.per-source", "mm-10pct", "scale", "scale-0", "scale-101pct", "scale-10pct.1"]
    + ["top-10pct", "none", "random", "full-10pct", "scale-10pct.matched.per-task", "scale-10pct.per-source.per-task"],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"arms: {name!r} is not accepted"):
        arm_forms.expand([name], RANKINGS, 1)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["base", "full", "random-10pct"], "none for the claim to be about"),
        (["scale-10pct", "random-10pct"], "base is not among them"),
        (["base", "scale-10pct", "random-5pct"], "scale-10pct has no random arm of its size.*give random-10pct"),
    ],
)
def test_a_claim_needs_base_and_random_beside_it(names: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        arm_forms.refuse_unfit(arm_forms.expand(names, RANKINGS, 1))


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_those_of_plain_python(seed: int) -> None:
    made = with_rankings(pool(205, seed=seed), RANKINGS)
    subsets = chosen(made, [*NAMES, *MIXED], seed=seed)
    assert list(subsets)[0] == "full" and subsets["full"] is made and "base" not in subsets
    ids = made["row_id"][:]
    hashes = dict(zip(ids, tie_break(ids, seed).tolist(), strict=True))
    place = {row_id: at for at, row_id in enumerate(ids)}
    scored = {name: dict(zip(ids, numbers(made[f"{name}_score"][:]), strict=True)) for name in RANKINGS}
    for arm, rows in subsets.items():
        own = rows["row_id"][:]
        assert own == sorted(own, key=place.get), arm  # the pool's order
        if arm.endswith(("10pct", ".matched")) or ".per-" in arm or arm.startswith("random"):
            assert len(own) == len(set(own)) == 20, arm  # 10 % of 205, though a ninth is not scored
    for name in RANKINGS:
        known = {row_id: score for row_id, score in scored[name].items() if score is not None}
        best = sorted(known, key=lambda row_id: (-known[row_id], hashes[row_id]))[:20]
        assert set(subsets[f"{name}-10pct"]["row_id"][:]) == set(best), name
    assert len(subsets["scale-7"]) == 7
    assert subsets["scale-10pct.matched"]["row_id"][:] == subsets["scale-10pct"]["row_id"][:]
    draws = [set(subsets[f"random-10pct.{draw}"]["row_id"][:]) for draw in (1, 2, 3)]
    assert all(scored["scale"][row_id] is not None for draw in draws for row_id in draw)
    assert len({frozenset(draw) for draw in draws}) == 3
    again = chosen(made, [*NAMES, *MIXED], seed=seed)
    assert all(again[arm]["row_id"][:] == rows["row_id"][:] for arm, rows in subsets.items())


def test_a_mixture_is_kept() -> None:
    made = with_rankings(pool(), RANKINGS)
    subsets = chosen(made, MIXED)
    for arm, column in zip(MIXED[:3], ("source", "task_subtask", "reply_length"), strict=True):
        known = Counter(row[column] for row in made if row["scale_score"] is not None)
        here = Counter(subsets[arm][column])
        for value, count in known.items():
            assert abs(here[value] - 20 * count / sum(known.values())) < 1, (arm, value)
        lowest = {value: min(row["scale_score"] for row in subsets[arm] if row[column] == value) for value in here}
        inside = set(subsets[arm]["row_id"][:])
        for row in made:
            if row["row_id"] not in inside and row["scale_score"] is not None and row[column] in lowest:
                assert row["scale_score"] <= lowest[row[column]]
    assert Counter(subsets["random-10pct.1.per-source"]["source"]) == Counter(
        subsets["scale-10pct.per-source"]["source"]
    )


def test_one_source_alone_and_one_row_alone() -> None:
    one = with_rankings(pool(30, source=["only"] * 30), RANKINGS)
    subsets = chosen(one, ["scale-10pct", "scale-10pct.per-source"])
    assert subsets["scale-10pct"]["row_id"][:] == subsets["scale-10pct.per-source"]["row_id"][:]
    few = with_rankings(pool(3, seed=1), RANKINGS)
    assert len(chosen(few, ["text-10pct"])["text-10pct"]) == 1  # a tenth of three rows is one


def test_more_than_were_scored_is_refused_by_name() -> None:
    made = with_rankings(pool(20, clip_similarity=[0.3] * 4 + [None] * 16), RANKINGS)
    with pytest.raises(ConfigError, match="arms: clip-5: 5 rows are asked for, 4 of 20 have a clip_score"):
        chosen(made, ["scale-10pct", "clip-5"])
    with pytest.raises(ConfigError, match="arms: random-18.1: 18 rows are asked for, 16 of 20 have a scale_score"):
        chosen(made, ["random-18"])
    assert len(chosen(made, ["clip-4"])["clip-4"]) == 4


def equal(**columns: Any) -> Dataset:
    return with_rankings(pool(100, seed=2, **columns), {"scale": {"text_quality_overall": 1.0}})


def test_a_judge_that_says_the_same_of_all_is_told() -> None:
    made = equal(text_quality_overall=[3.0] * 100)
    kept = chosen(made, ["scale-10pct"])["scale-10pct"]
    cut = ties.at_the_cut(made, kept, "scale_score")
    assert (len(kept), cut.score, cut.sharing, cut.let_in, cut.constant) == (10, 3.0, 100, 10, True)
    assert cut.told == "every row has the same scale_score: which 10 of 100 are in is by seed"
    other = chosen(made, ["scale-10pct"], seed=4)["scale-10pct"]
    assert set(kept["row_id"]) != set(other["row_id"])
    assert ties.lines({"scale-10pct": cut})[1][0][:5] == ["scale-10pct", "scale_score", 3.0, 100, 10]


def test_ties_at_the_cut_are_counted() -> None:
    made = equal(text_quality_overall=[5.0] * 6 + [4.0] * 30 + [None] * 4 + [1.0] * 60)
    cut = ties.at_the_cut(made, chosen(made, ["scale-10pct"])["scale-10pct"], "scale_score")
    assert (cut.score, cut.sharing, cut.let_in, cut.constant) == (4.0, 30, 4, False)
    assert cut.told == "30 rows share the score at the cut, 4 of them are in, by seed"
    clean = ties.at_the_cut(made, chosen(made, ["scale-6"])["scale-6"], "scale_score")
    assert (clean.sharing, clean.let_in, clean.told) == (6, 6, "no tie at the cut")
    none = ties.at_the_cut(made, made.select([]), "scale_score")
    assert (none.score, none.sharing, none.let_in, none.told) == (None, 0, 0, "no row was let in")


def test_ties_within_groups_are_those_of_each_groups_own_cut() -> None:
    made = equal(text_quality_overall=[5.0] * 2 + [4.0] * 48 + [2.0] * 50, source=["a"] * 50 + ["b"] * 49 + [None])
    kept = chosen(made, ["scale-10pct.per-source"])["scale-10pct.per-source"]
    assert Counter(kept["source"]) == {"a": 5, "b": 5}
    cut = ties.at_the_cut(made, kept, "scale_score", per="source")
    assert (cut.sharing, cut.let_in) == (48 + 49, 3 + 5)  # nothing of the group without a source was to be let in
