"""One number by which the scores of options are divided before the softmax, so that probabilities mean what they say
(Guo et al. 2017). The order of options, and so the likeliest, stays."""

from __future__ import annotations

import numpy as np

LOWEST, HIGHEST = 0.05, 20.0  # what separates held-out rows without a fault would be divided by 0
LEAST = -80.0  # a logarithm below this is a probability of 0: no temperature may make it count


def fitted(logits: np.ndarray, targets: np.ndarray) -> float:
    """The temperature by which softmax(logits / T) fits the targets best: rows of shares that sum to their weight.

    The loss is convex in 1/T, so that its slope is searched for 0. 1.0 where nothing weighs anything.
    """
    logits, targets = _checked(logits, targets)
    if not targets.sum() > 0:
        return 1.0
    cold, hot = 1 / LOWEST, 1 / HIGHEST
    for _ in range(60):
        middle = (cold + hot) / 2
        if _slope(logits, targets, middle) > 0:
            cold = middle
        else:
            hot = middle
    return float(2 / (cold + hot))


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    scaled = np.maximum(logits - logits.max(axis=-1, keepdims=True), LEAST) / temperature
    weights = np.exp(scaled)
    return weights / weights.sum(axis=-1, keepdims=True)


def loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The mean negative log-likelihood of the targets, by their weight."""
    told = np.log(np.maximum(probabilities, np.exp(LEAST)))
    return float(-(targets * told).sum() / targets.sum())


def _slope(logits: np.ndarray, targets: np.ndarray, inverse: float) -> float:
    shares = softmax(logits, 1 / inverse)
    weights = targets.sum(axis=1, keepdims=True)
    return float(((shares * weights - targets) * logits).sum())


def _checked(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    logits, targets = np.asarray(logits, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if logits.ndim != 2 or logits.shape != targets.shape:
        raise ValueError(f"temperature: {logits.shape} scores for {targets.shape} targets; expected rows of options")
    if np.isnan(logits).any() or not np.isfinite(targets).all() or (targets < 0).any():
        raise ValueError("temperature: scores hold NaN, or targets are no shares; leave out rows without either")
    return np.maximum(logits - logits.max(axis=1, keepdims=True), LEAST), targets
