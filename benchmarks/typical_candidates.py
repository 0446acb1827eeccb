"""Does score_and_select keep the pictures that show their kind? The truths that the renderer wrote down say so.

    python -m tamis.localhub run -- python benchmarks/typical_candidates.py

Runs recipes/score_and_select.tiny.yaml, loads what it published, and reads the columns that no recipe reads (truth_*):
what share of the pool, of the rows kept and of as many drawn at random is typical, and how well each score tells
typical candidates from misleading ones (AUC: how often a typical one scores higher). Draws the README's picture.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from measuring import report, run_tiny

from tamis.metrics import stats
from tamis.metrics.auc import auc

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = "me/commons-curated"
# truth_source, and what the README calls it.
SOURCES = {
    "typical": "typical",
    "partly": "partly right",
    "lookalike": "look-alike",
    "defect": "spoilt",
    "two things": "two things",
    "unrelated": "unrelated",
}
SCORES = {"clip_similarity": "CLIP similarity", "image_quality_overall": "picture quality"}
COLOURS = {"full": "#b9bec7", "random": "#7a8594", "top": "#1b7f5c"}


def by_kinds(statistic: Callable[[np.ndarray], float], kinds: np.ndarray, draws: int = 5000) -> dict[str, Any]:
    """A number of rows, with its bootstrap interval: kinds are drawn, each with all of its rows."""
    members = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
    generator = np.random.default_rng(0)
    drawn = [
        statistic(np.concatenate([members[place] for place in generator.integers(0, len(members), len(members))]))
        for _ in range(draws)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": statistic(np.arange(len(kinds))), "low": float(low), "high": float(high), "n": len(kinds)}


def told_apart(column: str, pool: dict[str, np.ndarray]) -> dict[str, Any]:
    """AUC of a score for typical against misleading: over all rows, within kinds, and against each way to mislead."""
    typical, kinds, scores = pool["truth_typical"], pool["topic"], pool[column]
    within = [auc(typical[kinds == kind], scores[kinds == kind]) for kind in np.unique(kinds)]
    against = {}
    for source in list(SOURCES)[1:]:
        rows = np.flatnonzero(typical | (pool["truth_source"] == source))
        against[source] = auc(typical[rows], scores[rows])
    return {
        "overall": by_kinds(lambda rows: auc(typical[rows], scores[rows]), kinds),
        "mean_within_kinds": asdict(stats.mean(within)),
        "kinds": dict(zip(np.unique(kinds).tolist(), within, strict=True)),
        "overall_against": against,
    }


def shares(members: np.ndarray, pool: dict[str, np.ndarray]) -> dict[str, Any]:
    sources, kinds = pool["truth_source"][members].tolist(), pool["topic"][members].tolist()
    return {name: asdict(stats.mean([float(one == name) for one in sources], groups=kinds)) for name in SOURCES}


def typical_by_kind(members: np.ndarray, pool: dict[str, np.ndarray]) -> list[float]:
    found = defaultdict(list)
    for kind, typical in zip(pool["topic"][members], pool["truth_typical"][members], strict=True):
        found[kind].append(float(typical))
    return [float(np.mean(found[kind])) for kind in np.unique(pool["topic"])]


def draw(found: dict[str, dict[str, Any]], most: float, apart: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.6, 3.5), width_ratios=(2.6, 1))
    width = 0.8 / len(found)
    for place, (arm, of) in enumerate(found.items()):
        colour, at = COLOURS[arm.split("-")[0]], np.arange(len(SOURCES)) + place * width
        value, low, high = (np.asarray([of[name][key] for name in SOURCES]) * 100 for key in ("value", "low", "high"))
        label = f"{'pool' if arm == 'full' else arm} (n = {of['typical']['n']:,})"
        reach = {"yerr": [value - low, high - value], "error_kw": {"elinewidth": 1, "ecolor": "#444"}}
        left.bar(at, value, width * 0.94, color=colour, label=label, **reach)
        for x in at[value == 0]:
            left.text(x, 0.8, "0", ha="center", color=colour, fontsize=9)
    left.hlines(most * 100, -0.6 * width, (len(found) - 0.4) * width, colors="#444", linestyles="dotted", linewidth=1.2)
    left.text((len(found) - 0.3) * width, most * 100, "the most there could be", va="center", fontsize=8, color="#444")
    left.set_xticks(np.arange(len(SOURCES)) + width * (len(found) - 1) / 2, list(SOURCES.values()), fontsize=9)
    left.set_ylabel("share of rows, %")
    left.set_title("what the pictures are, by a truth that no score read", fontsize=10)
    left.legend(frameon=False, fontsize=9)
    for place, column in enumerate(SCORES):
        colour, each = ("#1b7f5c", "#8a6bbd")[place], list(apart[column]["kinds"].values())
        right.scatter(np.linspace(place - 0.2, place + 0.2, len(each)), sorted(each), s=12, color=colour, alpha=0.55)
        mean = apart[column]["mean_within_kinds"]
        reach = [[mean["value"] - mean["low"]], [mean["high"] - mean["value"]]]
        right.errorbar(place + 0.33, mean["value"], yerr=reach, fmt="o", color="#222", markersize=5, elinewidth=1)
    right.axhline(0.5, color="#888", linewidth=0.8, linestyle="dotted")
    right.text(-0.45, 0.505, "chance", fontsize=8, color="#666", va="bottom")
    right.set_xticks(range(len(SCORES)), list(SCORES.values()), fontsize=9)
    right.set_xlim(-0.5, len(SCORES) - 0.5)
    right.set_ylim(min(0.3, min(min(apart[column]["kinds"].values()) for column in SCORES) - 0.02), 1.02)
    right.set_ylabel("AUC, typical against the rest")
    right.set_title("twenty kinds, and their mean", fontsize=10)
    for axis in (left, right):
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=130, metadata={"Software": None})


def main() -> None:
    from datasets import load_dataset

    with tempfile.TemporaryDirectory() as folder:
        run_tiny("score_and_select", ["--output_dir", folder, "--hub_dataset_id", PUBLISHED])
    rows = load_dataset(PUBLISHED, "scores", split="train").remove_columns("image")
    columns = ("topic", "truth_source", "truth_typical", "truth_prototype", *SCORES)
    pool = {name: np.asarray(rows[name][:]) for name in columns}
    in_arm: dict[str, np.ndarray] = {"full": np.arange(len(rows))}
    for arm in sorted({arm for arms in rows["arms"] for arm in arms}):
        in_arm[arm] = np.flatnonzero([arm in arms for arms in rows["arms"]])
    best, random = (next(arm for arm in in_arm if arm.startswith(way)) for way in ("top-", "random-"))
    found = {arm: shares(members, pool) for arm, members in in_arm.items()}
    # No selection with these shares of kinds could hold more: some kinds have fewer typical ones than rows to keep.
    quota = Counter(pool["topic"][in_arm[best]].tolist())
    there = Counter(pool["topic"][pool["truth_typical"]].tolist())
    most = sum(min(rows_kept, there[kind]) for kind, rows_kept in quota.items()) / len(in_arm[best])
    apart = {column: told_apart(column, pool) for column in SCORES}
    kept = np.zeros(len(rows), dtype=bool)
    kept[in_arm[best]] = True
    prototypes = {}
    for prototype in np.unique(pool["truth_prototype"]).tolist():
        own = pool["truth_typical"] & (pool["truth_prototype"] == prototype)
        similarity = float(pool["clip_similarity"][own].mean())
        prototypes[prototype] = {"typical": int(own.sum()), "kept": int(kept[own].sum()), "clip_similarity": similarity}
    (ROOT / "docs").mkdir(exist_ok=True)
    draw({arm: found[arm] for arm in ("full", random, best)}, most, apart, ROOT / "docs" / "typical.png")
    report(
        "typical_candidates",
        {
            "share_of_rows": found,
            "typical_at_most": most,
            "typical_kept_minus_random_by_kind": asdict(
                stats.paired(typical_by_kind(in_arm[best], pool), typical_by_kind(in_arm[random], pool))
            ),
            "auc": apart,
            "by_prototype": prototypes,
        },
    )


if __name__ == "__main__":
    main()
