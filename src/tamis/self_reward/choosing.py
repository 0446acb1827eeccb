"""Arms of generated pictures: of each prompt's pictures, which are kept.

- top-K: those that the judge rewards most, ties by the detector's confidence, among pictures on which the detector
  finds the class; a prompt without one is dropped.
- top-Ppct: the best P % of all pictures, of those on which it does, whatever their prompts.
- bottom-K: those rewarded least. random-K.D: draw D. caption-K: those whose caption is most like the prompt.
- .dpo: the same pictures, each beside its prompt's worst: for Diffusion-DPO.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tamis.arm_names import Arm, Forms
from tamis.columns import column_values
from tamis.config import ConfigError
from tamis.select import Cut, take, top_k

if TYPE_CHECKING:
    from datasets import Dataset

RANK = "reward_rank"
PROMPT = "prompt_id"
FORMS = Forms(("none",), ("top", "bottom", "random", "caption"), ("dpo",), shares=True)


def with_rank(pool: Dataset, *, reward: str, confidence: str, least: float) -> Dataset:
    """The pool with `reward_rank`, 1 the least: by reward, equal ones by the detector's confidence.

    Null where the picture has no reward, or the detector is less sure than `least` that the class is there. Rows equal
    in both share a rank; a selection breaks their tie by seed.
    """
    from datasets import Value

    rewards, sure = column_values(pool, reward), column_values(pool, confidence)
    passing = ~np.isnan(rewards) & (np.nan_to_num(sure, nan=-1.0) >= least)
    both = np.stack([rewards[passing], sure[passing]], axis=1)
    ranks = np.full(len(pool), np.nan)
    ranks[passing] = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1) + 1.0
    told = [None if np.isnan(rank) else float(rank) for rank in ranks]
    return pool.add_column(RANK, told, feature=Value("float64"))


def dropped(pool: Dataset) -> dict[str, list[str]]:
    """Prompts without a picture to choose, by reason: nothing was drawn, which no arm has, or nothing passes."""
    drawn = np.asarray([error is None for error in pool["image_error"][:]])
    ranks, found = column_values(pool, RANK), {"no picture could be drawn": [], "no picture passes": []}
    prompts = np.asarray(pool[PROMPT][:])
    for prompt in dict.fromkeys(prompts.tolist()):
        mine = prompts == prompt
        if not drawn[mine].any():
            found["no picture could be drawn"].append(prompt)
        elif np.isnan(ranks[mine]).all():
            found["no picture passes"].append(prompt)
    return {reason: names for reason, names in found.items() if names}


def choose(pool: Dataset, arm: Arm, *, reward: str, caption: str, seed: int) -> Dataset:
    """The rows of a ranked pool that the arm keeps, of .dpo with a column `worse`."""
    if arm.percent:
        kept = top_k(pool, RANK, fraction=arm.k / 100, seed=seed, at_most=True)
    elif arm.way == "random":
        drawn = [None if np.isnan(value) else 1.0 for value in column_values(pool, reward)]
        kept = take(pool.add_column("drawn", drawn), _of_each(pool, "drawn", arm.k, seed * 1000 + (arm.draw or 0)))
        kept = kept.remove_columns("drawn")
    else:
        column = {"top": RANK, "bottom": reward, "caption": caption}[arm.way]
        kept = take(pool, _of_each(pool, column, arm.k, seed, lowest=arm.way == "bottom"))
    if "dpo" in arm.marks:
        kept = beside_the_worst(kept, pool, reward)
    if len(kept) == 0:
        raise ConfigError(f"arm {arm.name}: no picture of {len(pool)} is left to train on")
    return kept


def _of_each(pool: Dataset, column: str, k: int, seed: int, *, lowest: bool = False) -> Cut:
    """k of each prompt, or as many as have a score."""
    return Cut(column, seed, quotas=dict.fromkeys(pool[PROMPT][:], k), per=PROMPT, lowest=lowest)


def beside_the_worst(kept: Dataset, pool: Dataset, reward: str) -> Dataset:
    """Kept rows with `worse`, the picture of their prompt that was rewarded least; without those rewarded no better."""
    from datasets import Image

    rewards = dict(zip(pool["row_id"][:], column_values(pool, reward), strict=True))
    least: dict[str, int] = {}
    order = np.argsort(column_values(pool, reward), kind="stable")  # null ones last
    prompts = pool[PROMPT][:]
    for at in order[~np.isnan(column_values(pool, reward)[order])].tolist():
        least.setdefault(prompts[at], at)
    ids = pool["row_id"][:]
    pairs = [
        (row, least[prompt])
        for row, (row_id, prompt) in enumerate(zip(kept["row_id"][:], kept[PROMPT][:], strict=True))
        if rewards[row_id] > rewards[ids[least[prompt]]]
    ]
    if not pairs:
        return kept.select([])
    images = pool.select_columns(["image"]).cast_column("image", Image(decode=False))
    worse = [images[at]["image"] for _, at in pairs]
    better = kept.select([row for row, _ in pairs]).flatten_indices()
    return better.add_column("worse", worse, feature=Image(decode=False))
