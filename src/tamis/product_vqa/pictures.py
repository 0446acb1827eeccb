"""Plots of what answering models do: by difficulty, and how far each arm is from the model as it is. PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tamis.lora_pictures import OTHER, SHADES, figure_of, png_of


def by_level(arms: dict[str, dict[str, Any]], metric: str, shown: Sequence[str], levels: Sequence[str]) -> bytes:
    """One line an arm: its mean at each difficulty, with intervals."""
    from matplotlib import pyplot

    figure, axes = figure_of(pyplot, 1, 1, (8.4, 3.6))
    axis = axes.flat[0]
    colours = [SHADES["none"], SHADES["top"], OTHER, SHADES["random"], SHADES["bottom"], "#7b5aa6", "#333333"]
    for place, (arm, colour) in enumerate(zip(shown, colours, strict=False)):
        told = [arms[arm].get(f"{metric}@level={level}") for level in levels]
        at = [(x, one) for x, one in enumerate(told) if one is not None and one["value"] is not None]
        shift = 0.08 * (place - (len(shown) - 1) / 2)
        axis.plot([x + shift for x, _ in at], [one["value"] for _, one in at], color=colour, linewidth=0.6, alpha=0.5)
        axis.plot([x + shift for x, _ in at], [one["value"] for _, one in at], "o", color=colour, label=arm)
        for x, one in at:
            if one["low"] is not None:
                axis.plot([x + shift] * 2, [one["low"], one["high"]], color=colour, linewidth=1.5)
    axis.set_xticks(range(len(levels)), levels)
    axis.set_xlabel("difficulty")
    axis.set_ylabel(metric)
    axis.set_ylim(-0.03, 1.03)
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return png_of(pyplot, figure, axes, 1)


def differences(comparisons: Sequence[dict[str, Any]], metric: str) -> bytes:
    """One line a comparison: the paired difference of the first arm to the second, with its interval."""
    from matplotlib import pyplot

    told = [one for one in comparisons if one["metric"] == metric and one["low"] is not None]
    figure, axes = figure_of(pyplot, 1, 1, (6.4, 0.9 + 0.32 * max(1, len(told))))
    axis = axes.flat[0]
    for line, one in enumerate(reversed(told)):
        clear = one["low"] > 0 or one["high"] < 0
        colour = SHADES["top"] if clear and one["difference"] > 0 else SHADES["bottom"] if clear else SHADES["none"]
        axis.plot(one["difference"], line, "o", color=colour, markersize=5)
        axis.plot([one["low"], one["high"]], [line, line], color=colour, linewidth=2)
    names = [f"{one['a']} − {one['b']}" for one in reversed(told)]
    axis.set_yticks(range(len(told)), names, fontsize=8)
    axis.axvline(0, color="#0006", linewidth=1)
    axis.set_xlabel(f"difference in {metric}", fontsize=9)
    return png_of(pyplot, figure, axes, 1)
