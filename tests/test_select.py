"""Selection: exact counts, order kept, ties by seed, nulls never, clear errors; the SQL says the same."""

from __future__ import annotations

import math

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset

from tamis import select, sql


def pool(rows: int = 60, seed: int = 0) -> Dataset:
    """Scores with many ties, some null, some NaN, three sources of unequal size, near-duplicate groups."""
    draw = np.random.default_rng(seed)
    scores = [float(value) for value in draw.integers(0, 6, rows)]
    for position in range(0, rows, 9):
        scores[position] = None
    scores[4] = math.nan
    return Dataset.from_dict(
        {
            "row_id": [f"train-{index}" for index in range(rows)],
            "score": scores,
            "source": [str(draw.choice(["a", "a", "a", "b", "it's"])) for _ in range(rows)],
            "group": [int(value) for value in draw.integers(0, rows // 2, rows)],
        }
    )


def usable(dataset: Dataset) -> int:
    return sum(value is not None and not math.isnan(value) for value in dataset["score"])


@pytest.mark.parametrize("k", [0, 1, 7, 20, 51])
def test_top_k_is_exact_in_order_and_never_null(k: int) -> None:
    dataset = pool()
    kept = select.top_k(dataset, "score", k=k, seed=1)
    positions = [int(row_id.split("-")[1]) for row_id in kept["row_id"]]
    assert len(kept) == k
    assert positions == sorted(positions)
    assert all(value is not None and not math.isnan(value) for value in kept["score"])
    left = [
        value for value, row in zip(dataset["score"], dataset["row_id"], strict=True) if row not in kept["row_id"][:]
    ]
    best_left = max((value for value in left if value is not None and not math.isnan(value)), default=-1)
    assert k == 0 or min(kept["score"]) >= best_left


def test_ties_are_broken_by_seed_and_row_id_not_by_position() -> None:
    dataset = Dataset.from_dict({"row_id": [f"r{i}" for i in range(200)], "score": [1.0] * 200})
    first, again, other = (set(select.top_k(dataset, "score", k=50, seed=seed)["row_id"]) for seed in (1, 1, 2))
    assert first == again != other
    shuffled = dataset.shuffle(seed=3)
    assert set(select.top_k(shuffled, "score", k=50, seed=1)["row_id"]) == first


def test_more_than_there_is() -> None:
    dataset = pool()
    with pytest.raises(ValueError, match=rf"k: 60 rows of 'score' were asked for, {usable(dataset)} have a score"):
        select.top_k(dataset, "score", k=60)
    assert len(select.top_k(dataset, "score", k=60, at_most=True)) == usable(dataset)
    with pytest.raises(ValueError, match="'nothing' is not in the dataset; it has: row_id, score"):
        select.top_k(dataset, "nothing", k=1)
    with pytest.raises(ValueError, match="not a number"):
        select.top_k(dataset, "source", k=1)
    with pytest.raises(ValueError, match="k or fraction"):
        select.top_k(dataset, "score")
    with pytest.raises(ValueError, match="fraction: 1.5"):
        select.top_k(dataset, "score", fraction=1.5)
    infinite = dataset.remove_columns("score").add_column("score", [math.inf] * 60)
    with pytest.raises(ValueError, match="infinite"):
        select.top_k(infinite, "score", k=1)


def test_fraction_counts_all_rows_and_bottom_mirrors_top() -> None:
    dataset = pool()
    assert len(select.top_k(dataset, "score", fraction=0.25)) == 15
    scored = usable(dataset)
    top = set(select.top_k(dataset, "score", k=10)["row_id"])
    bottom = select.bottom_k(dataset, "score", k=scored - 10)
    assert max(bottom["score"]) <= min(select.top_k(dataset, "score", k=10)["score"])
    assert len(top) == 10


def test_per_keeps_the_mixture() -> None:
    dataset = pool(300)
    kept = select.top_k(dataset, "score", k=50, per="source")
    assert len(kept) == 50
    shares = select.quotas(dataset["source"], ~np.isnan(select.column_values(dataset, "score")), 50)
    assert select.mixture(kept, "source") == dict(sorted(shares.items(), key=lambda item: -item[1]))
    for source in shares:
        rows = [i for i, name in enumerate(dataset["source"]) if name == source]
        own = dataset.select(rows)
        expected = select.top_k(own, "score", k=shares[source])["row_id"]
        assert [row for row in kept["row_id"] if row in set(own["row_id"])] == list(expected)


@pytest.mark.parametrize("seed", range(20))
def test_quotas_sum_up_and_fit(seed: int) -> None:
    draw = np.random.default_rng(seed)
    groups = draw.integers(0, 7, 40).tolist()
    allowed = draw.random(40) > 0.3
    for k in range(int(allowed.sum()) + 1):
        shares = select.quotas(groups, allowed, k)
        assert sum(shares.values()) == k
        counts = {name: sum(str(g) == name and a for g, a in zip(groups, allowed, strict=True)) for name in shares}
        assert all(shares[name] <= counts[name] for name in shares)
        assert all(abs(shares[name] - counts[name] * k / allowed.sum()) < 1 for name in shares)


def test_random_k_is_seeded_and_leaves_out_nulls() -> None:
    dataset = pool()
    drawn = select.random_k(dataset, k=20, seed=5, among="score")
    assert drawn["row_id"][:] == select.random_k(dataset, k=20, seed=5, among="score")["row_id"][:]
    assert drawn["row_id"][:] != select.random_k(dataset, k=20, seed=6, among="score")["row_id"][:]
    assert all(value is not None and not math.isnan(value) for value in drawn["score"])
    assert len(select.random_k(dataset, k=60)) == 60


def test_random_k_draws_evenly() -> None:
    dataset = Dataset.from_dict({"row_id": [f"r{i}" for i in range(40)]})
    counts = np.zeros(40)
    for seed in range(400):
        for row_id in select.random_k(dataset, k=10, seed=seed)["row_id"]:
            counts[int(row_id[1:])] += 1
    assert abs(counts.mean() - 100) < 1e-9
    assert counts.min() > 60 and counts.max() < 140  # 100 ± 8.7 standard; a position never favoured


def test_threshold_and_band() -> None:
    dataset = pool()
    assert min(select.threshold(dataset, "score", 3.0)["score"]) == 3.0
    assert len(select.threshold(dataset, "score", 99)) == 0
    scored = usable(dataset)
    parts = [select.band(dataset, "score", low, high)["row_id"] for low, high in ((0, 0.3), (0.3, 0.8), (0.8, 1))]
    assert sum(len(part) for part in parts) == scored
    assert len({row for part in parts for row in part}) == scored
    assert set(parts[2]) == set(select.top_k(dataset, "score", k=len(parts[2]))["row_id"])
    with pytest.raises(ValueError, match="band"):
        select.band(dataset, "score", 0.5, 0.5)


def test_weighted_by_rank_and_raw() -> None:
    dataset = Dataset.from_dict({"row_id": list("abcd"), "x": [0.20, 0.30, 0.25, None], "y": [10.0, 30.0, 20.0, 40.0]})
    ranked = select.with_weighted(dataset, {"x": 1, "y": 1}, "score")["score"]
    assert ranked[:3] == pytest.approx([0.0, (1 + 2 / 3) / 2, (0.5 + 1 / 3) / 2])
    assert ranked[3] is None
    raw = select.with_weighted(dataset, {"x": 3, "y": 1}, "score", scale="raw")["score"]
    assert raw[0] == pytest.approx((0.6 + 10) / 4)
    for weights in ({}, {"x": -1, "y": 2}, {"x": 0}):
        with pytest.raises(ValueError, match="weights"):
            select.with_weighted(dataset, weights, "score")


def test_diverse_starts_at_the_best_and_spreads() -> None:
    angles = np.concatenate([np.linspace(0, 0.1, 30), [1.5, 3.0, 4.5]])
    dataset = Dataset.from_dict(
        {
            "row_id": [f"r{i}" for i in range(33)],
            "score": [1.0 if i == 7 else 0.5 for i in range(33)],
            "vector": [[math.cos(a), math.sin(a)] for a in angles[:-1]] + [None],
        }
    )
    kept = select.diverse(dataset, "vector", k=3, by="score")
    assert {"r7", "r30", "r31"} == set(kept["row_id"])
    assert "r32" not in select.diverse(dataset, "vector", k=32)["row_id"]  # no vector
    with pytest.raises(ValueError, match="33 rows of 'vector'"):
        select.diverse(dataset, "vector", k=33)


def test_diverse_covers_better_than_a_draw() -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(400, 8)) + np.repeat(draw.normal(size=(8, 8)) * 4, 50, axis=0)
    dataset = Dataset.from_dict({"row_id": [f"r{i}" for i in range(400)], "vector": vectors.tolist()})
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def reach(kept: Dataset) -> float:
        own = unit[[int(row[1:]) for row in kept["row_id"]]]
        return float((1 - unit @ own.T).min(axis=1).max())

    spread = reach(select.diverse(dataset, "vector", k=20))
    assert all(spread < reach(select.random_k(dataset, k=20, seed=seed)) for seed in range(20))


def test_mixture_counts_nulls_too() -> None:
    dataset = Dataset.from_dict({"source": ["a", None, "a", "b"]})
    assert select.mixture(dataset, "source") == {"a": 2, "b": 1, "null": 1}


# The query a card carries must cut the very same rows, ties included.
@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("way", ["k", "per", "threshold", "band", "groups"])
def test_sql_cuts_the_same_rows(seed: int, way: str) -> None:
    from tamis.near_duplicates import best_of_groups

    dataset = pool(240, seed)
    arguments: dict = {"k": 40}
    if way == "k":
        kept = select.top_k(dataset, "score", k=40, seed=seed)
    elif way == "per":
        kept = select.top_k(dataset, "score", k=40, per="source", seed=seed)
        scored = ~np.isnan(select.column_values(dataset, "score"))
        arguments = {"quotas": select.quotas(dataset["source"], scored, 40), "per": "source"}
    elif way == "threshold":
        kept = select.threshold(dataset, "score", 4.0)
        arguments = {"minimum": 4.0}
    elif way == "band":
        kept = select.band(dataset, "score", 0.2, 0.7, seed=seed)
        scored = usable(dataset)
        arguments = {"ranks": (round(0.2 * scored), round(0.7 * scored))}
    else:
        apart = best_of_groups(dataset, np.asarray(dataset["group"]), keep_by="score", seed=seed)
        kept = select.top_k(apart, "score", k=40, seed=seed)
        arguments |= {"one_of_each": "group"}
    pool_table: pa.Table = dataset.with_format("arrow")[:]  # noqa: F841 - DuckDB finds it by name
    found = duckdb.sql(sql.best_rows("pool_table", "score", seed=seed, **arguments)).fetchall()
    assert {row for (row,) in found} == set(kept["row_id"])
    assert len(found) == len(kept) > 0
