"""The model in 8 bits beside itself: bytes, and questions answered a second."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.scorers.blip_vqa import BlipVqa
from tamis.vqa.blip import quantized
from tamis.vqa.eight_bit import footprint

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run

TIMED = 64  # questions


def measure(asked: Dataset, blip: dict[str, Any], *, run: Run) -> dict[str, Any]:
    """By rank 0, on the first questions: footprint, speed, and the settings that bitsandbytes is given."""
    return run.from_main(_measured(asked, blip) if run.is_main else None)


def _measured(asked: Dataset, blip: dict[str, Any]) -> dict[str, Any]:
    plain = BlipVqa(**blip)
    rows = [plain.prepare(row) for row in asked.select(range(min(TIMED, len(asked))))]
    batch = {key: [row[key] for row in rows] for key in rows[0]}
    speeds = {}
    for name, scorer in (("unquantised", plain), ("8bit", dataclasses.replace(plain, quantization="8bit"))):
        scorer({key: values[:1] for key, values in batch.items()})  # loads the model
        started = time.perf_counter()
        scorer(batch)
        speeds[name] = len(rows) / (time.perf_counter() - started)
        if name == "8bit":
            small = footprint(scorer.held().model)
    settings = quantized("8bit")["quantization_config"].to_diff_dict()
    return {
        "footprint": small,
        "questions_per_second": speeds,
        "device": models.device().type,
        "dtype": str(models.dtype()).removeprefix("torch."),
        "quantization_config": settings,
    }
