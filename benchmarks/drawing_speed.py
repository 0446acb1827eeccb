"""How fast are many pictures drawn, ten a prompt, against one call of the pipeline for each, as tutorials do?

    python -m tamis.localhub run -- python benchmarks/drawing_speed.py

tiny/sd, 25 steps, guidance 2, two threads; ten prompts, ten pictures each, every picture from its own seed. The peer
calls `pipeline(prompt, generator=...)` a hundred times. Ours is the scorer Drawing, twelve pictures a batch, as the
recipes use it. Pictures are compared: the noise is the same.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np
import torch
from measuring import report

from tamis.generate import Drawing

PROMPTS, EACH, BATCH, STEPS, GUIDANCE = 10, 10, 12, 25, 2.0
COLOURS = ("red", "green", "blue", "yellow", "purple")


def asked() -> list[tuple[str, int]]:
    """Prompts and seeds."""
    prompts = [f"a {COLOURS[place % 5]} {('star', 'circle')[place // 5]} on white ground" for place in range(PROMPTS)]
    return [(prompt, 1000 * place + turn) for place, prompt in enumerate(prompts) for turn in range(EACH)]


def ours(wanted: list[tuple[str, int]], drawing: Drawing) -> tuple[float, np.ndarray]:
    started, drawn = time.perf_counter(), []
    for first in range(0, len(wanted), BATCH):
        prompts, seeds = zip(*wanted[first : first + BATCH], strict=True)
        drawn += drawing._pipeline().draw(list(prompts), list(seeds), None, drawing)
    return time.perf_counter() - started, np.stack([np.asarray(one) for one in drawn])


def theirs(wanted: list[tuple[str, int]], drawing: Drawing) -> tuple[float, np.ndarray]:
    pipeline, drawn = drawing._pipeline().pipeline, []
    started = time.perf_counter()
    for prompt, seed in wanted:
        generator = torch.Generator().manual_seed(seed)
        made = pipeline(prompt, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=generator)
        drawn.append(made.images[0])
    return time.perf_counter() - started, np.stack([np.asarray(one) for one in drawn])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    drawing = Drawing("tiny/sd", num_inference_steps=STEPS, guidance_scale=GUIDANCE)
    wanted, ratios, seconds, off = asked(), [], [], 0
    ours(wanted[:BATCH], drawing)  # loads the model
    for _ in range(given.runs):
        own, pictures = ours(wanted, drawing)
        peer, reference = theirs(wanted, drawing)
        ratios.append(peer / own)
        seconds.append((own, peer))
        off = max(off, int(np.abs(pictures.astype(np.int16) - reference.astype(np.int16)).max()))
        print(seconds[-1], file=sys.stderr, flush=True)
    report(
        "drawing_speed",
        {
            "model": f"tiny/sd, {STEPS} steps, guidance {GUIDANCE:g}",
            "pictures": len(wanted),
            "runs": given.runs,
            "threads": given.threads,
            "pictures_per_second": round(len(wanted) / statistics.median(own for own, _ in seconds), 2),
            "pictures_per_second_of_a_call_each": round(len(wanted) / statistics.median(p for _, p in seconds), 2),
            "times_as_fast": {
                "median": round(statistics.median(ratios), 2),
                "low": round(min(ratios), 2),
                "high": round(max(ratios), 2),
            },
            "largest_difference_of_a_pixel": off,
        },
    )


if __name__ == "__main__":
    main()
