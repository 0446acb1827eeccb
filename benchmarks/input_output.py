"""Does the correlation of what LoRAs are trained on with what they draw rise with k? From a study's results.json.

    python benchmarks/input_output.py

Figures: r(top-15) - r(other arm) over the same topics, 95 % percentile interval of 20,000 resamples of topics, seed 0.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "study" / "quiz_lora" / "results.json"
BEST, OTHERS, DRAWS = "top-15", ("top-2", "top-5", "top-10", "top-2.matched"), 20_000


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = (values - values.mean(-1, keepdims=True) for values in (x, y))
    return (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))


def main() -> None:
    told = json.loads(RESULTS.read_text())
    inputs, outputs = told["trained_on"], told["drew"]
    topics = sorted(inputs[BEST])
    drawn = np.random.default_rng(0).integers(0, len(topics), (DRAWS, len(topics)))
    pairs = {arm: [np.array([by[arm][one] for one in topics]) for by in (inputs, outputs)] for arm in (BEST, *OTHERS)}
    for arm in OTHERS:
        (x, y), (u, v) = pairs[BEST], pairs[arm]
        spread = correlation(x[drawn], y[drawn]) - correlation(u[drawn], v[drawn])
        low, high = np.nanpercentile(spread, [2.5, 97.5])
        print(f"r({BEST}) - r({arm}): {correlation(x, y) - correlation(u, v):+.2f} [{low:+.2f}, {high:+.2f}]")


if __name__ == "__main__":
    main()
