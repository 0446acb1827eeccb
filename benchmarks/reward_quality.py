"""Does the judge reward the pictures that show what was asked for? The oracle, which no reward reads, says so.

    python -m tamis.localhub run -- python benchmarks/reward_quality.py

Runs recipes/self_reward_lora.tiny.yaml (trained and graded as little as it can be), loads the generated pictures that
it published, and lets the oracle read all four attributes of each. Told of every reward: how often, among one prompt's
pictures, a right one scores higher than a wrong one (AUC), and how often a prompt's first is right; and of what each
arm keeps, how much is. --pool FOLDER reads such a dataset instead.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from measuring import auc, report, run_tiny

from tamis.columns import column_values
from tamis.metrics import stats
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


def share(right: np.ndarray, prompts: np.ndarray) -> dict[str, Any]:
    return asdict(stats.mean(right.astype(float).tolist(), groups=prompts.tolist()))


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
        arms = pool["arms"][:]
    first = (rounds == "round-1") & ~np.isnan(values["oracle_all"])
    right, names = values["oracle_all"][first] == 1, sorted(set(prompts[first].tolist()))
    found = {
        name: {
            "auc_within_prompts": told_apart(right, values[name][first], prompts[first], names),
            "first_is_right": first_is_right(right, values[name][first], prompts[first], names),
        }
        for name in REWARDS
    }
    kept = {arm for own, mine in zip(arms, first, strict=True) if mine for arm in own}
    shares = {"all": share(right, prompts[first])}
    for arm in sorted(kept):
        own = np.asarray([arm in some for some in arms])[first]
        shares[arm] = share(right[own], prompts[first][own])
    told = {"pictures": int(first.sum()), "prompts": len(names), "right": shares, "rewards": found}
    report("reward_quality", told)


if __name__ == "__main__":
    main()
