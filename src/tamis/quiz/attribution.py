"""Whose pictures adapters were trained on, and under which licences: those ask for it, and a LoRA cannot show it."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datasets import Dataset

    from tamis.candidates import Columns
    from tamis.topic_arms import Choice

# What a spreadsheet takes for a formula (the last four are wide forms): no cell may run when somebody opens the file.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def adapters_by_row(folders: dict[Choice, str]) -> dict[str, list[str]]:
    """row_id to the arms, of every seed, that were trained on it, as their folders are called within the topic's."""
    used: dict[str, list[str]] = defaultdict(list)
    for choice, folder in folders.items():
        for row_id in choice.rows["row_id"][:]:
            used[row_id].append(folder.split("/")[1])
    return dict(used)


def credits(pool: Dataset, columns: Columns, used: dict[str, list[str]]) -> str:
    """A line a picture that was used: CSV. Text that would be a formula has an apostrophe before it."""
    named = [name for name in (columns.author, columns.licence) if name is not None]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["topic", "row_id", *map(_cell, named), "adapters"])
    kept = pool.select([at for at, row_id in enumerate(pool["row_id"][:]) if row_id in used])
    for row in kept.select_columns(list(dict.fromkeys([columns.topic, "row_id", *named]))):
        told = [row[columns.topic], row["row_id"], *(row[name] for name in named)]
        writer.writerow([*map(_cell, told), " ".join(used[row["row_id"]])])
    return buffer.getvalue()


def licences(pool: Dataset, column: str | None, row_ids: Iterable[str]) -> list[str | None]:
    """What these rows state; nothing where no column does."""
    if column is None:
        return []
    wanted = set(row_ids)
    return [licence for row_id, licence in zip(pool["row_id"][:], pool[column][:], strict=True) if row_id in wanted]


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text
