"""Rows in an order in which those of like length meet in a step: what a batch is padded with is computed and lost.

The order of all epochs is told at once, from the seed alone: a run that is gone on with needs no more than its step.
"""

from __future__ import annotations

import numpy as np

from tamis.seeds import seed_of

STEPS_SORTED = 50  # rows are sorted among so many steps' at a time: as transformers does


def by_length(lengths: list[int], *, rows_a_step: int, epochs: int, seed: int) -> list[int]:
    """Positions; every row once an epoch, but that what is left over of an epoch's last step begins the next one's.

    Steps come in an order of chance, the longest first: a batch that does not fit the memory is met at once.
    """
    found: list[int] = []
    waiting: list[int] = []
    for epoch in range(epochs):
        draw = np.random.Generator(np.random.PCG64(seed_of("length order", seed, epoch)))
        waiting += draw.permutation(len(lengths)).tolist()
        whole = len(waiting) // rows_a_step * rows_a_step
        steps = _steps(waiting[:whole], lengths, rows_a_step)
        waiting = waiting[whole:]
        steps = [steps[number] for number in draw.permutation(len(steps))]
        if not found and steps:
            longest = max(range(len(steps)), key=lambda number: lengths[steps[number][0]])
            steps.insert(0, steps.pop(longest))
        found += [position for step in steps for position in step]
    return found + sorted(waiting, key=lambda position: -lengths[position])


def _steps(rows: list[int], lengths: list[int], rows_a_step: int) -> list[list[int]]:
    pools = [
        sorted(rows[first : first + STEPS_SORTED * rows_a_step], key=lambda position: -lengths[position])
        for first in range(0, len(rows), STEPS_SORTED * rows_a_step)
    ]
    return [pool[first : first + rows_a_step] for pool in pools for first in range(0, len(pool), rows_a_step)]


def padding(lengths: list[int], order: list[int], rows_a_batch: int) -> float:
    """The share of all tokens of such batches that is padding."""
    batches = [order[first : first + rows_a_batch] for first in range(0, len(order), rows_a_batch)]
    computed = sum(max(lengths[one] for one in batch) * len(batch) for batch in batches)
    return 1 - sum(lengths[one] for one in order) / computed
