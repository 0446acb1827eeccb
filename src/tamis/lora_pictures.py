"""Pictures of trained arms: a grid of what they draw from the same noise, their means, what goes in against what comes
out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.report import TILE, thumbnail

if TYPE_CHECKING:
    from datasets import Dataset
    from matplotlib.figure import Figure

SHADES = {"none": "#b9bec7", "random": "#c9a227", "bottom": "#b4452f", "top": "#1b7f5c"}
OTHER = "#4a6fa5"
EACH = 2  # pictures of an arm and line in the grid, at most
WIDEST = 420  # pixels of a line's name


def grid(
    drawn: Dataset, arms: Sequence[str], lines: dict[str, str], *, unit: str = "topic", style: str | None, seed: int
) -> bytes:
    """A block an arm: the first one or two pictures of each line, from the same noise in all arms. PNG.

    lines: values of the column `unit`, and how each is called. style: prompts of that one alone. What could not be
    drawn is a grey tile.
    """
    from PIL import Image, ImageDraw, ImageFont

    font, head = ImageFont.load_default(size=17), 30
    label = int(min(WIDEST, max(124, *(font.getlength(name) + 20 for name in lines.values()))))
    keys = zip(*(drawn[name][:] for name in (unit, "arm", "seed", "turn", "style")), strict=True)
    at = {tuple(key): position for position, (*key, drawn_in) in enumerate(keys) if style in (None, drawn_in)}
    each = min(EACH, 1 + max(turn for *_, turn in at))
    block = max(each * (TILE + 4), *(int(font.getlength(arm)) for arm in arms)) + 10
    sheet = Image.new("RGB", (label + len(arms) * block, head + len(lines) * (TILE + 8)), "white")
    brush = ImageDraw.Draw(sheet)
    for place, arm in enumerate(arms):
        brush.text((label + place * block + 2, 6), arm, fill="black", font=font)
    for line, (value, name) in enumerate(lines.items()):
        top = head + line * (TILE + 8)
        brush.text((6, top + TILE // 2 - 8), _fitting(name, font, label - 12), fill="black", font=font)
        for place, arm in enumerate(arms):
            for turn in range(each):
                position = at.get((value, arm, seed, turn))
                if position is not None:
                    tile = thumbnail(drawn[position]["image"])
                    sheet.paste(tile, (label + place * block + turn * (TILE + 4), top))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _fitting(text: str, font: Any, width: int) -> str:
    """On one line, shortened until it is no wider."""
    flat = shown = " ".join(text.split())
    while font.getlength(shown) > width:
        flat = flat[:-1]
        shown = f"{flat.rstrip()}…"
    return shown


def arms_plot(arms: dict[str, dict[str, Any]], metrics: Sequence[str]) -> bytes:
    """One panel a metric: each arm's mean with its interval. PNG."""
    from matplotlib import pyplot

    across = min(3, len(metrics))
    down = -(-len(metrics) // across)
    size = (3.9 * across, (0.9 + 0.27 * len(arms)) * down)
    figure, axes = figure_of(pyplot, down, across, size)
    for axis, metric in zip(axes.flat, metrics, strict=False):
        told = [(arm, values[metric]) for arm, values in reversed(arms.items()) if metric in values]
        for line, (arm, estimate) in enumerate(told):
            if estimate["value"] is None:
                continue
            colour = SHADES.get(arm.split("-")[0], OTHER)
            axis.plot(estimate["value"], line, "o", color=colour, markersize=5)
            if estimate["low"] is not None:
                axis.plot([estimate["low"], estimate["high"]], [line, line], color=colour, linewidth=2)
        axis.set_yticks(range(len(told)), [arm for arm, _ in told], fontsize=8)
        axis.set_title(metric, fontsize=10)
        axis.tick_params(axis="x", labelsize=8)
        axis.locator_params(axis="x", nbins=5)
        axis.grid(axis="x", color="#0001")
    return png_of(pyplot, figure, axes, len(metrics))


def win_rate_plot(
    comparisons: Sequence[dict[str, Any]],
    best: str,
    metrics: Sequence[str],
    *,
    parts: Sequence[str] = (),
    claims: dict[str, float],
) -> bytes:
    """One panel a metric: how often `best` wins against every other arm, of all prompts and of parts of them. PNG.

    parts: COLUMN=VALUE as in METRIC@COLUMN=VALUE. claims: win rates that others tell of the first metric, by name.
    """
    from matplotlib import pyplot

    # The last one wins: of a comparison that was clustered in several ways, the first way.
    won = {(one["metric"], one["b"]): one for one in reversed(comparisons) if one["a"] == best}
    rivals = [rival for name, rival in won if name == metrics[0]]
    shown = {"all prompts": ""} | {part: f"@{part}" for part in parts}
    across = min(2, len(metrics))
    down = -(-len(metrics) // across)
    figure, axes = figure_of(pyplot, down, across, (5.2 * across, (0.9 + 0.5 * len(rivals)) * down + 0.5))
    for axis, metric in zip(axes.flat, metrics, strict=False):
        for (label, part), colour in zip(shown.items(), (SHADES["top"], OTHER, SHADES["random"]), strict=False):
            shift = 0.2 * (list(shown).index(label) - (len(shown) - 1) / 2)
            told = [(line - shift, won.get((f"{metric}{part}", rival))) for line, rival in enumerate(rivals)]
            for height, one in told:
                if one is None or one["difference"] is None:
                    continue
                axis.plot(0.5 + one["difference"], height, "o", color=colour, markersize=4, label=label)
                if one["low"] is not None:
                    reach = [0.5 + one["low"], 0.5 + one["high"]]
                    axis.plot(reach, [height, height], color=colour, linewidth=1.6)
        axis.axvline(0.5, color="#0006", linewidth=1)
        if metric == metrics[0]:
            for (name, value), dashes in zip(claims.items(), (":", "--", "-."), strict=False):
                axis.axvline(value, color=SHADES["bottom"], linewidth=1, linestyle=dashes, label=name)
        axis.set_yticks(range(len(rivals)), [f"against {rival}" for rival in rivals], fontsize=8)
        axis.set_ylim(-0.6, len(rivals) - 0.4)
        low, high = axis.get_xlim()
        axis.set_xlim(min(low, 0.25), max(high, 0.75))
        axis.set_title(metric, fontsize=10)
        axis.tick_params(axis="x", labelsize=8)
    names = dict(zip(*reversed(axes.flat[0].get_legend_handles_labels()), strict=True))
    figure.legend(names.values(), names.keys(), loc="lower center", ncols=len(names), fontsize=8, frameon=False)
    return png_of(pyplot, figure, axes, len(metrics), foot=0.5 / figure.get_figheight())


def input_output_plot(
    trained_on: dict[str, dict[str, float]],
    drawn: dict[str, dict[str, float]],
    correlations: dict[str, dict[str, Any]],
    arms: Sequence[str],
) -> bytes:
    """One panel an arm: a point a topic, quiz accuracy of its training pictures against that of what it draws. PNG."""
    from matplotlib import pyplot

    across = min(4, len(arms))
    down = -(-len(arms) // across)
    figure, axes = figure_of(pyplot, down, across, (3.0 * across, 2.8 * down))
    for axis, arm in zip(axes.flat, arms, strict=False):
        topics = [topic for topic in trained_on[arm] if topic in drawn.get(arm, {})]
        x, y = [trained_on[arm][t] for t in topics], [drawn[arm][t] for t in topics]
        axis.plot(x, y, "o", color=SHADES.get(arm.split("-")[0], OTHER), alpha=0.8, markersize=5)
        r = correlations[arm]
        told = "r: not defined" if r["value"] is None else f"r = {r['value']:.2f}"
        reach = "" if r["low"] is None else f" [{r['low']:.2f}, {r['high']:.2f}]"
        axis.set_title(f"{arm}: {told}{reach}", fontsize=9)
        axis.plot([0, 1], [0, 1], color="#0002", linewidth=1)  # drawn as well as trained on
        axis.set_xlim(-0.03, 1.03)
        axis.set_ylim(-0.03, 1.03)
        axis.tick_params(labelsize=8)
    axes.flat[0].set_xlabel("quiz accuracy, trained on", fontsize=8)
    axes.flat[0].set_ylabel("quiz accuracy, drawn", fontsize=8)
    return png_of(pyplot, figure, axes, len(arms))


def figure_of(pyplot: Any, down: int, across: int, size: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    pyplot.switch_backend("Agg")
    return pyplot.subplots(down, across, figsize=size, squeeze=False)


def png_of(pyplot: Any, figure: Figure, axes: np.ndarray, used: int, *, foot: float = 0.0) -> bytes:
    """foot: the share of the height that is left free below."""
    for axis in axes.flat[used:]:
        axis.set_visible(False)
    for axis in axes.flat:
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    figure.tight_layout(rect=(0, foot, 1, 1))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})  # the same run gives the same bytes
    pyplot.close(figure)
    return buffer.getvalue()
