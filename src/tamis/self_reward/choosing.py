"""Arms of generated pictures: of each prompt's pictures, which are kept.

- top-K: those that the judge rewards most, ties by the detector's confidence, among pictures on which the detector
  finds the class; a prompt without one is dropped.
- top-Ppct: the best P % of all pictures, of those on which it does, whatever their prompts.
- bottom-K: those rewarded least. random-K.D: draw D. caption-K: those whose caption is most like the prompt.
- .dpo: the same pictures, each beside its prompt's worst: for Diffusion-DPO.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from tamis.arm_names import Arm, Forms
from tamis.candidates import folder_names
from tamis.columns import column_values
from tamis.config import ConfigError
from tamis.select import Cut, take, top_k
from tamis.topic_arms import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from datasets import Dataset

    from tamis.scoring import Scorer
    from tamis.training.diffusion_lora import DiffusionLora

RANK, WORSE = "reward_rank", "worse"
PROMPT = "prompt_id"
CONFIDENCE, CAPTION = "detection_confidence", "caption_similarity_cosine"
FORMS = Forms(("none",), ("top", "bottom", "random", "caption"), ("dpo",), shares=("top",))


def needs(reward: str) -> dict[str, str]:
    """Setting to the column that choosing reads of it."""
    return {"ranking": reward, "detector": CONFIDENCE, "similarity": CAPTION}


def least_confidence(rewards: Iterable[Scorer]) -> float:
    """What the detector has to be sure of for a picture to pass."""
    return next(one.threshold for one in rewards if CONFIDENCE in one.columns)


def with_rank(pool: Dataset, scorers: Iterable[Scorer], *, reward: str) -> Dataset:
    """The pool with `reward_rank`, 1 the least: by reward, equal ones by the detector's confidence.

    Null where the picture has no reward, or the detector is less sure than its threshold that the class is there. Rows
    equal in both share a rank; a selection breaks their tie by seed.
    """
    from datasets import Value

    rewards, sure, least = column_values(pool, reward), column_values(pool, CONFIDENCE), least_confidence(scorers)
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


def choose(pool: Dataset, arm: Arm, *, reward: str, seed: int) -> Dataset:
    """The rows of a ranked pool that the arm keeps, of .dpo with a column `worse`. There may be none."""
    if arm.percent:
        kept = top_k(pool, RANK, fraction=arm.k / 100, seed=seed, at_most=True)
    elif arm.way == "random":
        drawn = [None if np.isnan(value) else 1.0 for value in column_values(pool, reward)]
        kept = take(pool.add_column("drawn", drawn), _of_each(pool, "drawn", arm.k, seed * 1000 + (arm.draw or 0)))
        kept = kept.remove_columns("drawn")
    else:
        column = {"top": RANK, "bottom": reward, "caption": CAPTION}[arm.way]
        kept = take(pool, _of_each(pool, column, arm.k, seed, lowest=arm.way == "bottom"))
    if "dpo" in arm.marks:
        kept = beside_the_worst(kept, pool, reward)
    return kept


def unseen(pool: Dataset) -> dict[str, str]:
    """Classes of which no picture passes, and why they are in no arm: nobody could tell a good one of theirs."""
    ranks, labels = column_values(pool, RANK), np.asarray(pool["class"][:])
    return {
        label: f"none of its {np.count_nonzero(labels == label):,} pictures passes"
        for label in dict.fromkeys(labels.tolist())
        if np.isnan(ranks[labels == label]).all()
    }


def choose_all(
    pool: Dataset, arms: dict[int, list[Arm]], gone: Collection[str], *, reward: str, per_class: bool
) -> tuple[list[Choice], dict[str, str]]:
    """What every arm of every seed keeps of a ranked pool, without classes that are gone; and arms that keep nothing.

    gone: as `unseen` tells them. per_class: a choice for each class, whose adapter is its own; else one over all of
    them, of topic "". `none` keeps nothing and is in no choice.
    """
    labels = np.asarray(pool["class"][:])
    known = [label for label in dict.fromkeys(labels.tolist()) if label not in gone]
    if not known:
        raise ConfigError(
            f"no class is left of {len(gone)}: of none is there a picture that the judge rewards and on which the "
            "detector finds the class; another threshold, or another way to ask: detector: {threshold: ..., query: ...}"
        )
    choices, empty = [], {}
    for topic, some in {label: [label] for label in known}.items() if per_class else [("", known)]:
        rows = pool.select(np.flatnonzero(np.isin(labels, some)))
        for seed, wanted in arms.items():
            for arm in wanted:
                if arm.way == "none":
                    continue
                made = Choice(topic, arm, seed, choose(rows, arm, reward=reward, seed=seed))
                if len(made.rows):
                    choices.append(made)
                else:
                    empty[made.folder(topic, seed)] = f"no picture of {len(rows)} is left to train on"
    return choices, empty


def folders(choices: list[Choice], seed: int) -> dict[Choice, str]:
    """ARM, or CLASS/ARM where each class has its own."""
    named = folder_names(list(dict.fromkeys(choice.topic for choice in choices if choice.topic)))
    return {choice: choice.folder(named.get(choice.topic, ""), seed) for choice in choices}


def steps(choices: list[Choice], best: str, config: DiffusionLora) -> dict[str, int]:
    """By topic the steps that the arm of this name takes with the first seed: all arms are trained for as many."""
    found: dict[str, int] = {}
    for choice in choices:
        if choice.arm.name == best:
            found.setdefault(choice.topic, config.optimizer_steps(len(choice.rows)))
    return found


def by_loss(choices: list[Choice]) -> dict[str | None, list[Choice]]:
    """Those that are trained together: on pictures, and on pairs of them (the column of what is worse)."""
    found: dict[str | None, list[Choice]] = {}
    for choice in choices:
        found.setdefault(WORSE if "dpo" in choice.arm.marks else None, []).append(choice)
    return found


def decided_by(pool: Dataset, *, reward: str) -> dict[str, int]:
    """What told the best picture of each prompt from its second best: how many prompts the reward, the detector, or
    nothing but chance; and how many have only one that passes."""
    ranks, rewards = column_values(pool, RANK), column_values(pool, reward)
    prompts = np.asarray(pool[PROMPT][:])
    found = dict.fromkeys(("reward", "detector", "chance", "only one passes"), 0)
    for prompt in dict.fromkeys(prompts.tolist()):
        mine = np.flatnonzero((prompts == prompt) & ~np.isnan(ranks))
        if len(mine) == 0:
            continue
        if len(mine) == 1:
            found["only one passes"] += 1
            continue
        first, second = sorted(mine, key=lambda row: -ranks[row])[:2]
        by = "chance" if ranks[first] == ranks[second] else "detector"
        found["reward" if rewards[first] > rewards[second] else by] += 1
    return found


def table(
    arms: Iterable[Arm], choices: Iterable[Choice], name: Callable[[str], str], *, reward: str
) -> tuple[list[str], list[list[str]]]:
    """Every arm, draws together: how many pictures it is trained on, and which."""
    sizes: dict[str, list[int]] = {}
    for choice in choices:
        sizes.setdefault(choice.arm.pooled, []).append(len(choice.rows))
    lines, draws = {}, Counter(arm.pooled for arm in arms)
    for arm in arms:
        few, many = min(sizes.get(arm.pooled, [0])), max(sizes.get(arm.pooled, [0]))
        lines[arm.pooled] = [name(arm.pooled), str(many) if few == many else f"{few} to {many}", _meaning(arm, reward)]
        if arm.way == "random":
            count = draws[arm.pooled]
            names = f"{arm.pooled}.1" + (f" to {arm.pooled}.{count}, told together" if count > 1 else "")
            lines[arm.pooled][2] += f": {names}"
    return ["arm", "pictures", "which"], list(lines.values())


def _meaning(arm: Arm, reward: str) -> str:
    each = "the picture" if arm.k == 1 else f"the {arm.k} pictures"
    if arm.percent:
        which = f"the best {arm.k} % of all pictures by {reward}, of those on which the detector finds the class"
    else:
        which = {
            "none": "the base model, no LoRA",
            "top": f"of each prompt {each} with the highest {reward} on which the detector finds the class",
            "bottom": f"of each prompt {each} with the lowest {reward}",
            "random": f"of each prompt {each} drawn by seed",
            "caption": f"of each prompt {each} whose caption is most like the prompt",
        }[arm.way]
    later = next((mark for mark in arm.marks if mark.startswith("round-")), None)
    if later:
        which += f"; of those that the LoRA of the round before {later.replace('-', ' ')} drew"
    if "dpo" in arm.marks:
        which += "; each beside its prompt's worst, by Diffusion-DPO"
    return which


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
        if prompt in least and rewards[row_id] > rewards[ids[least[prompt]]]  # one chosen by its caption may have none
    ]
    if not pairs:
        return kept.select([])
    images = pool.select_columns(["image"]).cast_column("image", Image(decode=False))
    worse = [images[at]["image"] for _, at in pairs]
    better = kept.select([row for row, _ in pairs]).flatten_indices()
    return better.add_column(WORSE, worse, feature=Image(decode=False))
