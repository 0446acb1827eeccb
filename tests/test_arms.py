"""Arms: columns of ours that a second cut replaces, nulls with their reasons, means of everything that has one."""

from __future__ import annotations

import math

import pytest
from datasets import Dataset, List, Value

from tamis import arms, report, select
from tamis.config import ConfigError
from tamis.run import Run


def pool() -> Dataset:
    return Dataset.from_dict(
        {
            "row_id": list("abcdef"),
            "good": [True, False, True, None, True, False],
            "quality": [0.1, 0.2, 0.3, None, math.nan, 0.6],
            "clip_similarity": [1.0, None, 3.0, None, 5.0, 6.0],
            "clip_error": [None, "text: empty", None, "image: null", None, None],
            "hash": ["00", "01", "ff", None, "f0", "0f"],
            "text": ["x"] * 6,
        }
    )


def test_arms_of_an_earlier_cut_make_room() -> None:
    first = arms.with_arms(pool(), {"top-2": pool().select([0, 1])})
    assert first["arms"][:] == [["top-2"], ["top-2"], [], [], [], []]
    second = arms.with_arms(first, {"top-1": pool().select([5])})
    assert second["arms"][:] == [[], [], [], [], [], ["top-1"]]
    assert second.features["arms"] == List(Value("string"))
    theirs = pool().add_column("arms", list("abcdef"))
    with pytest.raises(ConfigError, match="'arms' is in the dataset and not of our making"):
        arms.with_arms(theirs, {"top-1": pool().select([5])})


def test_near_duplicate_groups_of_an_earlier_cut_make_room() -> None:
    first = arms.with_near_duplicates(pool(), "hash", 0)
    assert first[arms.NEAR_DUPLICATES][:] == list(range(6))
    second = arms.with_near_duplicates(first, "hash", 1)
    assert second[arms.NEAR_DUPLICATES][:] == [0, 0, 1, 2, 3, 4]
    for column, distance, said in (
        ("quality", 0, "'quality' is float64; expected hashes"),
        ("nothing", 0, "'nothing' is not in the dataset"),
        ("text", 0, "'text'"),
        ("hash", 7, "distance: 7 is not accepted"),
    ):
        with pytest.raises(ConfigError, match=said):
            arms.with_near_duplicates(pool(), column, distance)


def test_true_and_false_have_a_mean_and_a_picture() -> None:
    assert arms.numeric(pool(), ["good", "hash", "quality", "good"]) == ["good", "quality"]
    kept = select.top_k(pool(), "good", k=2)
    means = arms.measure(arms.with_arms(pool(), {"top-2": kept}), {"top-2": kept}, ["good"], seed=0)
    assert means["arms"]["full"]["good"]["value"] == 0.6 and means["arms"]["top-2"]["good"]["value"] == 1.0
    assert [(c["a"], c["b"]) for c in means["comparisons"]] == [("top-2", "full")]
    assert report.histograms(pool(), kept, ["good"]).startswith(b"\x89PNG")


def test_every_null_has_a_reason() -> None:
    found = arms.nulls(pool(), ["quality", "clip_similarity", "good"], weighted=["good"])
    assert found == {
        "quality": {"null in the source": 2},
        "clip_similarity": {"text: empty": 1, "image: null": 1},
        "good": {"a column it weighs is null": 1},
    }


def test_a_table_fits_a_terminal(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Few arms stand side by side; of fifteen each is a line, and metrics that do not fit stand below."""
    told = {"value": 0.5, "low": None, "high": None, "n": 12, "nulls": 0}
    metrics = [f"scorer_{at}_accuracy" for at in range(11)]
    run.nulls = {"quality": {"text: empty": 2}}
    arms.show(run, dict.fromkeys(("top-5", "random-5"), {"quality": told, "clip": told}), ["quality", "clip"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["top-5", "random-5"] and lines[2].split() == ["quality", "0.500", "0.500"]
    assert lines[-2].split() == ["n", "12", "12"] and lines[-1] == "2 rows without quality: text: empty"
    many = {f"clustered-{at}.matched": dict.fromkeys(metrics, told) for at in range(14)}
    many["none"] = {metrics[0]: told}
    arms.show(run, many, metrics, {"pictures": {}})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= arms.TERMINAL
    heads = [line.split() for line in lines if metrics[0] in line or metrics[-1] in line]
    assert heads[0][0] == metrics[0] and heads[-1][-2:] == [metrics[-1], "n"]
    first = next(line for line in lines if line.startswith("none"))
    assert first.split()[1:3] == ["0.500", "–"]
