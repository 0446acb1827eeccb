"""Which images an adapter sees at which optimiser step: kohya's epochs, repeats and batches, from the seed alone.

Nothing of it is stored: any step's images can be told from (seed, name, step), and so a killed run goes on exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from functools import lru_cache

import numpy as np

from tamis.seeds import seed_of


class Order:
    """Every image counts `repeats` times an epoch; a batch holds one bucket's images, a step so many batches."""

    def __init__(
        self,
        name: str,
        buckets: Sequence[Hashable],  # of each image, in the order of the rows
        *,
        seed: int,
        repeats: int,
        batch_size: int,
        accumulated: int,
    ) -> None:
        self.name = name
        self.buckets = buckets
        self.seed = seed
        self.repeats = repeats
        self.batch_size = batch_size
        self.accumulated = accumulated
        batches = sum(-(-count * repeats // batch_size) for count in Counter(buckets).values())
        self.steps_per_epoch = -(-batches // accumulated)
        self._epoch = lru_cache(maxsize=1)(self._shuffled)

    def __getitem__(self, step: int) -> list[list[int]]:
        """The batches of a step: positions of images."""
        epoch, within = divmod(step, self.steps_per_epoch)
        return self._epoch(epoch)[within * self.accumulated : (within + 1) * self.accumulated]

    def _shuffled(self, epoch: int) -> list[list[int]]:
        draw = np.random.Generator(np.random.PCG64(seed_of("order", self.seed, self.name, epoch)))
        # Batches fill up as a shuffled row of images comes in, so that their order is shuffled too.
        open_batches: dict[Hashable, list[int]] = {}
        batches: list[list[int]] = []
        for position in draw.permutation(len(self.buckets) * self.repeats) % len(self.buckets):
            batch = open_batches.setdefault(self.buckets[position], [])
            batch.append(int(position))
            if len(batch) == self.batch_size:
                batches.append(open_batches.pop(self.buckets[position]))
        return batches + list(open_batches.values())
