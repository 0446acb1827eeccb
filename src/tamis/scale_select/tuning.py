"""A model an arm, all tuned with the same settings: as many epochs, or, where the name says .matched, as many steps as
the largest arm takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tamis.arm_names import folder
from tamis.training.vlm_tuning import train_vlms

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.arm_names import Arm
    from tamis.run import Run
    from tamis.training.adapter import Adapter
    from tamis.training.vlm_tuning import VlmTuning


def tune(
    subsets: dict[str, Dataset],
    arms: Sequence[Arm],
    config: VlmTuning,
    run: Run,
    *,
    most: int,
    seed: int,
    main_seed: int,
) -> dict[str, Adapter]:
    """By the folder of an arm and seed. subsets: rows by the arm's name, of one seed. most: rows of the largest arm of
    the main seed; those that training leaves out count too."""
    matched = {arm.name for arm in arms if arm.matched}
    found: dict[str, Adapter] = {}
    for names, settings in (
        (subsets.keys() - matched, config),
        (subsets.keys() & matched, dataclasses.replace(config, max_train_steps=steps_of(most, config))),
    ):
        some = {folder(name, seed, main_seed): rows for name, rows in subsets.items() if name in names}
        if some:
            found |= train_vlms(some, settings, run, seed=seed)
    return found


def steps_of(rows: int, config: VlmTuning) -> int:
    """Optimiser steps that so many rows take."""
    batches = -(-rows // config.train_batch_size)
    return config.max_train_steps or -(-batches // config.gradient_accumulation_steps) * config.num_train_epochs
