"""Card and report of a curated dataset: what was kept, what was dropped, how to cut it again."""

from __future__ import annotations

import contextlib
import inspect
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from tamis import cards, report, sql
from tamis.columns import column_values
from tamis.metrics.stats import Comparison, Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset

    from tamis.scoring import Scorer
    from tamis.select import Cut
    from tamis.sources import Source

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class Curation:
    """Everything the card and the report tell of one selection."""

    repo_id: str
    source: Source
    pool: Dataset
    subsets: dict[str, Dataset]  # the kept one first
    by: str  # the column that selected
    measured: Sequence[str]
    scorers: Sequence[Scorer]
    results: dict[str, Any]
    cut: Cut | None  # None: no single cut says which rows were kept
    seed: int
    image_column: str | None = None
    text_column: str | None = None
    per: str | None = None
    deduplicated: bool = False

    @property
    def kept_name(self) -> str:
        return next(iter(self.subsets))

    @property
    def kept(self) -> Dataset:
        return self.subsets[self.kept_name]

    @cached_property
    def examples(self) -> dict[str, list[int]]:
        return report.examples(self.pool, set(self.kept["row_id"][:]), self.by, seed=self.seed)

    @cached_property
    def mixture(self) -> list[list[Any]]:
        return report.mixture_rows(self.pool, self.kept, self.per) if self.per else []

    def pictures(self) -> dict[str, bytes]:
        drawn = {"pictures/histograms.png": report.histograms(self.pool, self.kept, self.measured)}
        if self.image_column:
            sheet = report.contact_sheet(self.pool, self.examples, self.image_column, self.by)
            drawn["pictures/contact_sheet.jpg"] = sheet
        return drawn

    def card(self, template: Path) -> cards.Card:
        licence, why = cards.derived_licence([self.source])
        metadata = {
            "license": licence,
            "pretty_name": self.repo_id.split("/")[-1],
            "source_datasets": [self.source.repo_id] if not self.source.local else ["original"],
            "annotations_creators": ["machine-generated"],
            "size_categories": [next((name for limit, name in SIZES if len(self.pool) < limit), "1M<n<10M")],
            "tags": ["tamis", "data-selection", "scored"],
        }
        return cards.Card(template, metadata, self._values(why))

    def page(self, pictures: dict[str, bytes]) -> str:
        arms = self.results["arms"]
        return report.html(
            title=f"{self.source.repo_id}: {len(self.kept):,} of {len(self.pool):,} rows kept",
            summary=[
                ("source", f"{self.source.repo_id} at {self.source.revision[:12]}"),
                ("kept by", f"{self.by} (higher is better)"),
                ("arm", self.kept_name),
                ("seed", str(self.seed)),
            ],
            tables={
                "Mean of every score, by arm": (
                    ["score", *arms],
                    [[c, *(cards.interval(Estimate(**arms[a][c])) for a in arms)] for c in self.measured],
                ),
                f"{self.kept_name} against the others": (["score", "against", "difference"], self._differences()),
                "Rows without a score": (["column", "reason", "rows"], self._nulls()),
                **({f"Mixture by {self.per}": (MIXTURE, self.mixture)} if self.mixture else {}),
            },
            pictures={name.split("/")[-1].split(".")[0].replace("_", " "): data for name, data in pictures.items()},
            pool=self.pool,
            groups=self.examples,
            image_column=self.image_column,
            shown=[c for c in (self.text_column, "row_id", *self.measured) if c],
        )

    def _values(self, why_licence: str) -> dict[str, Any]:
        arms = self.results["arms"]
        config = {k: v for k, v in self.results["config"].items() if v is not None and k not in PRIVATE_SETTINGS}
        config["dataset"] = self.source.repo_id
        no_query = self._why_no_query()
        pool = f"'hf://datasets/{self.repo_id}/data/scores/*.parquet'"
        return {
            "repo_id": cards.Markdown(self.repo_id),
            "kept_name": cards.Markdown(self.kept_name),
            "kept_rows": len(self.kept),
            "pool_rows": len(self.pool),
            "by": cards.code(self.by),
            "source": cards.code(self.source.repo_id),
            "source_is_local": self.source.local,
            "subsets": cards.table(
                ["config", "rows", "what it is"],
                [
                    [cards.code("scores"), len(self.pool), "the whole pool, every score, and the arms of each row"],
                    *([cards.code(name), len(rows), _meaning(name, self.by)] for name, rows in self.subsets.items()),
                ],
            ),
            "loading": cards.fenced(self.loading(), "python"),
            "arms": cards.table(
                ["mean [95 % interval]", *(cards.code(name) for name in arms)],
                [[cards.code(c), *(cards.interval(Estimate(**arms[a][c])) for a in arms)] for c in self.measured],
            ),
            "comparisons": cards.table(["score", "against", "difference of means"], self._differences(cards.code)),
            "columns": cards.Markdown("\n\n".join(explained(scorer) for scorer in self.scorers)) or None,
            "nulls": cards.nulls_table(self.results["nulls"], len(self.pool)),
            "mixture": cards.table(MIXTURE, self.mixture) if self.mixture else None,
            "per": cards.code(self.per) if self.per else None,
            "deduplicated": self.deduplicated,
            "below_the_best": self._below_the_best,
            "weighted": bool(config.get("weights")),
            "why_dropped": cards.Markdown(", or ".join(self._why_dropped())) or None,
            "pictures": self.image_column is not None,
            "query": None if no_query else cards.fenced(sql.query(pool, self.cut), "sql"),
            "no_query": no_query,
            "sources": cards.sources_table(self.results["sources"]),
            "why_licence": why_licence,
            "config": cards.fenced(yaml.safe_dump(without_paths(config), sort_keys=False, allow_unicode=True), "yaml"),
            "versions": ", ".join(f"{name} {version}" for name, version in self.results["versions"].items()),
        }

    def loading(self) -> str:
        return (
            "from datasets import load_dataset\n\n"
            f'pool = load_dataset("{self.repo_id}", "scores", split="train")\n'
            f'kept = load_dataset("{self.repo_id}", "{self.kept_name}", split="train")\n'
            f'again = pool.filter(lambda row: "{self.kept_name}" in row["arms"])  # the same rows'
        )

    @property
    def _below_the_best(self) -> bool:
        """Whether this is a band that ends below the highest scores."""
        if self.cut is None or self.cut.ranks is None:
            return False
        highest, kept = (np.nanmax(column_values(rows, self.by)) for rows in (self.pool, self.kept))
        return bool(highest > kept)

    def _why_dropped(self) -> list[str]:
        """Why a dropped row can score higher than a kept one."""
        reasons = {
            "its near-duplicate scored higher still": self.deduplicated,
            "its part of the mixture was full": self.per is not None,
            "it lies above the band, where rows were dropped on purpose": self._below_the_best,
            "it is too like a kept one": self.cut is None,
        }
        return [reason for reason, holds in reasons.items() if holds]

    def _why_no_query(self) -> cards.Markdown | None:
        if self.cut is None:
            return cards.Markdown("The kept rows were chosen to differ from each other, which no single query says")
        if sql.confuses(self.pool.column_names, self.cut):
            return cards.Markdown("Columns differ in upper and lower case alone, which SQL does not tell apart")
        return None

    def _differences(self, name: Any = str) -> list[list[Any]]:
        own = {"a", "b", "metric"}
        return [
            [
                name(c["metric"]),
                name(c["b"]),
                cards.difference(Comparison(**{key: value for key, value in c.items() if key not in own})),
            ]
            for c in self.results["comparisons"]
        ]

    def _nulls(self) -> list[list[Any]]:
        return [
            [", ".join(columns), reason, f"{count:,}"]
            for columns, reason, count in cards.nulls_by_reason(self.results["nulls"])
        ]


