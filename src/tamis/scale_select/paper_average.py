"""The column "Avg Score" of the paper's tables: a mean of eight benchmarks, as every row of them comes out."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tamis.config import ConfigError

BENCHMARKS = ("a_okvqa", "crpe_exist", "crpe_relation", "llava_wild", "mmbench_en", "mme", "scienceqa", "seedbench")
MME_BEST = 2800  # perception 2000 and cognition 800; the others are of 100


def paper_average(scores: Mapping[str, float]) -> float:
    """The mean of the eight, each of 100: MME's sum of perception and cognition is divided by 28.

    The paper does not say so; every row of its tables comes out with it, to both digits.
    """
    if scores.keys() != set(BENCHMARKS):
        raise ConfigError(f"paper_average: {', '.join(sorted(scores))} given; expected {', '.join(BENCHMARKS)}")
    for name, score in scores.items():
        best = MME_BEST if name == "mme" else 100
        if not 0 <= score <= best:  # NaN is not either
            raise ConfigError(f"paper_average: {name}: {score!r} is not accepted; expected 0 to {best}")
    of_hundred = [score / (MME_BEST / 100) if name == "mme" else score for name, score in scores.items()]
    return math.fsum(of_hundred) / len(BENCHMARKS)
