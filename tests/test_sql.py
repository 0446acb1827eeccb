"""The query that a card carries cuts the very same rows as Python did, ties, types and hostile names included."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from test_select import pool

from tamis import select, sql
from tamis.tie_breaks import tie_break


def agree(dataset: Dataset, cut: select.Cut, folder: Path) -> list[str]:
    """The rows of a cut, after a look that DuckDB finds them too, in the file that would be published."""
    pq.write_table(dataset.with_format("arrow")[:], folder / "pool.parquet")
    found = [row for (row,) in duckdb.sql(sql.query(f"'{folder / 'pool.parquet'}'", cut)).fetchall()]
    kept = select.take(dataset, cut)["row_id"][:]
    assert sorted(found) == sorted(kept)
    return kept


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("one_of_each", [None, "group"])
@pytest.mark.parametrize("lowest", [False, True])
def test_every_way_of_cutting(seed: int, one_of_each: str | None, lowest: bool, tmp_path: Path) -> None:
    dataset = pool(240, seed)
    how: dict[str, Any] = {"seed": seed, "one_of_each": one_of_each}
    assert len(agree(dataset, select.best(dataset, "score", k=40, lowest=lowest, **how), tmp_path)) == 40
    cut = select.best(dataset, "score", fraction=0.1, per="source", lowest=lowest, **how)
    assert len(agree(dataset, cut, tmp_path)) == 24
    assert agree(dataset, select.at_least(dataset, "score", 4.0, **how), tmp_path)
    assert agree(dataset, select.between(dataset, "score", 0.2, 0.7, **how), tmp_path)


def test_one_of_each_is_what_dropping_near_duplicates_leaves(tmp_path: Path) -> None:
    dataset = pool(240)
    ties = tie_break(dataset["row_id"][:], 3)
    best: dict = {}
    for row, (group, score) in enumerate(zip(dataset["group"], dataset["score"], strict=True)):
        if score is not None and score == score:
            best[group] = min(best.get(group, (1.0, "", -1)), (-score, str(ties[row]), row))
    apart = dataset.select(sorted(row for *_, row in best.values()))
    cut = select.best(dataset, "score", k=40, seed=3, one_of_each="group")
    assert agree(dataset, cut, tmp_path) == select.top_k(apart, "score", k=40, seed=3)["row_id"][:]


NAMES = ["label", "rows_kept", "quota", "scored", "s", "q", "score", 'a"b', "select", "null"]


@pytest.mark.parametrize("name", NAMES)
def test_columns_may_have_any_name(name: str, tmp_path: Path) -> None:
    dataset = pool(90).rename_column("score", "value").rename_column("source", name)
    assert len(agree(dataset, select.best(dataset, "value", k=20, per=name), tmp_path)) == 20
    dataset = pool(90).rename_column("score", name if name != "score" else "s")
    column = name if name != "score" else "s"
    assert len(agree(dataset, select.best(dataset, column, k=20, one_of_each="group"), tmp_path)) == 20


@pytest.mark.parametrize(
    ("groups", "kind"),
    [
        ([True, False, None], pa.bool_()),
        ([-1, 0, None], pa.int8()),
        ([2**64 - 1, 2**63, 0], pa.uint64()),
        (["null", None, "NULL"], pa.string()),
        (["true", "it's", ""], pa.string()),
        (["a\u202eb", "line\nbreak\t", "\x00"], pa.large_string()),
        ([None, None, None], pa.string()),
        (["x", "y", None], pa.dictionary(pa.int8(), pa.string())),
    ],
)
def test_groups_of_every_type(groups: list, kind: pa.DataType, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    values = pa.array([groups[place] for place in draw.choice(3, 60, p=[0.6, 0.3, 0.1])], kind)
    ids = [f"r{place}" for place in range(60)]
    dataset = Dataset(pa.table({"row_id": ids, "score": draw.integers(0, 5, 60), "label": values}))
    cut = select.best(dataset, "score", k=21, per="label")
    assert sum(cut.quotas.values()) == 21 and len(cut.quotas) == len(set(groups))
    assert len(agree(dataset, cut, tmp_path)) == 21


@pytest.mark.parametrize(
    ("scores", "kind", "minimum", "kept"),
    [
        ([0.7, 0.6, None, math.nan], pa.float32(), 0.7, 1),
        ([0.7, 0.6, 0.8, None], pa.float64(), 0.7, 2),
        ([0.1, 0.2, 0.3, None], pa.float32(), 0.1, 3),
        ([1e-30, 1e30, 3.3e38, None], pa.float32(), 1e-30, 3),
        ([16777216.0, 16777217.0, 1.0, None], pa.float64(), 16777217.0, 1),
        ([3, 4, 2, None], pa.int64(), 3.5, 1),
        ([2**53, 2**53 - 1, 2, None], pa.uint64(), 2.0**53, 1),
        ([True, False, True, None], pa.bool_(), 1, 2),
        ([-0.0, 0.0, -1.0, None], pa.float64(), 0.0, 2),
        ([1.0, 0.5, -3.0, None], pa.float64(), -3, 3),
    ],
)
def test_scores_of_every_type(scores: list, kind: pa.DataType, minimum: float, kept: int, tmp_path: Path) -> None:
    dataset = Dataset(pa.table({"row_id": list("abcd"), "label": pa.array(scores, kind)}))
    assert len(agree(dataset, select.at_least(dataset, "label", minimum), tmp_path)) == kept
    for k in (1, 2):
        agree(dataset, select.best(dataset, "label", k=k, seed=k), tmp_path)
        agree(dataset, select.best(dataset, "label", k=k, seed=k, lowest=True), tmp_path)
    agree(dataset, select.between(dataset, "label", 0.4, 1.0), tmp_path)


def test_half_floats(tmp_path: Path) -> None:
    values = pa.array(np.asarray([0.7, 0.6, 0.7002, 0.69], dtype=np.float16))
    dataset = Dataset(pa.table({"row_id": list("abcd"), "score": values}))
    assert agree(dataset, select.at_least(dataset, "score", 0.7), tmp_path) == ["a", "c"]


def test_sql_does_not_tell_upper_from_lower_case() -> None:
    cut = select.Cut("score", k=1, per="Source")
    assert not sql.confuses(["row_id", "score", "Source", "a", "A"], cut)
    assert sql.confuses(["row_id", "score", "Source", "source"], cut)
    assert sql.confuses(["row_id", "ROW_ID", "score", "Source"], cut)


def test_literals_show_every_character() -> None:
    for text in ("", "it's", "\u202e", "a\nb'", "\x07\x07end"):
        written = sql.literal(text)
        assert written.isprintable() and duckdb.sql(f"SELECT {written}").fetchall() == [(text,)]
