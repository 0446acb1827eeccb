"""How sure the published scorer may be: a temperature for each type of question, fitted on held-out rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tamis.metrics import temperature as temperatures
from tamis.metrics.calibration import expected_calibration_error, taken
from tamis.score_and_explain.scales import HIGH, LOW
from tamis.score_and_explain.score_lines import SCORES

FEW = 20  # tens and ones it takes to tell how sure the model is between them


@dataclass(frozen=True)
class Calibration:
    """Temperatures by type of question, and what they did on the rows they were fitted on."""

    temperature: dict[str, float]
    n: int
    nll: float
    nll_before: float
    ece: float
    ece_before: float


def as_published(probabilities: np.ndarray, temperature: Mapping[str, float], *, apart: bool) -> np.ndarray:
    """What the decision model says of 1 to 10, from the shares of whole score lines.

    apart: it reads 10 in two steps, as decision.Reading.ten tells.
    """
    logs = _logs(probabilities)
    if not apart:
        return temperatures.softmax(logs, temperature.get("score", 1.0))
    first = temperatures.softmax(_firsts(logs), temperature.get("score", 1.0))
    ten = temperatures.softmax(logs[:, [-1, 0]], temperature.get("noul", 1.0))[:, :1]
    return np.concatenate((first[:, :1] * (1 - ten), first[:, 1:], first[:, :1] * ten), axis=1)


def calibrated(probabilities: np.ndarray, truths: Sequence[int], *, apart: bool) -> Calibration:
    """Temperatures by which held-out rows' shares of score lines fit their whole scores best.

    probabilities: a row of ten for each picture; truths: its votes' mean as a whole number, which is what the model is
    trained to say. Of how sure it is between 1 and 10, where that is a question of its own, FEW rows tell nothing: it
    stays as it is.
    """
    logs, scores = _logs(probabilities), np.asarray(truths)
    if len(scores) == 0 or len(logs) != len(scores) or not np.isin(scores, SCORES).all():
        raise ValueError(f"decision: {len(logs)} rows and {len(scores)} whole scores from {LOW} to {HIGH} to fit by")
    targets = np.eye(len(SCORES))[scores - LOW]
    temperature = {"score": temperatures.fitted(logs, targets)}
    if apart:
        firsts = np.c_[targets[:, :1] + targets[:, -1:], targets[:, 1:-1]]
        temperature["score"] = temperatures.fitted(_firsts(logs), firsts)
        ends = targets[:, [-1, 0]]
        if ends.sum() >= FEW and ends.any(axis=0).all():
            temperature["noul"] = temperatures.fitted(logs[:, [-1, 0]], ends)
    before, after = (as_published(probabilities, one, apart=apart) for one in ({}, temperature))
    return Calibration(
        temperature,
        len(scores),
        temperatures.loss(after, targets),
        temperatures.loss(before, targets),
        _ece(after, scores),
        _ece(before, scores),
    )


def _logs(probabilities: np.ndarray) -> np.ndarray:
    shares = np.asarray(probabilities, dtype=np.float64)
    if shares.ndim != 2 or shares.shape[1] != len(SCORES) or not np.isfinite(shares).all():
        raise ValueError(f"decision: shares of shape {shares.shape}; expected a row of ten numbers for each picture")
    return np.log(np.maximum(shares, np.exp(temperatures.LEAST)))


def _firsts(logs: np.ndarray) -> np.ndarray:
    """Of the first digit: 1 and 10 together."""
    return np.concatenate((np.logaddexp(logs[:, :1], logs[:, -1:]), logs[:, 1:-1]), axis=1)


def _ece(shares: np.ndarray, scores: np.ndarray) -> float:
    told = [dict(zip(map(str, SCORES), row.tolist(), strict=True)) for row in shares]
    return expected_calibration_error(*taken(told, [str(score) for score in scores]), draws=2).value
