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
class Reliability:
    """How far what is said of 1 to 10 is from what is true: lower is better in both."""

    nll: float  # mean negative log-likelihood of the true score
    ece: float  # expected calibration error of the likeliest score
    n: int


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


def calibrated(probabilities: np.ndarray, truths: Sequence[int], *, apart: bool) -> dict[str, float]:
    """Temperatures by which held-out rows' shares of score lines fit their whole scores best, by type of question.

    probabilities: a row of ten for each picture; truths: its votes' mean as a whole number, which is what the model is
    trained to say. Of how sure it is between 1 and 10, where that is a question of its own, FEW rows tell nothing: it
    stays as it is.
    """
    logs, targets = _logs(probabilities), _targets(probabilities, truths)
    if not apart:
        return {"score": temperatures.fitted(logs, targets)}
    firsts = np.c_[targets[:, :1] + targets[:, -1:], targets[:, 1:-1]]
    found = {"score": temperatures.fitted(_firsts(logs), firsts)}
    ends = targets[:, [-1, 0]]
    if ends.sum() >= FEW and ends.any(axis=0).all():
        found["noul"] = temperatures.fitted(logs[:, [-1, 0]], ends)
    return found


def reliability(
    probabilities: np.ndarray, truths: Sequence[int], temperature: Mapping[str, float], *, apart: bool
) -> Reliability:
    """Of the decision model with these temperatures; with none, {}, of what it said before. On rows not fitted on."""
    targets = _targets(probabilities, truths)
    shares = as_published(probabilities, temperature, apart=apart)
    told = [dict(zip(map(str, SCORES), row.tolist(), strict=True)) for row in shares]
    sure = taken(told, [str(score) for score in truths])
    ece = expected_calibration_error(*sure, draws=2).value
    return Reliability(temperatures.loss(shares, targets), ece, len(targets))


def _targets(probabilities: np.ndarray, truths: Sequence[int]) -> np.ndarray:
    scores = np.asarray(truths)
    if len(scores) == 0 or len(probabilities) != len(scores) or not np.isin(scores, SCORES).all():
        raise ValueError(
            f"decision: {len(probabilities)} rows and {len(scores)} whole scores from {LOW} to {HIGH} to fit by"
        )
    return np.eye(len(SCORES))[scores - LOW]


def _logs(probabilities: np.ndarray) -> np.ndarray:
    shares = np.asarray(probabilities, dtype=np.float64)
    if shares.ndim != 2 or shares.shape[1] != len(SCORES) or not np.isfinite(shares).all():
        raise ValueError(f"decision: shares of shape {shares.shape}; expected a row of ten numbers for each picture")
    return np.log(np.maximum(shares, np.exp(temperatures.LEAST)))


def _firsts(logs: np.ndarray) -> np.ndarray:
    """Of the first digit: 1 and 10 together."""
    return np.concatenate((np.logaddexp(logs[:, :1], logs[:, -1:]), logs[:, 1:-1]), axis=1)
