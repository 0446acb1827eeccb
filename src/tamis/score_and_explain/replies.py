"""The form of a reply, "#Score: N" and below it "#Explanation: ...": written, begun, and read again. Pure text."""

from __future__ import annotations

import re
from typing import NamedTuple

from tamis.score_and_explain.scales import HIGH, LOW

NOTHING = "nothing was written"
NO_SCORE, NOT_FIRST, TWO_SCORES = "no score line", "words before the score line", "a second score line"
NOT_WHOLE, OUTSIDE = "a score that is no whole number", f"a score outside {LOW} to {HIGH}"
NO_EXPLANATION, EMPTY, TWO_EXPLANATIONS = "no explanation line", "an empty explanation", "a second explanation line"
MALFORMED = (
    NOTHING,
    NO_SCORE,
    NOT_FIRST,
    TWO_SCORES,
    NOT_WHOLE,
    OUTSIDE,
    NO_EXPLANATION,
    EMPTY,
    TWO_EXPLANATIONS,
)
HEADING = re.compile(r"#[^\S\n]*(score|explanation)[^\S\n]*:", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")


class Parsed(NamedTuple):
    score: int
    explanation: str  # no space around it


def begun(score: int) -> str:
    """How a reply with this score begins; the explanation goes on behind the colon, with a space."""
    if score not in range(LOW, HIGH + 1):
        raise ValueError(f"score: {score!r} is not accepted; expected a whole number from {LOW} to {HIGH}")
    return f"#Score: {int(score)}\n#Explanation:"


def reply(score: int, explanation: str) -> str:
    return f"{begun(score)} {explanation.strip()}"


def parse(text: str | None) -> Parsed | str:
    """What a reply holds, or which of MALFORMED it is.

    Case, and spaces around the parts, are free, and both may stand on one line; nothing else is guessed at: "7/10" is
    no whole number, and a score without its "#" is none.
    """
    if text is None or not text.strip():
        return NOTHING
    before, *parts = HEADING.split(text)
    names, bodies = [name.lower() for name in parts[::2]], [body.strip() for body in parts[1::2]]
    if "score" not in names or names[0] != "score":
        return NO_SCORE
    if before.strip():
        return NOT_FIRST
    if names.count("score") > 1:
        return TWO_SCORES
    if not _WHOLE.fullmatch(bodies[0]):
        return NOT_WHOLE
    if not LOW <= int(bodies[0]) <= HIGH:
        return OUTSIDE
    if len(names) == 1:
        return NO_EXPLANATION
    if len(names) > 2:
        return TWO_EXPLANATIONS
    return Parsed(int(bodies[0]), bodies[1]) if bodies[1] else EMPTY
