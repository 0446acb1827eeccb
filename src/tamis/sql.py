"""The one SQL query that re-cuts a selection from its published pool, without a GPU and without this project."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tamis.select import Cut


def quoted(name: str) -> str:
    """A column's name as SQL takes it, whatever characters it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str | None) -> str:
    """A text as SQL takes it; characters that no eye sees are spelled out, since a card shows none."""
    if text is None:
        return "NULL::VARCHAR"
    parts = []
    for shown, run in groupby(text, str.isprintable):
        part = "".join(run)
        parts += ["'" + part.replace("'", "''") + "'"] if shown else [f"chr({ord(character)})" for character in part]
    return " || ".join(parts) or "''"


def confuses(columns: Sequence[str], cut: Cut) -> bool:
    """Whether SQL would take another column for one of the cut's: it does not tell upper from lower case."""
    lower = [name.lower() for name in columns]
    return any(lower.count(name.lower()) > 1 for name in ("row_id", cut.column, cut.per, cut.one_of_each) if name)


def query(pool: str, cut: Cut) -> str:
    """Row ids of a cut as DuckDB finds them in the pool; ties are broken by md5 of seed and row_id, as select.py does.

    Every name is qualified: a pool may have columns called label, quota or anything else.
    """
    score = f"s.{quoted(cut.column)}"
    tie = f"md5({literal(f'{cut.seed}:')} || s.row_id)"
    best = f"{score} DESC, {tie}"
    order = f"{score} ASC, {tie}" if cut.lowest else best
    steps = [f"scored AS (SELECT s.* FROM {pool} AS s WHERE {score} IS NOT NULL AND NOT isnan({score}::DOUBLE))"]
    table = "scored"
    if cut.one_of_each:
        group = f"s.{quoted(cut.one_of_each)}"
        best_of_each = f"row_number() OVER (PARTITION BY {group} ORDER BY {best}) = 1"
        steps.append(f"apart AS (SELECT s.* FROM {table} AS s QUALIFY {best_of_each})")
        table = "apart"
    final = f"SELECT s.row_id FROM {table} AS s"
    if cut.minimum is not None:
        # The number goes as text: as a decimal it would not meet a column's own width.
        width = "FLOAT" if isinstance(cut.minimum, np.float32) else "DOUBLE"
        final += f" WHERE {score}::{width} >= '{cut.minimum}'::{width}"
    elif cut.ranks is not None:
        worst_first = f"row_number() OVER (ORDER BY {score} ASC, {tie} DESC)"
        final += f" QUALIFY {worst_first} BETWEEN {cut.ranks[0] + 1} AND {cut.ranks[1]}"
    elif cut.quotas is not None:
        values = ", ".join(f"({literal(label)}, {quota})" for label, quota in cut.quotas.items())
        steps.append(f"quota(label, rows_kept) AS (VALUES {values})")
        final += (
            f" JOIN quota AS q ON s.{quoted(cut.per)}::VARCHAR IS NOT DISTINCT FROM q.label\n"
            f"QUALIFY row_number() OVER (PARTITION BY q.label ORDER BY {order}) <= q.rows_kept"
        )
    else:
        final += f" ORDER BY {order} LIMIT {cut.k}"
    return "WITH " + ",\n".join(steps) + f"\n{final}"
