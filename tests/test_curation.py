"""The card of a curated dataset says what holds of this very selection, and nothing of the machine it was made on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from tamis import arms, cards, select
from tamis.curation import Curation, without_paths
from tamis.run import versions
from tamis.sources import Source

TEMPLATE = cards.template("dataset_cards/curated.md.jinja")


def curated(cut: select.Cut | None = None, config: dict[str, Any] | None = None, **extra: Any) -> str:
    pool = Dataset.from_dict(
        {
            "row_id": [f"r{i}" for i in range(30)],
            "quality": [None if i % 10 == 0 else i / 30 for i in range(30)],
            "Quality": list(range(30)),
            "source": ["a", "b", None] * 10,
        }
    )
    pool = pool.remove_columns(extra.pop("without", "Quality"))
    cut = cut or select.best(pool, "quality", k=5)
    kept = select.take(pool, cut)
    subsets = {"top-5": kept, "random-5": select.random_k(pool, k=5, among="quality")}
    pool = arms.with_arms(pool, subsets)
    results = {
        "config": {"seed": 0, "output_dir": "/secret/place", **(config or {})},
        "nulls": arms.nulls(pool, ["quality"]),
        "sources": [],
        "versions": versions(),
        **arms.measure(pool, subsets, ["quality"], seed=0),
    }
    source = Source("some-folder", "dataset", "0" * 40, None, local=True)
    settings = {"by": "quality", "measured": ["quality"], "scorers": [], "results": results, "cut": cut, "seed": 0}
    return (
        Curation(repo_id="me/x", source=source, pool=pool, subsets=subsets, **settings | extra).card(TEMPLATE).render()
    )


def test_nulls_of_the_source_are_counted() -> None:
    card = curated()
    assert "| `quality` | 3 | 10.00% | null in the source |" in card
    assert "NAME_error" not in card and "The scores came with the source" in card
    assert "\n\n\n\n" not in card


def test_why_a_better_row_was_dropped() -> None:
    pool = Dataset.from_dict({"row_id": [f"r{i}" for i in range(30)], "quality": [i / 30 for i in range(30)]})
    assert "can score higher than a kept one" not in curated()
    assert "kept one: its part of the mixture was full." in curated(per="source")
    two = "kept one: its near-duplicate scored higher still, or its part of the mixture was full."
    assert two in curated(per="source", deduplicated=True)
    band = curated(select.between(pool, "quality", 0.5, 0.8))
    assert "kept one: it lies above the band, where rows were dropped on purpose." in band
    assert "leaves out the highest scores on purpose" in band and "higher in the kept rows by construction" not in band
    best = curated(select.Cut("quality", ranks=(20, 27)))  # a band up to the very best
    assert "can score higher" not in best and "higher in the kept rows by construction" in best


def test_no_query_where_sql_would_take_another_column() -> None:
    assert "```sql" in curated()
    assert "```sql" not in curated(without=[]) and "upper and lower case alone" in curated(without=[])


def test_settings_show_no_path_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "set").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    shown = {
        "scorers": [{"scorer": "clip", "model": "/mnt/team/x/clip", "deep": {"path": ["~/models/blip/", "./a/b"]}}],
        "dataset": "data/set",
        "model": "openai/clip-vit",
        "prompt": "/no_think\nWhat is this?",
        "long": "x" * 5000,
        "k": 5,
        "prefix": "",
        "suffixes": ["", "a"],
    }
    clean = without_paths(shown)
    assert clean["scorers"] == [{"scorer": "clip", "model": "clip", "deep": {"path": ["blip", "b"]}}]
    assert clean["dataset"] == "set" and clean["model"] == "openai/clip-vit"
    assert clean["prompt"] == shown["prompt"] and clean["long"] == shown["long"] and clean["k"] == 5
    assert clean["prefix"] == "" and clean["suffixes"] == ["", "a"]
    card = curated(config=shown)
    assert "/mnt/team" not in card and "model: clip" in card and "/secret" not in card
