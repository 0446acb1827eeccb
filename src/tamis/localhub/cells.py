"""Values of a dataset as short texts for a table."""

from __future__ import annotations

import json
import math

from tamis.localhub.parquet_rows import Column

_LONGEST_TEXT = 280
_LONGEST_LIST = 6


def show(value: object, column: Column) -> str:
    """A value as text; null is for the caller to show."""
    if column.labels and isinstance(value, int) and 0 <= value < len(column.labels):
        return column.labels[value]
    return shown(value)


def shown(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return number(value)
        case int():
            return str(value) if abs(value) < 10_000 else f"{value:,}"
        case str():
            return value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT] + "…"
        case bytes():
            return f"{len(value):,} bytes"
        case list():
            start = ", ".join(shown(item)[:60] for item in value[:_LONGEST_LIST])
            more = f", … ({len(value):,} values)" if len(value) > _LONGEST_LIST else ""
            return f"[{start}{more}]"
        case dict():
            text = json.dumps(value, default=shown, ensure_ascii=False)
            return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"
        case _:
            return str(value)


def number(value: float) -> str:
    """Four significant digits, without an exponent where none is needed."""
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return f"{value:.3e}"


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:,.0f} {unit}" if unit == "bytes" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")
