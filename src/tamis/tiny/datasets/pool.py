"""tiny/pool: instructions in the schemas of SCALE's eight sources, two in five of them with a known defect."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

from tamis.tiny.datasets import pool_talks, pool_words, writing
from tamis.tiny.datasets.pool_rows import Drawn, Source
from tamis.tiny.datasets.writing import Rows, Table
from tamis.tiny.world import ATTRIBUTES, SEEDS, SHAPES, SIZES, STYLES, Scene, other, scene

SOUND = 0.6  # of the rows


@dataclass(frozen=True)
class Share:
    rows: int
    things: tuple[int, ...]
    source: Source


# In rough proportion to the paper's pool: 289K, 154K, 29K, 9K, 6K, 5K, 3K, 466; the small ones large enough to be seen.
CONFIGS = {
    "ShareGPT4V": Share(640, (1, 1, 2, 3), pool_talks.SHAREGPT4V),
    "LLaVA-1.5-mix": Share(340, (1, 1, 2, 3), pool_talks.LLAVA),
    "AS-V2": Share(64, (2,), pool_talks.AS_V2),
    "DocVQA": Share(44, (1,), pool_words.DOCVQA),
    "ChartQA": Share(36, (2, 3), pool_words.CHARTQA),
    "InfoVQA": Share(30, (2, 3), pool_words.INFOVQA),
    "A-OKVQA": Share(26, (1, 2), pool_words.A_OKVQA),
    "Geometry3K": Share(20, (1,), pool_words.GEOMETRY3K),
}
TRUTHS = {
    "truth_defect": (
        "string",
        "none, wrong answer, vague text, cut short, blur, or mismatch: the text of another scene",
    ),
    "truth_strength": ("float64", "of the blur, 0 to 1"),
    "truth_task": ("string", "MMBench's label of the sub-task; null without a picture"),
    "truth_informativeness": ("int64", "1 to 5, of the text; null where not defined"),
    "truth_complexity": ("int64", "as above"),
    "truth_completeness": ("int64", "as above"),
    "truth_clarity": ("int64", "as above"),
}
ABOUT = """
Drawn scenes with instructions, a config for each of the eight sources of SCALE's pool, in their columns and in rough
proportion to their shares. Where a source names pictures by path or address and leaves them to be fetched, the picture
itself stands in its column. Two rows in five have a known defect. Some rows of LLaVA-1.5-mix have no picture, and some
have several turns. What the sources are about (charts, documents, geometry) is not imitated: only how they are written
down.

Columns that begin with `truth_` are for evaluation alone.
"""


def tables() -> dict[str, Table]:
    return {
        config: Table(share.source.columns | TRUTHS, {"train": _rows(number, config, share)})
        for number, (config, share) in enumerate(CONFIGS.items())
    }


def write(folder: Path) -> None:
    title = "Pool of the embedded world"
    writing.write(folder, title=title, about=ABOUT, tasks=["image-text-to-text"], tables=tables())


def _rows(number: int, config: str, share: Share) -> Rows:
    draw = random.Random(f"pool-{config}")
    defects = _defects(share, draw)
    first = SEEDS["pool"].start + 100_000 * number
    return [
        share.source.row(index, _drawn(first + 2 * index, share.things, defect, draw)) | {"truth_defect": defect}
        for index, defect in enumerate(defects)
    ]


def _defects(share: Share, draw: random.Random) -> list[str]:
    sound = round(SOUND * share.rows)
    kinds = share.source.defects
    spoilt = [kinds[index % len(kinds)] for index in range(share.rows - sound)]
    defects = ["none"] * sound + spoilt
    draw.shuffle(defects)
    return defects


def _drawn(seed: int, things: tuple[int, ...], defect: str, draw: random.Random) -> Drawn:
    """What is shown and what is told: two scenes for a mismatch, whose seeds are neighbours."""
    shown = scene(seed, things=things)
    if defect == "blur":
        shown = replace(shown, defect="blur", strength=draw.uniform(0.6, 1.0))
    return Drawn(shown, _another(seed + 1, shown, draw) if defect == "mismatch" else shown, defect, draw)


def _another(seed: int, than: Scene, draw: random.Random) -> Scene:
    """A scene with other shapes, and for its first thing nothing of the same."""
    shapes = tuple(shape for shape in SHAPES if shape not in {thing.shape for thing in than.things})
    look = {name: other(draw, values, than.value(name)) for name, values in ATTRIBUTES.items() if name != "shape"}
    look["style"] = other(draw, STYLES, than.style)
    if len(than.things) == 1:
        look["size"] = other(draw, SIZES, than.thing.size)
    return scene(seed, things=(len(than.things),), shapes=shapes, **look)
