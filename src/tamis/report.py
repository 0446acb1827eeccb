"""Pictures and a page for the eye: histograms, a contact sheet, report.html (one file, kept beside dropped)."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.columns import column_values
from tamis.images import Unscorable, decode_image
from tamis.select import mixture, ranked

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

TILE = 128
KEPT, DROPPED = "#1b7f5c", "#b9bec7"
EXAMPLES = 8


def histograms(pool: Dataset, kept: Dataset, columns: Sequence[str]) -> bytes:
    """One panel a score column: the whole pool in grey, what was kept in green. PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    across = min(3, len(columns))
    down = -(-len(columns) // across)
    figure, axes = pyplot.subplots(down, across, figsize=(4.2 * across, 2.7 * down), squeeze=False)
    for axis, column in zip(axes.flat, columns, strict=False):
        everyone, chosen = column_values(pool, column), column_values(kept, column)
        everyone, chosen = everyone[~np.isnan(everyone)], chosen[~np.isnan(chosen)]
        bins = np.histogram_bin_edges(everyone, bins=40) if len(everyone) else 40
        axis.hist(everyone, bins=bins, color=DROPPED, label=f"pool ({len(everyone):,})")
        axis.hist(chosen, bins=bins, color=KEPT, label=f"kept ({len(chosen):,})")
        axis.set_title(column, fontsize=10)
        axis.tick_params(labelsize=8)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    for axis in axes.flat[len(columns) :]:
        axis.set_visible(False)
    axes.flat[0].legend(fontsize=8, frameon=False)
    axes.flat[0].set_ylabel("rows", fontsize=9)
    figure.tight_layout()
    buffer = io.BytesIO()
    # No software or date stamps: the same run gives the same bytes.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    return buffer.getvalue()


def examples(
    pool: Dataset, kept_ids: set[str], column: str, *, seed: int, each: int = EXAMPLES
) -> dict[str, list[int]]:
    """Positions worth a look: the best, the last kept and the first dropped, the worst."""
    order = ranked(pool, column, seed=seed).tolist()
    ids = pool["row_id"][:]
    kept = [position for position in order if ids[position] in kept_ids]
    dropped = [position for position in order if ids[position] not in kept_ids]
    return {
        "best kept": kept[:each],
        "last kept": kept[-each:],
        "first dropped": dropped[:each],
        "worst": dropped[-each:],
    }


def contact_sheet(pool: Dataset, groups: dict[str, list[int]], image_column: str, column: str) -> bytes:
    """One line of pictures a group, each with its score below. JPEG."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=17)
    wide = max(1, *(len(positions) for positions in groups.values()))
    label, caption = 124, 26
    sheet = Image.new("RGB", (label + wide * (TILE + 8), len(groups) * (TILE + caption + 10)), "white")
    brush = ImageDraw.Draw(sheet)
    for line, (title, positions) in enumerate(groups.items()):
        top = line * (TILE + caption + 10) + 4
        brush.text((6, top + TILE // 2 - 8), title, fill="black", font=font)
        for place, position in enumerate(positions):
            row = pool[position]
            left = label + place * (TILE + 8)
            tile = thumbnail(row[image_column])
            sheet.paste(tile, (left + (TILE - tile.width) // 2, top + (TILE - tile.height) // 2))
            brush.text((left + 2, top + TILE + 3), f"{row[column]:.3f}", fill="black", font=font)
    return _encoded(sheet, "JPEG")


def thumbnail(value: Any) -> Image.Image:
    from PIL import Image

    try:
        image = decode_image(value)
    except Unscorable:
        return Image.new("RGB", (TILE, TILE), "#eeeeee")
    if max(image.size) < TILE:
        scale = TILE / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        # A few pixels stay visible as such; what is nearly large enough is only brought to the common size.
        return image.resize(size, Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.BICUBIC)
    image.thumbnail((TILE, TILE))
    return image


def mixture_rows(pool: Dataset, kept: Dataset, column: str, longest: int = 20) -> list[list[Any]]:
    """value, rows before, share before, rows after, share after; rare values of a long list are summed up."""
    before, after = mixture(pool, column), mixture(kept, column)
    named = list(before)[:longest]
    rows = [["(null)" if value is None else value, before[value], after.get(value, 0)] for value in named]
    rest = [value for value in before if value not in named]
    if rest:
        count = (sum(before[value] for value in rest), sum(after.get(value, 0) for value in rest))
        rows.append([f"{len(rest)} others", *count])
    return [
        [value, there, f"{there / len(pool):.1%}", here, f"{here / max(1, len(kept)):.1%}"]
        for value, there, here in rows
    ]


def html(
    *,
    title: str,
    summary: Sequence[tuple[str, str]],
    tables: dict[str, tuple[Sequence[str], Sequence[Sequence[Any]]]],
    pictures: dict[str, bytes],
    pool: Dataset,
    groups: dict[str, list[int]],
    image_column: str | None,
    shown: Sequence[str],
) -> str:
    """One self-contained page without scripts: nothing is fetched, everything from data is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html.jinja").render(
        title=title,
        summary=summary,
        tables=tables,
        pictures={name: _inline(content) for name, content in pictures.items()},
        groups={
            name: [_cell(pool[position], image_column, shown) for position in positions]
            for name, positions in groups.items()
        },
    )


def _cell(row: dict[str, Any], image_column: str | None, shown: Sequence[str]) -> dict[str, Any]:
    texts = [(name, row[name]) for name in shown]
    return {
        "picture": _inline(_encoded(thumbnail(row[image_column]), "JPEG")) if image_column else None,
        "texts": [(name, f"{value:.3f}" if isinstance(value, float) else str(value)[:200]) for name, value in texts],
    }


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=85)
    return buffer.getvalue()


def _inline(content: bytes) -> str:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
