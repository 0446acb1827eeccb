"""A plot of what arms are worth. PNG."""

from __future__ import annotations

from typing import Any

from tamis.lora_pictures import SHADES, figure_of, png_of


def arms(told: dict[str, dict[str, Any]], draws: dict[str, dict[str, Any]], metric: str, best: str) -> bytes:
    """A line an arm, the best first: its accuracy with its interval over pictures; small dots are draws and seeds."""
    from matplotlib import pyplot

    known = {arm: one[metric] for arm, one in told.items() if one[metric]["value"] is not None}
    order = sorted(known, key=lambda arm: known[arm]["value"])
    figure, axes = figure_of(pyplot, 1, 1, (7.2, 0.9 + 0.32 * max(1, len(order))))
    axis = axes.flat[0]
    for line, arm in enumerate(order):
        one = known[arm]
        colour = SHADES["top"] if arm == best else SHADES["random"] if arm.startswith("random-") else SHADES["none"]
        if one["low"] is not None:
            axis.plot([one["low"], one["high"]], [line, line], color=colour, linewidth=2)
        axis.plot(one["value"], line, "o", color=colour, markersize=6)
        each = [value for value in draws.get(arm, {}).get("each", {}).values() if value is not None]
        if len(each) > 1:
            axis.plot(each, [line - 0.25] * len(each), ".", color=colour, markersize=4, alpha=0.8)
    axis.set_yticks(range(len(order)), order, fontsize=8)
    axis.set_xlabel(metric, fontsize=9)
    axis.grid(axis="x", color="#0001")
    return png_of(pyplot, figure, axes, 1)
