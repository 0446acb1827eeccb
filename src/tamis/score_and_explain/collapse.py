"""The known ways in which a model that teaches itself to score falls apart, and when one has set in.

It forgets the form of its replies, it gives one score to everything, or it says the same of everything. Further rounds
would train on what came of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Measures = Mapping[str, Mapping[str, Any]]  # of one arm, as measuring.measure gives them


@dataclass(frozen=True)
class Limits:
    """Beyond these a model has collapsed, unless what it came from was no better."""

    wellformed: float = 0.8  # share of replies in the form asked for, at least
    one_score: float = 0.9  # share of replies with the commonest score, at most
    diversity: float = 0.25  # different explanations and trigrams, at least so much of what the base has

    def __post_init__(self) -> None:
        for name in ("wellformed", "one_score", "diversity"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not accepted; expected 0 to 1")


def collapsed(measures: Measures, base: Measures | None = None, limits: Limits | None = None) -> str | None:
    """Why the arm has collapsed, in a sentence; None: it has not. base: the model it came from; None: there is none to
    compare with, and diversity is not looked at."""
    limits = limits or Limits()
    formed, formed_before = _value(measures, "wellformed"), _value(base, "wellformed")
    if formed is None:
        return "it wrote no reply at all"
    if formed < limits.wellformed and (formed_before is None or formed < formed_before):
        told = _share(formed)
        return f"{told} of its replies have the form that was asked for; the limit is {_share(limits.wellformed)}"
    most, most_before = _value(measures, "mode_share"), _value(base, "mode_share")
    if most is not None and most > limits.one_score and (most_before is None or most > most_before):
        return f"{_share(most)} of its scores are one and the same; the limit is {_share(limits.one_score)}"
    for name, what in (("distinct_explanations", "explanations"), ("distinct_trigrams", "runs of three words")):
        before, now = _value(base, name), _value(measures, name)
        if before and now is not None and now < limits.diversity * before:
            return (
                f"{_share(now)} of its {what} are different, of the base's {_share(before)}; "
                f"the limit is {_share(limits.diversity)} of that"
            )
    return None


def _value(measures: Measures | None, name: str) -> float | None:
    return measures[name]["value"] if measures is not None and name in measures else None


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"
