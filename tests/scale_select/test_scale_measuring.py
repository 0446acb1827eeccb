"""What a benchmark's answers say of arms, against plain arithmetic; and the sentence that tells what it comes to."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from tamis.scale_select import measuring, telling

METRIC = "benchmark_accuracy"
RIGHT = {"base": 0.5, "full": 0.8, "random-10pct.1": 0.5, "random-10pct.2": 0.6, "scale-10pct": 0.9}


def answers(right: dict[str, float], *, seeds: tuple[int, ...] = (0,), questions: int = 200) -> Dataset:
    draw, rows = random.Random(0), []
    for seed in seeds:
        for arm, share in right.items():
            if arm == "base" and seed != seeds[0]:
                continue
            for number in range(questions):
                value = float(draw.random() < share)
                told = {"arm": arm, "seed": seed, "row_id": f"q{number}", "picture": f"p{number // 2}"}
                told |= {"task": "ocr" if number % 4 else "image_topic", "benchmark": "b", METRIC: value}
                rows.append(told | {"benchmark_probability": value})
    return Dataset.from_list(rows)


def measured(rows: Dataset, best: str = "scale-10pct") -> dict[str, Any]:
    told = measuring.measure(rows, [METRIC, "benchmark_probability"], best=best, seed=0)
    return told | {"metrics": [METRIC]}


def test_means_differences_and_shares_are_those_of_plain_arithmetic() -> None:
    rows = answers(RIGHT)
    told, table = measured(rows), rows.to_pandas()
    means = table.groupby("arm")[METRIC].mean()
    random_both = table[table.arm.str.startswith("random")][METRIC].mean()
    assert set(told["arms"]) == {"base", "full", "random-10pct", "scale-10pct"}
    assert told["arms"]["random-10pct"][METRIC]["value"] == pytest.approx(random_both)
    assert told["arms"]["random-10pct"][METRIC]["n"] == 400
    ocr = table[(table.arm == "full") & (table.task == "ocr")][METRIC].mean()
    assert told["arms"]["full"][f"{METRIC}@task=ocr"]["value"] == pytest.approx(ocr)
    found = {(one["a"], one["b"], one["metric"]): one for one in told["comparisons"]}
    gain = found["scale-10pct", "random-10pct", METRIC]
    assert gain["difference"] == pytest.approx(means["scale-10pct"] - random_both) and gain["n"] == 200
    assert gain["low"] > 0 and found["random-10pct", "full", METRIC]["high"] < 0
    assert ("scale-10pct", "base", f"{METRIC}@task=image_topic") in found
    assert told["relative"][METRIC]["scale-10pct"] == pytest.approx(means["scale-10pct"] / means["full"])


def test_draws_and_seeds_stand_one_by_one() -> None:
    rows = answers(RIGHT, seeds=(0, 1))
    told, table = measuring.draws(rows, METRIC), rows.to_pandas()
    each = table.groupby(["arm", "seed"])[METRIC].mean()
    drawn = told["random-10pct"]
    assert drawn["each"] == pytest.approx(
        {f"random-10pct.{draw}, seed {seed}": each[f"random-10pct.{draw}", seed] for seed in (0, 1) for draw in (1, 2)}
    )
    assert drawn["deviation"] == pytest.approx(np.std(list(drawn["each"].values()), ddof=1))
    assert told["base"]["deviation"] is None and told["base"]["lowest"] == told["base"]["highest"]
    assert measuring.relative({"base": {METRIC: {"value": 0.5}}}, METRIC) == {}  # there is no full arm


@pytest.mark.parametrize(
    ("selected", "said"),
    [
        (0.95, "it is better than on as many"),
        (0.2, "it is worse than on as many"),
        (0.55, "it is not clearly other than on as many"),
    ],
)
def test_the_verdict_falls_as_it_was_measured(selected: float, said: str) -> None:
    told = measured(answers(RIGHT | {"scale-10pct": selected}))
    verdict = telling.verdict(told, "scale-10pct")
    assert said in verdict and verdict.count("points [") == 3
    head, lines = telling.scores(told, "scale-10pct", str, METRIC)
    assert len(lines) == 4 and head[1] == METRIC


def test_a_difference_is_held_against_the_spread_of_trainings_too() -> None:
    """Two draws that lie far apart: over questions the difference is clear, over other draws it is not."""
    right = RIGHT | {"random-10pct.1": 0.2, "random-10pct.2": 0.9, "scale-10pct": 0.8, "scale-10pct.matched": 0.95}
    told = measured(answers(right, seeds=(0, 1)))
    found = {(one["a"], one["b"]): one for one in told["comparisons"] if one["metric"] == METRIC}
    drawn = found["scale-10pct", "random-10pct"]
    low, high = drawn["over_trainings"]
    assert drawn["low"] > 0 > low and high > drawn["high"]
    verdict = telling.verdict(told, "scale-10pct")
    assert "it is not clearly other than on as many rows drawn" in verdict
    assert verdict.count("with what other draws and seeds would give") == 4
    assert "Tuned on them for as many steps it is better than on the whole pool" in verdict
    once = measured(answers(right))
    assert not [one for one in once["comparisons"] if one["a"] == "scale-10pct" and one.get("over_trainings")]
    assert "one training of one of them" in telling.verdict(once, "scale-10pct")


def test_an_answer_that_is_null_counts_in_neither_side() -> None:
    rows = answers(RIGHT).to_pandas()
    rows.loc[(rows.arm == "scale-10pct") & (rows.row_id == "q0"), METRIC] = None
    told = measured(Dataset.from_pandas(rows, preserve_index=False))
    pair = ("scale-10pct", "full", METRIC)
    gain = next(one for one in told["comparisons"] if (one["a"], one["b"], one["metric"]) == pair)
    assert gain["n"] == 199 and told["arms"]["scale-10pct"][METRIC]["nulls"] == 1
