"""Which explanations may be learnt from: a reason for every picture that is left out, and a stop where few are not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tamis.config import ConfigError
from tamis.near_duplicates import near_duplicate_groups
from tamis.score_and_explain.named_scores import names_a_score
from tamis.score_and_explain.replies import HEADING
from tamis.text_hashes import text_hashes

EMPTY, HEADED, CUT = "nothing was written", "a heading in the text", "no end of a sentence: cut off"
TOKENS, NAMED = "control tokens or markup", "names a score"
GENERIC, ALIKE = "generic: written of too many pictures", "both texts say nearly the same"
SIDES = {"true": "true score", "wrong": "wrong score"}
NEAR = 4  # of 64 bits: one word of sixty; of twelve, none
FEW = 2  # pictures may share a text by chance, however few there are
SHOWN, LONGEST_SHOWN = 5, 160  # replies of a message, and letters of each
_LABEL = re.compile(r"^\W*(?:score|rating|explanation)\W*:", re.IGNORECASE | re.MULTILINE)
_TOKENS = re.compile(
    r"<\|[^|<>\n]{1,60}\|>|</?[a-z!][^<>\n]{0,300}>|\[/?INST\]|<<SYS>>|"
    # Signs that draw nothing or turn the line around, and what stands for bytes that are no text.
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufffd\ud800-\udfff\ue000-\uf8ff"
    "\U000e0000-\U000e007f]",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[.!?…。！？][\"'”’»)\]*_]*\Z")  # noqa: RUF001 - stops of other scripts


def left_out(
    true: Sequence[str | None],
    wrong: Sequence[str | None],
    *,
    generic_share: float,
    errors: Sequence[str | None] | None = None,
) -> list[str | None]:
    """For each picture why its two explanations are not used, the first reason there is; None: they are.

    true, wrong: the texts for the true and the wrong score. errors: why nothing was asked at all. generic_share: a text
    is generic that was written, or nearly (one word of sixty changed), of more than this share of the pictures, for the
    same side, and of more than FEW of them. Near texts are found link by link: a template with a changing word is one.
    """
    if not 0 < generic_share <= 1:
        raise ConfigError(f"generic_share: {generic_share} is not accepted; expected more than 0, at most 1")
    errors = [None] * len(true) if errors is None else errors
    reasons = [
        error or _malformed(one, "true") or _malformed(other, "wrong") or _named(one, "true") or _named(other, "wrong")
        for one, other, error in zip(true, wrong, errors, strict=True)
    ]
    hashes = {"true": text_hashes(true), "wrong": text_hashes(wrong)}
    for at, (one, other) in enumerate(zip(hashes["true"], hashes["wrong"], strict=True)):
        if reasons[at] is None and (int(one, 16) ^ int(other, 16)).bit_count() <= NEAR:
            reasons[at] = ALIKE
    for side, values in hashes.items():
        for at, often in enumerate(_written(values, generic_share)):
            if often and reasons[at] is None:
                reasons[at] = f"{SIDES[side]}: {GENERIC}"
    return reasons


def counted(reasons: Sequence[str | None]) -> dict[str, int]:
    """How many are left out, by reason, the most frequent first."""
    return dict(Counter(reason for reason in reasons if reason is not None).most_common())


def refuse_too_few(
    reasons: Sequence[str | None], true: Sequence[str | None], wrong: Sequence[str | None], *, least_usable: float
) -> None:
    """Stops where less than this share of the pictures can be used, with what was written instead."""
    if not 0 <= least_usable <= 1:
        raise ConfigError(f"least_usable: {least_usable} is not accepted; expected 0 to 1")
    usable = sum(reason is None for reason in reasons)
    if usable and usable >= least_usable * len(reasons):
        return
    why = "; ".join(f"{reason}: {count}" for reason, count in counted(reasons).items())
    shown, seen = [], Counter[str]()
    for reason, one, other in zip(reasons, true, wrong, strict=True):
        if reason is None or seen[reason] == 2 or len(shown) == SHOWN:
            continue
        seen[reason] += 1
        text = other if reason.startswith(SIDES["wrong"]) else one
        shown.append(f"{reason}: {None if text is None else ascii(text[:LONGEST_SHOWN])}")
    raise ConfigError(
        f"least_usable: {usable} of {len(reasons)} pictures have explanations that can be used, less than "
        f"{least_usable:g} of them; left out: {why or 'none'}. Among what was written: {' | '.join(shown)}"
    )


def _malformed(text: str | None, side: str) -> str | None:
    if text is None or not text.strip():
        why = EMPTY
    elif _TOKENS.search(text):
        why = TOKENS
    elif HEADING.search(text) or _LABEL.search(text):
        why = HEADED
    elif not _ENDS.search(text.rstrip()):
        why = CUT
    else:
        return None
    return f"{SIDES[side]}: {why}"


def _named(text: str | None, side: str) -> str | None:
    return f"{SIDES[side]}: {NAMED}" if names_a_score(text or "") else None


def _written(hashes: Sequence[str | None], share: float) -> np.ndarray:
    """Whether each text was written of too many pictures."""
    groups = near_duplicate_groups(hashes, NEAR)
    there = np.asarray([value is not None for value in hashes], dtype=bool)
    often = np.bincount(groups, weights=there, minlength=1)[groups] if len(groups) else np.zeros(0)
    return there & (often > max(FEW, share * there.sum()))