MIXTURE = ["value", "rows in the pool", "share", "rows kept", "share"]
# Where this machine keeps things, and what is no part of what was done.
PRIVATE_SETTINGS = ("output_dir", "push_to_hub", "hub_private_repo", "report_to", "dry_run", "hub_model_id")


def _meaning(name: str, by: str) -> str:
    kind = name.split("-")[0]
    return {
        "random": "as many rows, drawn by seed: what to hold the kept ones against",
        "bottom": f"as many rows, those with the lowest {by}",
    }.get(kind, f"the kept rows, by {by}")


def explained(scorer: Scorer) -> str:
    """What the scorer's own docstring says, under the names its columns have here."""
    words = inspect.cleandoc(type(scorer).__doc__ or "").replace("NAME_", f"{scorer.name}_")
    return f"### {scorer.name}\n\n{words}"


def without_paths(value: Any) -> Any:
    """Settings as a card shows them: what is a path on this machine by its last name, at any depth."""
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    return (Path(value).expanduser().resolve().name or "/") if isinstance(value, str) and _is_path(value) else value


def _is_path(text: str) -> bool:
    if not text:  # pathlib takes it for the working folder
        return False
    if text.startswith(("/", "~/", "./", "../")):
        return "\n" not in text
    with contextlib.suppress(OSError, ValueError):  # a long text is no name of a file
        return Path(text).is_dir()
    return False
