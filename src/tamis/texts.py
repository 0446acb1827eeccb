"""Text cells of a dataset: what a model can read of them, or the reason why not."""

from __future__ import annotations

from typing import Any

from tamis.images import Unscorable


def text(value: Any, *, longest: int | None, what: str = "text") -> str:
    """A cell as text a model can read, cut to `longest` characters: 1 MB of text would only be truncated later.

    longest: None for all of it. what: how a reason names it.
    """
    if value is None:
        raise Unscorable(f"{what}: null")
    if not isinstance(value, str):
        raise Unscorable(f"{what}: a {type(value).__name__}, not text")
    if not value.strip():
        raise Unscorable(f"{what}: empty")
    return value[:longest]


def prediction_and_answer(
    row: dict[str, Any], prediction_column: str, answer_column: str, *, longest: int | None
) -> dict[str, str]:
    """What a model answered and what is true, as the scorers of answers prepare them.

    An empty prediction is an answer, and a wrong one: left out, it would raise the mean of the model that gave it. An
    empty answer is none.
    """
    predicted = row[prediction_column]
    empty = isinstance(predicted, str) and not predicted.strip()
    return {
        "prediction": "" if empty else text(predicted, longest=longest, what=prediction_column),
        "answer": text(row[answer_column], longest=longest, what=answer_column),
    }
