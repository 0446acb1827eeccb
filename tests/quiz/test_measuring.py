"""What is measured of a quiz's arms, on tables whose every number is known."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets
from drawn_rows import ARMS, drawn, grid

from tamis.quiz.measuring import input_output, measure


def test_correlation_of_what_goes_in_with_what_comes_out() -> None:
    inputs = {"top-2": {f"t{at}": 0.5 + 0.1 * at for at in range(5)}, "full": {"t0": 0.1, "t9": 0.2}}
    outputs = {"top-2": {f"t{at}": 0.9 - 0.2 * at for at in range(6)}, "none": {"t0": 0.5}}
    found = input_output(inputs, outputs, seed=0)
    assert found["top-2"]["value"] == pytest.approx(-1.0) and found["top-2"]["n"] == 5
    assert found["full"]["value"] is None
    few = input_output({"top-2": {"t0": 0.1, "t1": 0.2}}, {"top-2": {"t0": 0.5, "t1": 0.4}}, seed=0)["top-2"]
    assert (few["value"], few["n"]) == (None, 2)  # any two points lie on a line


def test_all_that_is_measured() -> None:
    made = drawn(
        grid(ARMS, topics=4),
        other=lambda row: 1 - row["quiz_accuracy"],
        category=lambda row: "bird" if row["topic"] < "t2" else "dish",
    )
    kept = {"none": None, "random-2.1": 0.8, "random-2.2": 0.9, "top-2": 0.7}
    unrelated = drawn(grid(ARMS, topics=4), category=lambda row: "bird", retention=lambda row: kept[row["arm"]])
    contests = Dataset.from_list(
        [{"a": "top-2", "b": "none", "topic": f"t{at}", "pairwise_win": 0.75} for at in range(4)]
    )
    found = measure(
        made,
        ["quiz_accuracy", "other"],
        best="top-2",
        trained_on={"top-2": {f"t{at}": 0.1 * at for at in range(4)}},
        clusters=["topic", "category"],
        second="other",
        unrelated=unrelated,
        contests=contests,
        seed=0,
    )
    top = found["arms"]["top-2"]
    assert top["quiz_accuracy@category=dish"]["value"] == pytest.approx(0.5 + 0.04 * 2.5 + 0.01)
    assert top["quiz_accuracy_topic_sd"]["value"] == pytest.approx(np.std([0, 0.04, 0.08, 0.12], ddof=1))
    assert top["retention"]["value"] == pytest.approx(0.7) and found["arms"]["random-2"]["retention"]["n"] == 16
    assert "retention" not in found["arms"]["none"]
    told = {(one["a"], one["b"], one["metric"], one["clustered_by"]): one["difference"] for one in found["comparisons"]}
    assert len(told) == len(found["comparisons"])
    for clustered_by in ("topic", "category"):
        assert told["top-2", "none", "quiz_accuracy", clustered_by] == pytest.approx(0.4)
        assert told["random-2", "none", "quiz_accuracy", clustered_by] == pytest.approx(0.2)
        assert told["top-2", "random-2", "other", clustered_by] == pytest.approx(-0.2)
    assert told["top-2", "random-2", "retention", "topic"] == pytest.approx(-0.15)
    assert told["top-2", "none", "pairwise_win_rate", "topic"] == pytest.approx(0.25)
    assert found["correlations"]["top-2"]["value"] == pytest.approx(1.0)
    assert found["agreement"][0]["value"] == pytest.approx(-1.0, abs=0.01)  # ties that rounding breaks
    assert found["by_topic"]["quiz_accuracy"]["none"]["t3"] == pytest.approx(0.1 + 0.12 + 0.01)


def test_correlations_are_of_the_main_seed_alone() -> None:
    """An arm that other seeds repeat would have steadier means, and a higher correlation, for that alone."""
    values = grid({"none": 0.1, "top-2": 0.5}, topics=4)
    main = drawn(values)
    again = drawn({key: 1 - value for key, value in values.items()}).remove_columns("seed").add_column("seed", [7] * 16)
    trained_on = {"top-2": {f"t{at}": 0.1 * at for at in range(4)}}
    told = {"trained_on": trained_on, "second": None, "best": "top-2", "unrelated": None, "contests": None}
    both = concatenate_datasets([main, again.select_columns(main.column_names)])
    found = measure(both, ["quiz_accuracy"], clusters=["topic"], seed=0, **told)
    assert found["correlations"]["top-2"]["value"] == pytest.approx(1.0)
    assert found["drew"]["top-2"]["t0"] == pytest.approx(0.51) and found["arms"]["top-2"]["quiz_accuracy"]["n"] == 16
