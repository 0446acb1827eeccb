"""What selection does to a mixture, and what chance does: by plain draws, and where there is nothing to tell."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from datasets import Dataset
from ranked_pools import pool

from tamis import select
from tamis.config import ConfigError
from tamis.scale_select import composition
from tamis.scale_select.composition import Mixture, Shift


def shifts_of(
    made: Dataset, subsets: dict[str, Dataset], column: str = "source", draws: int = 2000
) -> dict[str, Shift]:
    [mixture] = composition.mixtures(made, subsets, [column])
    return {one.arm: one for one in composition.shifts(mixture, seed=0, draws=draws)}


def plain(values: list[str | None], kept: list[str | None]) -> float:
    before, after = Counter(values), Counter(kept)
    return sum(abs(before[one] / len(values) - after[one] / len(kept)) for one in before) / 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("column", ["source", "task_subtask"])
def test_distance_and_chance_are_those_of_plain_python(seed: int, column: str) -> None:
    made = pool(seed=seed)
    kept = select.top_k(made, "text_quality_overall", k=30, seed=seed)
    told = shifts_of(made, {"arm": kept}, column)["arm"]
    values = made[column][:]
    assert told.distance == pytest.approx(plain(values, kept[column][:]))
    draw = random.Random(seed)
    blind = sorted(plain(values, draw.sample(values, 30)) for _ in range(2000))
    assert told.by_chance == pytest.approx(sum(blind) / 2000, abs=0.004)
    assert told.low == pytest.approx(blind[50], abs=0.02) and told.high == pytest.approx(blind[1950], abs=0.03)
    assert told.p == pytest.approx(sum(one >= told.distance - 1e-12 for one in blind) / 2000, abs=0.04)


def test_a_choice_by_source_is_beyond_chance_and_blind_draws_are_not() -> None:
    made = pool(600)
    kept = made.filter(lambda row: row["source"] == "mid").select(range(60))
    blind = {f"random.{seed}": select.random_k(made, k=60, seed=seed) for seed in range(40)}
    told = shifts_of(made, {"arm": kept, **blind})
    assert told["arm"].beyond_chance and told["arm"].p == 1 / 2001
    assert told["arm"].vanished == ("big", "it's small")
    assert told["arm"].distance == pytest.approx(1 - made["source"][:].count("mid") / 600)
    assert sum(told[name].beyond_chance for name in blind) <= 5  # of 40, one in 40 is to be


def test_the_pool_itself_and_nothing_of_it() -> None:
    made = pool()
    told = shifts_of(made, {"full": made, "empty": made.select([])})
    assert (told["full"].distance, told["full"].by_chance, told["full"].high, told["full"].p) == (0.0, 0.0, 0.0, 1.0)
    assert not told["full"].beyond_chance and told["full"].vanished == ()
    empty = told["empty"]
    assert (empty.rows, empty.distance, empty.p, empty.beyond_chance) == (0, None, None, False)
    assert set(empty.vanished) == set(made["source"])
    head, lines = composition.shift_table(list(told.values()))
    assert len(head) == len(lines[0]) == len(lines[1]) and lines[1][2:6] == [0, "–", "–", "–"]
    [mixture] = composition.mixtures(made, {"empty": made.select([])}, ["source"])
    assert {line[-1] for line in composition.share_table(mixture)[1]} == {"none"}


def test_one_source_only_cannot_shift_and_groups_of_one_vanish_by_chance() -> None:
    one = pool(50, source=["only"] * 50)
    told = shifts_of(one, {"arm": one.select(range(5))})["arm"]
    assert (told.distance, told.by_chance, told.p) == (0.0, 0.0, 1.0)
    alone = pool(50, source=[f"s{index}" for index in range(50)])
    told = shifts_of(alone, {"arm": alone.select(range(5))})["arm"]
    assert [told.distance, told.by_chance, told.high] == [pytest.approx(0.9)] * 3
    assert told.p == 1.0 and not told.beyond_chance  # though the last digits differ
    assert len(told.vanished) == 45
    [line] = composition.shift_table([told])[1]
    assert line[-1] == "s10, s11, s12, s13, s14 and 40 more"


def test_rows_without_a_value_are_a_group_and_rare_ones_are_summed_up() -> None:
    values = [None] * 30 + ["a"] * 15 + ["b"] * 3 + ["c", "d"]
    made = pool(50, source=values)
    [mixture] = composition.mixtures(made, {"arm": made.select([0, 1, 30, 48])}, ["source"])
    assert mixture.labels == [composition.NULL, "a", "b", "c", "d"]
    head, lines = composition.share_table(mixture, longest=2)
    assert list(head) == ["source", "rows", "pool", "`arm`"]
    assert lines == [
        [composition.NULL, 30, "60.0%", "50.0% (-10.0)"],
        ["a", 15, "30.0%", "25.0% (-5.0)"],
        ["3 others", 5, "10.0%", "25.0% (+15.0)"],
    ]
    whole = composition.share_table(mixture)[1]
    assert [line[0] for line in whole] == mixture.labels and whole[2] == ["b", 3, "6.0%", "none"]


def test_whole_numbers_are_groups_and_levels_are_not() -> None:
    made = pool(50, turns=[1, 2] * 25)
    assert composition.mixtures(made, {}, ["turns"])[0].labels == ["1", "2"]
    with pytest.raises(ConfigError, match="grouped by texts"):
        composition.mixtures(made, {}, ["text_quality_overall"])


def test_the_same_seed_tells_the_same_and_names_of_groups_are_escaped_on_cards() -> None:
    from tamis import cards

    made = pool(60, source=["<b>|x", "plain"] * 30)
    subsets = {"arm": made.select(range(7))}
    assert shifts_of(made, subsets) == shifts_of(made, subsets)
    table = cards.table(*composition.share_table(composition.mixtures(made, subsets, ["source"])[0]))
    assert "<b>" not in table and "\\|x" in table


def test_the_plot_is_a_picture_and_the_same_each_time() -> None:
    made = pool()
    subsets = {"scale-10pct": made.select(range(20)), "empty": made.select([])}
    told = [
        shift
        for mixture in composition.mixtures(made, subsets, ["source", "task_subtask"])
        for shift in composition.shifts(mixture, seed=0, draws=50)
    ]
    first = composition.shift_plot(told)
    assert first.startswith(b"\x89PNG") and first == composition.shift_plot(told)


def test_shares_of_a_mixture_sum_to_one() -> None:
    made = pool()
    [mixture] = composition.mixtures(made, {"arm": made.select(range(9))}, ["source"])
    assert isinstance(mixture, Mixture)
    assert mixture.shares("arm").sum() == pytest.approx(1) and mixture.pool_shares.sum() == pytest.approx(1)
    assert mixture.arms["arm"].sum() == 9 and mixture.pool.sum() == len(made)
