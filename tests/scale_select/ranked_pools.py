"""Pools of made rows, scored and not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from datasets import Dataset

PARTS = {"rated_image_level": 1.0, "text_quality_overall": 1.0, "multimodal_overall": 1.0}
RANKINGS = {"scale": PARTS, "text": {"text_quality_overall": 1.0}, "clip": {"clip_similarity": 1.0}}


def pool(rows: int = 205, seed: int = 0, **columns: Any) -> Dataset:
    """Levels with many ties, every ninth row without a picture score, one NaN, three sources of unequal size."""
    draw = np.random.default_rng(seed)
    made: dict[str, Any] = {
        "row_id": [f"train-{index}" for index in range(rows)],
        "source": [str(one) for one in draw.choice(["big", "big", "big", "mid", "it's small"], rows)],
        "task_subtask": [None if one == "none" else str(one) for one in draw.choice(["ocr", "scene", "none"], rows)],
    }
    for name in PARTS:
        made[name] = [float(level) for level in draw.integers(1, 6, rows)]
    made["clip_similarity"] = [float(one) for one in draw.normal(0.25, 0.05, rows)]
    for index in range(0, rows, 9):
        made["rated_image_level"][index] = made["clip_similarity"][index] = None
    made["multimodal_overall"][4 % rows] = math.nan
    made["reply_length"] = [str(one) for one in draw.choice(["short", "short", "long"], rows)]
    return Dataset.from_dict(made | columns)
