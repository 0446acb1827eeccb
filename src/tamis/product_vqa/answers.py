"""Answers of one word and their questions: what counts as one, and when two are the same."""

from __future__ import annotations

import re

DIFFICULTIES = (0, 1, 2, 3, 5)  # of the report: there is no 4
VERDICTS = ("yes", "no", "true", "false")
SEVERAL, VERDICT = "an answer of several words", "an answer that is yes or no"
_WORD = re.compile(r"\w+(?:['’.,]\w+)*")
_AROUND = re.compile(r"^[^\w+-]+|\W+$")


def fault(answer: str) -> str | None:
    """Why a text is no answer of one word; None where it is.

    One word: no space in it, and a letter or digit. Which words they are does not matter: None, NA and nan are some.
    """
    if not re.search(r"\w", answer):
        return "no answer"
    if len(answer.split()) > 1:
        return SEVERAL
    return VERDICT if same_form(answer) in VERDICTS else None


def written_fault(answer: str) -> str | None:
    """The same of an answer that is written anew: letters and digits alone, at most an apostrophe or a decimal point
    between them, as its writer was told."""
    found = fault(answer)
    if found is None and not _WORD.fullmatch(answer):
        return "an answer with a hyphen or other signs"
    return found


def same_form(answer: str) -> str:
    """What two answers are compared by: letters of one case, no signs around, one space between words."""
    return _AROUND.sub("", " ".join(answer.casefold().split()))


def same_question(question: str) -> tuple[str, ...]:
    """Two questions that differ in case, stops or spaces alone are one."""
    return tuple(re.findall(r"\w+", question.casefold()))


def difficulty_of(value: object) -> int | None:
    """A level as a dataset or a reply may hold it: 2, 2.0 or "2"; None where it is no whole number."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,3}", value.strip()):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value % 1:
        return None
    return int(value) if abs(value) < 1000 else None
