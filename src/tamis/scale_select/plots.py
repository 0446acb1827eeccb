"""A plot of what arms are worth. PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tamis.lora_pictures import SHADES, figure_of, png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def arms(
    told: dict[str, dict[str, Any]],
    draws: dict[str, dict[str, dict[str, Any]]],
    metrics: Sequence[str],
    best: str,
) -> bytes:
    """A panel a metric, a line an arm, the best by the first metric on top: its accuracy with its interval over
    pictures; small dots are draws and seeds."""
    from matplotlib import pyplot

    known = [arm for arm, one in told.items() if one[metrics[0]]["value"] is not None]
    order = sorted(known, key=lambda arm: told[arm][metrics[0]]["value"])
    figure, axes = figure_of(pyplot, 1, len(metrics), (2.2 + 5 * len(metrics), 0.9 + 0.32 * max(1, len(order))))
    for panel, metric in enumerate(metrics):
        axis = axes.flat[panel]
        for line, arm in enumerate(order):
            each = draws[metric].get(arm, {}).get("each", {}).values()
            if told[arm][metric]["value"] is not None:
                _line(axis, line, told[arm][metric], [value for value in each if value is not None], _shade(arm, best))
        axis.set_yticks(range(len(order)), order if panel == 0 else [""] * len(order), fontsize=8)
        axis.set_xlabel(metric, fontsize=9)
        axis.grid(axis="x", color="#0001")
    return png_of(pyplot, figure, axes, len(metrics))


def _line(axis: Axes, line: int, one: dict[str, Any], each: list[float], colour: str) -> None:
    if one["low"] is not None:
        axis.plot([one["low"], one["high"]], [line, line], color=colour, linewidth=2)
    axis.plot(one["value"], line, "o", color=colour, markersize=6)
    if len(each) > 1:
        axis.plot(each, [line - 0.25] * len(each), ".", color=colour, markersize=4, alpha=0.8)


def _shade(arm: str, best: str) -> str:
    return SHADES["top"] if arm == best else SHADES["random"] if arm.startswith("random-") else SHADES["none"]
