"""Whether a judge's probabilities can be taken at their word: the Brier score and the expected calibration error.

Lower is better in both. Where several options are equally likely a wrong one counts as taken, as in the quiz: a tie is
no knowledge of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tamis.metrics.stats import DRAWS, SLICE_VALUES, Estimate, as_floats, mean, percentiles


def brier(
    probabilities: Sequence[Mapping[str, float] | None],
    truths: Sequence[str],
    *,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """Brier's own score (1950), summed over the options: the squared distance of what was said from what is, 0 to 2.

    0: always certain and right; 2: always certain and wrong; 1 - 1/k: k options alike. Of two options it is twice the
    score of the probability of one. Questions without probabilities are nulls.
    """
    scores: list[float | None] = []
    for told, truth in _checked(probabilities, truths):
        scores.append(told and sum((share - (option == truth)) ** 2 for option, share in told.items()))
    return mean(scores, groups=groups, seed=seed, draws=draws)


def taken(
    probabilities: Sequence[Mapping[str, float] | None], truths: Sequence[str]
) -> tuple[list[float | None], list[bool | None]]:
    """For each question the probability of the likeliest option, and whether that is right; of several, a wrong one."""
    confidences: list[float | None] = []
    rights: list[bool | None] = []
    for told, truth in _checked(probabilities, truths):
        top = told and max(told, key=lambda option: (told[option], option != truth))
        confidences.append(told and told[top])
        rights.append(told and top == truth)
    return confidences, rights


def expected_calibration_error(
    confidences: Sequence[float | None],
    rights: Sequence[bool | float | None],
    *,
    bins: int = 15,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """The gap between confidence and share right, mean over bins of confidence by their rows (Guo et al. 2017), 0 to 1.

    Bins are equally wide; an edge belongs to the bin below it, 0 to the first: (0.2, 0.4] is the second of five.
    Confidences and rights come from taken(), which says how ties of the top option are broken. A question that lacks
    either is a null.

    Chance counts as miscalibration: of few rows the error of a perfect judge is not 0, and that of a resample is larger
    again. The interval is what the bootstrap (by group) spreads around the value, less in squares what a resample has
    more of it; so it begins at or near 0 where the judge may be perfect, and covers a true error about 9 times in 10.
    """
    if not len(confidences) == len(rights) == len(rights if groups is None else groups):
        raise ValueError(f"calibration: {len(confidences)} confidences, {len(rights)} rights; as many are needed")
    if bins < 1:
        raise ValueError(f"bins: {bins} is not accepted; expected 1 or more")
    sure, right = as_floats(confidences), as_floats(rights)
    usable = ~(np.isnan(sure) | np.isnan(right))
    labels = np.arange(len(sure)).astype(str) if groups is None else np.asarray([str(group) for group in groups])
    sure, right, labels, nulls = sure[usable], right[usable], labels[usable], int((~usable).sum())
    if len(sure) == 0:
        return Estimate(None, None, None, 0, nulls)
    if sure.min() < 0 or sure.max() > 1:
        raise ValueError(f"confidences: {sure.min():g} to {sure.max():g} is not accepted; expected 0 to 1")
    _, group_of = np.unique(labels, return_inverse=True)
    size = int(group_of.max()) + 1
    # A group brings, for each bin, by how much it is too sure in all: what is drawn needs no rows.
    cell = group_of * bins + np.searchsorted(np.arange(1, bins) / bins, sure, side="left")
    gaps = np.bincount(cell, weights=sure - right, minlength=size * bins).reshape(size, bins)
    counts = np.bincount(group_of)
    value = float(np.abs(gaps.sum(axis=0)).sum() / len(sure))
    if size < 2:
        return Estimate(value, None, None, len(sure), nulls)
    drawn = _resampled(gaps, counts, np.random.default_rng(seed), draws)
    low, high = percentiles(drawn, size)
    middle = float(drawn.mean())
    chance = max(0.0, middle**2 - value**2)
    ends = [max(0.0, value + middle - end) for end in (high, low)]
    low, high = (max(0.0, end**2 - chance) ** 0.5 for end in ends)
    return Estimate(value, min(value, low), max(value, high), len(sure), nulls)


def _resampled(gaps: np.ndarray, counts: np.ndarray, generator: np.random.Generator, draws: int) -> np.ndarray:
    """The error of each bootstrap draw of groups."""
    found, done, size = [], 0, len(counts)
    while done < draws:
        step = min(draws - done, max(1, SLICE_VALUES // size))
        chosen = generator.integers(0, size, size=(step, size)) + size * np.arange(step)[:, None]
        times = np.bincount(chosen.ravel(), minlength=step * size).reshape(step, size)
        found.append(np.abs(times @ gaps).sum(axis=1) / (times @ counts))
        done += step
    return np.concatenate(found)


def _checked(
    probabilities: Sequence[Mapping[str, float] | None], truths: Sequence[str]
) -> list[tuple[Mapping[str, float] | None, str]]:
    if len(probabilities) != len(truths):
        raise ValueError(f"calibration: {len(probabilities)} answers for {len(truths)} truths; as many are needed")
    for told, truth in zip(probabilities, truths, strict=True):
        if told is not None and (truth not in told or not abs(sum(told.values()) - 1) <= 0.01):
            raise ValueError(f"calibration: {dict(told)} is no distribution over options with {truth!r} among them")
    return list(zip(probabilities, truths, strict=True))
