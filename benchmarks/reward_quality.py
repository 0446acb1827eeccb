"""Does the judge reward the pictures that show what was asked for? The oracle, which no reward reads, says so.

    python -m tamis.localhub run -- python benchmarks/reward_quality.py

Runs recipes/self_reward_lora.tiny.yaml (trained and graded as little as it can be), loads the generated pictures that
it published, and lets the oracle read all four attributes of each. Told of every reward: how often, among one prompt's
pictures, a right one scores higher than a wrong one (AUC), and how often a prompt's first is right; and of what each
arm keeps, how much is, by class too. --pool FOLDER reads such a dataset instead.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from measuring import report, run_tiny

from tamis.columns import column_values
from tamis.metrics import stats
from tamis.metrics.auc import auc
from tamis.run import Run
from tamis.scorers.oracle import Oracle
from tamis.scoring import attach_scores

PUBLISHED = "me/reward-quality"
LEAST = ["--num_train_epochs", "1", "--images_per_prompt", "1", "--pairwise", "null", "--unrelated_prompts"]
REWARDS = (
    "self_reward_score",
    "self_reward_points",
    "detection_confidence",
    "caption_similarity_cosine",
    "clip_similarity",
)


def told_apart(right: np.ndarray, scores: np.ndarray, prompts: np.ndarray, names: list[str]) -> dict[str, Any]:
    """AUC of a score within prompts, over those that have right and wrong pictures."""
    mixed = [name for name in names if 0 < right[prompts == name].mean() < 1]
    within = [auc(right[prompts == name], scores[prompts == name]) for name in mixed]
    return asdict(stats.mean(within))


def first_is_right(right: np.ndarray, scores: np.ndarray, prompts: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Share of prompts whose highest is right; of several equal ones, the share that is."""
    found = []
    for name in names:
        mine, own = scores[prompts == name], right[prompts == name]
        found.append(float(own[mine == np.nanmax(mine)].mean()))
    return asdict(stats.mean(found))


def shares(right: np.ndarray, prompts: np.ndarray, taken: list[list[str]]) -> dict[str, dict[str, Any]]:
    """How much is right of all pictures, and of those that each arm took."""
    of = {"all": np.ones(len(right), dtype=bool)}
    of |= {arm: np.asarray([arm in own for own in taken]) for arm in sorted({arm for own in taken for arm in own})}
    return {
        name: asdict(stats.mean(right[rows].astype(float).tolist(), groups=prompts[rows].tolist()))
        for name, rows in of.items()
    }


def main() -> None:
    from datasets import Image, load_dataset

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pool", help="a folder that self_reward_lora made under hub/datasets, instead of a run")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.pool is None:
            ids = [
                "--hub_dataset_id",
                PUBLISHED,
                "--hub_model_id",
                f"{PUBLISHED}-lora",
                "--output_dir",
                f"{folder}/run",
            ]
            run_tiny("self_reward_lora", [*LEAST, *ids])
        pool = load_dataset(given.pool or PUBLISHED, "scores", split="train").cast_column("image", Image(decode=False))
        run = Run(Path(folder) / "oracle")
        pool = attach_scores(pool, Oracle(description_column="prompt"), run=run)
        run.close()
        rounds = np.asarray(pool["round"][:])
        prompts = np.asarray(pool["prompt_id"][:])
        values = {name: column_values(pool, name) for name in (*REWARDS, "oracle_all")}
        arms, classes = pool["arms"][:], np.asarray(pool["class"][:])
    first = (rounds == "round-1") & ~np.isnan(values["oracle_all"])
    prompts, classes, arms = prompts[first], classes[first], [arms[row] for row in np.flatnonzero(first)]
    right, names = values["oracle_all"][first] == 1, sorted(set(prompts.tolist()))
    found = {
        name: {
            "auc_within_prompts": told_apart(right, values[name][first], prompts, names),
            "first_is_right": first_is_right(right, values[name][first], prompts, names),
        }
        for name in REWARDS
    }
    by_class = {}
    for label in sorted(set(classes.tolist())):
        mine = np.flatnonzero(classes == label)
        by_class[label] = shares(right[mine], prompts[mine], [arms[row] for row in mine])
    told = {"pictures": len(right), "prompts": len(names), "right": shares(right, prompts, arms)}
    report("reward_quality", told | {"right_by_class": by_class, "rewards": found})


if __name__ == "__main__":
    main()
