"""Arms are tuned for as many epochs as each other; a matched one for as many steps as the largest arm takes."""

from __future__ import annotations

from typing import Any

import pytest

from tamis.run import Run
from tamis.scale_select import arm_forms, reading, tuning
from tamis.training.vlm_tuning import VlmTuning

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_matched_arm_takes_the_steps_of_the_largest(run: Run) -> None:
    sources = [{"source": "A-OKVQA", "dataset": "tiny/pool", "dataset_config": "A-OKVQA"}]
    rows = reading.read(sources, run=run).rows
    arms = arm_forms.expand(["base", "full", "scale-2", "scale-2.matched"], {"scale": {}}, 1)
    subsets = {
        "full": rows.select(range(6)),
        "scale-2": rows.select(range(2)),
        "scale-2.matched": rows.select(range(2)),
    }
    config = VlmTuning(base_model="tiny/vlm", train_batch_size=2, num_train_epochs=1, learning_rate=1e-3, lora_r=2)
    found = tuning.tune(subsets, arms, config, run, most=6, seed=3, main_seed=0)
    steps = {name: adapter.train_metrics["steps"] for name, adapter in found.items()}
    assert steps == {"full.seed-3": 3, "scale-2.seed-3": 1, "scale-2.matched.seed-3": 3}


@pytest.mark.parametrize(
    ("rows", "settings", "steps"),
    [
        (17, {"train_batch_size": 8}, 3),
        (17, {"train_batch_size": 8, "num_train_epochs": 2}, 6),
        (17, {"train_batch_size": 4, "gradient_accumulation_steps": 2}, 3),
        (17, {"train_batch_size": 8, "max_train_steps": 5}, 5),
    ],
)
def test_steps_are_counted_as_the_trainer_counts_them(rows: int, settings: dict[str, Any], steps: int) -> None:
    assert tuning.steps_of(rows, VlmTuning(base_model="tiny/vlm", **settings)) == steps
