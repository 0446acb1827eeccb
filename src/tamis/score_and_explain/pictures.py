"""The curves of score_and_explain: a metric a panel, an arm a line, iterations from left to right. PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tamis.lora_pictures import OTHER, SHADES, figure_of, png_of
from tamis.score_and_explain.arm_forms import BASE, CONSISTENCY, MERGED, SCORING, SFT, iteration_of

COLOURS = {MERGED: SHADES["top"], SCORING: SHADES["bottom"], CONSISTENCY: OTHER, SFT: SHADES["random"]}
LEAST = 0.2  # of a panel's height
MORE = ("#7b5aa6", "#333333", "#3aa6a0", "#c46a9b")  # other ways to merge, in their order


def curves(arms: dict[str, dict[str, Any]], metrics: Sequence[str], shown: Sequence[str]) -> bytes:
    """shown: names of arms, without iteration. Each line begins at the model as it is."""
    from matplotlib import pyplot

    told = {iteration_of(name): values for name, values in arms.items()}
    last = max(number for _, number in told)
    across = min(3, len(metrics))
    down = -(-len(metrics) // across)
    figure, axes = figure_of(pyplot, down, across, (4.1 * across, 2.7 * down + 0.4))
    others = iter(MORE)
    colours = {arm: COLOURS.get(arm) or next(others, "#999999") for arm in shown}
    for axis, metric in zip(axes.flat, metrics, strict=False):
        for place, arm in enumerate(shown):
            points = [(0, told[BASE, 0].get(metric))]
            points += [(number, told.get((arm, number), {}).get(metric)) for number in range(1, last + 1)]
            at = [(number, one) for number, one in points if one is not None and one["value"] is not None]
            shift = 0.07 * (place - (len(shown) - 1) / 2)
            axis.plot(
                [number + shift * (number > 0) for number, _ in at],
                [one["value"] for _, one in at],
                marker="o",
                markersize=4,
                linewidth=1.6 if arm == MERGED else 0.9,
                color=colours[arm],
                label=arm,
            )
            for number, one in at[1:]:
                if one["low"] is not None:
                    axis.plot([number + shift] * 2, [one["low"], one["high"]], color=colours[arm], linewidth=1.2)
        low, high = axis.get_ylim()
        if high - low < LEAST:  # what hardly moves is not to look as if it did
            axis.set_ylim((low + high - LEAST) / 2, (low + high + LEAST) / 2)
        axis.set_title(metric, fontsize=10)
        axis.set_xticks(range(last + 1), [BASE, *map(str, range(1, last + 1))], fontsize=8)
        axis.tick_params(axis="y", labelsize=8)
        axis.grid(axis="y", color="#0001")
    names = dict(zip(*reversed(axes.flat[0].get_legend_handles_labels()), strict=True))
    figure.legend(names.values(), names.keys(), loc="lower center", ncols=min(6, len(names)), fontsize=8, frameon=False)
    return png_of(pyplot, figure, axes, len(metrics), foot=0.45 / figure.get_figheight())
