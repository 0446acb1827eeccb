"""What was measured of arms, in lines of tables: for cards, which want names as code, and for the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tamis import cards
from tamis.metrics.stats import Comparison, Estimate

Name = Callable[[str], str]  # how a name from the settings is shown
Lines = list[list[Any]]


def metrics_of(results: dict[str, Any], metrics: Sequence[str]) -> list[str]:
    """The metrics and those beside them that are no column of the drawn pictures; not their parts (METRIC@GROUP)."""
    measured = dict.fromkeys(name for told in results["arms"].values() for name in told if "@" not in name)
    return [*metrics, *(name for name in measured if name not in metrics)]


def means(results: dict[str, Any], metrics: Sequence[str], name: Name) -> tuple[list[str], Lines]:
    lines = []
    for arm, told in results["arms"].items():
        known = [Estimate.of(told[metric]) if metric in told else None for metric in metrics]
        lines.append([name(arm), *("–" if one is None else cards.interval(one) for one in known)])
    return ["arm", *map(name, metrics)], lines


def difference(one: dict[str, Any]) -> cards.Markdown:
    """A comparison of results.json, as a cell."""
    return cards.difference(Comparison(**{key: one[key] for key in ("difference", "low", "high", "p", "n")}))


def comparisons(
    results: dict[str, Any], best: str, name: Name, wanted: Callable[[str], bool] = lambda metric: True
) -> tuple[list[str], Lines]:
    """The best arm against every other one, a line a metric and arm, a column for each way to cluster."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in results["comparisons"]:
        if one["a"] == best and wanted(one["metric"]):
            found.setdefault((one["metric"], one["b"]), {})[one["clustered_by"]] = difference(one)
    ways = list(dict.fromkeys(way for told in found.values() for way in told))
    metrics = list(dict.fromkeys(metric for metric, _ in found))  # all arms of a metric together
    lines = sorted(found.items(), key=lambda item: metrics.index(item[0][0]))
    return (
        ["metric", "against", *(f"difference, by {way}" for way in ways)],
        [[name(metric), name(arm), *(told.get(way, "–") for way in ways)] for (metric, arm), told in lines],
    )


def correlations(results: dict[str, Any], name: Name) -> tuple[list[str], Lines]:
    lines = [[name(arm), _estimate(told)] for arm, told in results["correlations"].items()]
    return ["arm", "r over topics"], lines


def agreement(results: dict[str, Any], name: Name) -> tuple[list[str], Lines]:
    lines = [[one["of"], name(one["a"]), name(one["b"]), _estimate(one)] for one in results["agreement"]]
    return ["ranked", "by", "and by", "rank correlation"], lines


def training(results: dict[str, Any], name: Name) -> tuple[list[str], Lines]:
    """Cost and losses of every LoRA."""
    head = ["adapter", "rows", "left out", "steps", "parameters", "loss, first", "last", "rows an hour", "memory, GB"]
    lines = [
        [
            name(folder),
            told["rows"],
            told.get("rows_left_out", 0),
            told["steps"],
            told["trainable_parameters"],
            cards.number(round(told["loss_first"], 4)),
            cards.number(round(told["loss_last"], 4)),
            round(told["rows_per_hour"]),
            cards.number(round(told["peak_memory_gb"], 2)),
        ]
        for folder, told in results["training"].items()
    ]
    return head, lines


def counted(head: tuple[str, str], reasons: Iterable[str | None]) -> tuple[list[str], Lines]:
    """How often each reason was given, most often first."""
    counts: dict[str, int] = {}
    for why in reasons:
        if why is not None:
            counts[why] = counts.get(why, 0) + 1
    return list(head), [[why, count] for why, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _estimate(told: dict[str, Any]) -> cards.Markdown:
    return cards.interval(Estimate.of(told))
