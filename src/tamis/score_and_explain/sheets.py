"""Sheets of explained pictures for the eye: what was said for the true score, what for the wrong one, and why not used.

Texts stand in pictures: whatever a model wrote, it is only drawn.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tamis.score_and_explain.settings import EXPLAINED
from tamis.tile_sheets import GREEN, GREY, INK, RED, Tile, sheet

if TYPE_CHECKING:
    from datasets import Dataset

ACROSS, WIDTH, LINES = 4, 330, 7


def examples(
    rows: Dataset,
    reasons: Sequence[str | None],
    *,
    used: int = 12,
    each: int = 2,
    most: int = 8,
    seed: int = 0,
) -> bytes:
    """Pairs drawn by chance, the chosen reply in green and the rejected in red; behind them some that were left out,
    at most `each` a reason, the most frequent reasons first, and `most` in all, with the reason in grey. PNG.

    rows, reasons: as `pairs` takes them.
    """
    if len(reasons) != len(rows):
        raise ValueError(f"{len(reasons)} reasons for {len(rows)} rows")
    by_reason: dict[str | None, list[int]] = defaultdict(list)
    for at, reason in enumerate(reasons):
        by_reason[reason].append(at)
    drawn, left = _drawn(by_reason.pop(None, []), used, seed), []
    for reason, among in sorted(by_reason.items(), key=lambda one: (-len(one[1]), one[0])):
        left += _drawn(among, min(each, most - len(left)), f"{seed} {reason}")
    columns = ["image", "score", "wrong_score", f"{EXPLAINED}_true", f"{EXPLAINED}_wrong"]
    shown = rows.select_columns(columns)
    tiles = [_tile(*(shown[at][column] for column in columns), reasons[at]) for at in drawn + left]
    return sheet(tiles, across=ACROSS, width=WIDTH, lines=LINES)


def replies(rows: Dataset, said: dict[str, dict[str, str | None]], *, count: int = 12, seed: int = 0) -> bytes:
    """Pictures drawn by chance, with their score and what each arm replied: the first in grey, the last in green. PNG.

    said: arm to row_id to reply.
    """
    names = list(said)
    tiles = []
    for at in _drawn(range(len(rows)), count, seed):
        row = rows[at]
        told = [(f"{row['mean']:.1f} is its score", INK)]
        for arm in names:
            told.append((f"{arm}: {_or_dash(said[arm].get(row['row_id']))}", GREEN if arm == names[-1] else GREY))
        tiles.append(Tile(row["image"], tuple(told)))
    return sheet(tiles, across=ACROSS, width=WIDTH, lines=LINES)


def _drawn(among: Sequence[int], count: int, seed: object) -> list[int]:
    return sorted(random.Random(f"examples {seed}").sample(among, max(0, min(count, len(among)))))


def _tile(image: Any, score: Any, wrong: Any, true_text: Any, wrong_text: Any, reason: str | None) -> Tile:
    told = ((f"{score}: {_or_dash(true_text)}", GREEN), (f"{wrong} (wrong): {_or_dash(wrong_text)}", RED))
    return Tile(image, told if reason is None else ((f"not used: {reason}", GREY), *told))


def _or_dash(text: str | None) -> str:
    return text if text and text.strip() else "–"
