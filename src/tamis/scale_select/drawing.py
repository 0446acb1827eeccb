"""Which rows of a source are drawn, and what is written of them."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.config import ConfigError
from tamis.named_files import NotUsable
from tamis.scale_select.conversations import Conversation, is_unicode, tidy
from tamis.scale_select.pictures import STORED, Folder, marks_in
from tamis.scale_select.source_rows import PLAIN_ROWS, Seen, pool_features
from tamis.select import tie_break

if TYPE_CHECKING:
    from tamis.scale_select.asked import Asked
    from tamis.scale_select.source_rows import FileRows, TableRows

TEXT_ONLY = "no picture: text_only refuses it"
PICTURE_LACKS = "a question about a picture that is not there"
NO_ID, ID_TWICE = "no id", "its id stands in an earlier row"


@dataclass(frozen=True)
class Rules:
    """What holds for all sources."""

    seed: int
    limit: int | None
    keep_columns: tuple[str, ...]
    text_only: str
    most_turns: int


@dataclass(frozen=True)
class Drawn:
    positions: np.ndarray  # ascending
    there: int
    read: int
    refused: Counter[str]


@dataclass(frozen=True)
class Formed:
    conversation: Conversation
    image: dict[str, Any] | None


def draw(rows: TableRows | FileRows, one: Asked, rules: Rules, folder: Path | None) -> Drawn:
    """So many of the usable rows as are asked for: those whose ids come first by a seeded hash, wherever they stand."""
    positions, hashes = array("q"), bytearray()
    refused, known, names, read = Counter[str](), set[str](), list[str](), 0
    pictures = Folder(folder)
    for at, seen in enumerate(rows.each()):
        read = at + 1
        try:
            if isinstance(seen, NotUsable):
                raise seen
            name = _named(seen, one)
            if one.id_column is not None:
                if name in known:
                    raise NotUsable(ID_TWICE)
                known.add(name)
            formed(seen, one, rules, pictures)
        except NotUsable as reason:
            refused[str(reason)] += 1
            continue
        positions.append(at)
        names.append(name)
        if len(names) == PLAIN_ROWS:
            hashes += tie_break(names, f"pool:{rules.seed}").tobytes()
            names.clear()
    hashes += tie_break(names, f"pool:{rules.seed}").tobytes()
    there = len(positions)
    wanted = _wanted(one, rules, there, read, refused)
    order = np.argsort(np.frombuffer(hashes, dtype="S32"), kind="stable")[:wanted]
    return Drawn(np.sort(np.frombuffer(positions, dtype=np.int64)[order]), there, read, refused)


def formed(seen: Seen, one: Asked, rules: Rules, pictures: Folder) -> Formed:
    """A row in the pool's form. Its picture is a file of the folder, or the stored cell, where that was asked for."""
    form = one.form
    turns = form.turns(seen.row)
    cell = next((seen.row[name] for name in form.pictures if seen.row.get(name) is not None), None)
    marks = marks_in(cell)
    conversation = tidy(turns, pictures=len(marks), marked=form.marked, most_turns=rules.most_turns)
    if not marks:
        if not form.is_talk:
            raise NotUsable(PICTURE_LACKS)
        if rules.text_only == "refuse":
            raise NotUsable(TEXT_ONLY)
        return Formed(conversation, None)
    [mark] = marks
    if mark is STORED:
        return Formed(conversation, _stored(seen.stored))
    return Formed(conversation, {"bytes": None, "path": str(pictures.file(mark))})


def write(
    rows: TableRows | FileRows, one: Asked, rules: Rules, folder: Path | None, positions: np.ndarray, path: Path
) -> Counter[str]:
    """The rows at these positions as a file; how many of them were repaired, by what was done."""
    from datasets import Features
    from datasets.arrow_writer import ArrowWriter

    repaired, pictures = Counter[str](), Folder(folder)
    features = Features(pool_features() | rows.kept)
    with ArrowWriter(path=str(path), features=features, writer_batch_size=rows.rows_at_once) as writer:
        for seen in rows.some(positions):
            made = formed(seen, one, rules, pictures)
            repaired.update(made.conversation.repaired)
            writer.write(_row(seen, one, made) | rows.kept_of(seen))
        writer.finalize()
    return repaired


def _row(seen: Seen, one: Asked, made: Formed) -> dict[str, Any]:
    turns = made.conversation.turns
    return {
        "row_id": _named(seen, one),
        "source": one.label,
        "image": made.image,
        "conversation": turns,
        "text": made.conversation.text,
        "question": turns[0]["content"],
        "answer": turns[1]["content"],
    }


def _named(seen: Seen, one: Asked) -> str:
    told = seen.row_id
    if told is None or isinstance(told, list | dict) or not str(told).strip() or not is_unicode(str(told)):
        raise NotUsable(NO_ID)
    return f"{one.label}/{told}"


def _stored(cell: Any) -> dict[str, Any] | None:
    """The one picture of a cell that may be a list of them."""
    if isinstance(cell, list):
        cell = next((one for one in cell if one is not None and (one["bytes"] is not None or one["path"])), None)
    return {"bytes": cell, "path": None} if isinstance(cell, bytes) else cell


def _wanted(one: Asked, rules: Rules, there: int, read: int, refused: Counter[str]) -> int:
    why = "".join(f"; {count} not used: {reason}" for reason, count in refused.most_common())
    if not there:
        raise ConfigError(f"sources: {one.label}: no row can be used, of {read} read{why}")
    if one.rows is None:
        return there
    if one.rows > there and not one.at_most and rules.limit is None:
        raise ConfigError(
            f"sources: {one.label}: rows: {one.rows} wanted, {there} can be used, of {read} read{why}; "
            "ask for fewer, or state at_most: true"
        )
    return min(one.rows, there)
