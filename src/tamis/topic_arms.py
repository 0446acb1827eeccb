"""Arms within a topic: which of its candidates a name such as top-15, random-15.2 or top-2.matched stands for.

- top-K, bottom-K: highest and lowest scores. random-K.D: draw D. full: every candidate that may be chosen.
- clustered-K: the better half of the candidates in two clusters by the answers they give, as a topic's that has no
  single look (a bird's two plumages); each cluster's best, by its share.
- top-spread: as many as score within one standard deviation of the best, at least two, at most the largest K.
- .matched: trained for as many steps as the largest K takes. .weaker: as another, weaker judge scored them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tamis import arm_names, select
from tamis.arm_names import Arm, Forms, largest
from tamis.columns import column_values

if TYPE_CHECKING:
    from datasets import Dataset

FORMS = Forms(("none", "full", "top-spread"), ("top", "bottom", "random", "clustered"), ("matched", "weaker"))
FEWEST = 2  # images that top-spread keeps at least: of one a LoRA learns the picture


@dataclass(frozen=True, eq=False)
class Choice:
    """One subset of one topic's candidates: what a LoRA is trained on."""

    topic: str
    arm: Arm
    seed: int
    rows: Dataset

    def folder(self, topic: str, main_seed: int) -> str:
        """TOPIC/ARM, or ARM where one is trained over all topics."""
        own = arm_names.folder(self.arm.name, self.seed, main_seed)
        return f"{topic}/{own}" if topic else own


def trained_on(choices: list[Choice], column: str, *, seed: int) -> dict[str, dict[str, float]]:
    """pooled arm to topic to the mean of a column over the rows that it kept with this seed."""
    means: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for choice in choices:
        if choice.seed != seed:
            continue
        values = column_values(choice.rows, column)
        if not np.isnan(values).all():  # what a weaker judge chose, the other may have refused
            means[choice.arm.pooled][choice.topic].append(float(np.nanmean(values)))
    return {arm: {topic: float(np.mean(v)) for topic, v in topics.items()} for arm, topics in means.items()}


def union(choices: list[Choice], pool: Dataset, seed: int) -> dict[str, Dataset]:
    """The rows of the pool that each arm of this seed keeps, all topics together."""
    kept: dict[str, set[str]] = defaultdict(set)
    for choice in choices:
        if choice.seed == seed:
            kept[choice.arm.name].update(choice.rows["row_id"][:])
    ids = pool["row_id"][:]
    return {name: pool.select([at for at, one in enumerate(ids) if one in rows]) for name, rows in kept.items()}


def table(
    arms: Iterable[Arm], choices: Iterable[Choice], name: Callable[[str], str]
) -> tuple[list[str], list[list[str]]]:
    """Every arm, draws together: how many pictures a topic, and which."""
    sizes: dict[str, set[int]] = {}
    for choice in choices:
        sizes.setdefault(choice.arm.pooled, set()).add(len(choice.rows))
    lines, draws = {}, {}
    for arm in arms:
        draws[arm.pooled] = draws.get(arm.pooled, 0) + 1
        few, many = min(sizes.get(arm.pooled, {0})), max(sizes.get(arm.pooled, {0}))
        lines[arm.pooled] = [name(arm.pooled), str(many) if few == many else f"{few} to {many}", _meaning(arm)]
    for pooled, count in draws.items():
        if count > 1:
            lines[pooled][2] += f"; {count} draws, {pooled}.1 and on, told together"
    return ["arm", "pictures a topic", "which"], list(lines.values())


def _meaning(arm: Arm) -> str:
    by = "weaker_quiz_score" if "weaker" in arm.marks else "quiz_score"
    which = {
        "none": "the base model, no LoRA",
        "full": "every candidate that has a score",
        "top": f"those with the highest {by}",
        "bottom": f"those with the lowest {by}",
        "random": "drawn by seed among those with a score",
        "clustered": f"of the better half by {by}, the best of each of two clusters by the answers they give",
        "top-spread": f"as many as have a {by} within one standard deviation of the best",
    }[arm.way]
    return f"{which}; trained for as many steps as an arm of the largest K" if arm.matched else which


def choose_all(
    by_topic: dict[str, Dataset],
    arms: dict[int, list[Arm]],
    *,
    by: str,
    weaker_by: str | None,
    answers: str,
) -> tuple[list[Choice], dict[str, str]]:
    """What every arm of every seed keeps of every topic; and topics with too few candidates for the largest arm.

    `none` keeps nothing and is in no choice.
    """
    most = max(largest(some) for some in arms.values())
    choices, refused = [], {}
    for topic, rows in by_topic.items():
        columns = [by] if weaker_by is None else [by, weaker_by]
        usable = min(int((~np.isnan(column_values(rows, column))).sum()) for column in columns)
        if usable < most:
            refused[topic] = f"too few candidates: {usable} can be scored, {most} are needed"
            continue
        for seed, some in arms.items():
            for arm in some:
                if arm.way != "none":
                    kept = choose(rows, arm, by=by, weaker_by=weaker_by, answers=answers, most=most, seed=seed)
                    choices.append(Choice(topic, arm, seed, kept))
    return choices, refused


def choose(rows: Dataset, arm: Arm, *, by: str, weaker_by: str | None, answers: str, most: int, seed: int) -> Dataset:
    """The rows of one topic that the arm keeps; unscored rows are in none."""
    by = weaker_by if "weaker" in arm.marks else by
    if arm.way == "full":
        return rows.select(np.flatnonzero(~np.isnan(column_values(rows, by))))
    if arm.way == "random":
        return select.random_k(rows, k=arm.k, seed=seed * 1000 + (arm.draw or 0), among=by)
    if arm.way == "bottom":
        return select.bottom_k(rows, by, k=arm.k, seed=seed)
    if arm.way == "clustered":
        thin = rows.select_columns(["row_id", by, answers])  # a column more would rewrite the pictures
        half = select.top_k(thin, by, k=max(arm.k, len(rows) // 2), seed=seed, at_most=True)
        clustered = half.add_column("cluster", clusters(half, answers))
        kept = set(select.top_k(clustered, by, k=arm.k, per="cluster", seed=seed)["row_id"][:])
        return rows.select([at for at, one in enumerate(rows["row_id"][:]) if one in kept])
    k = spread_k(rows, by, most) if arm.way == "top-spread" else arm.k
    return select.top_k(rows, by, k=k, seed=seed)


def clusters(rows: Dataset, answers: str) -> list[int]:
    """Two clusters of rows by the options they made the judge take (Ward, on one column an option)."""
    from scipy.cluster.hierarchy import fcluster, linkage

    taken = [{(one["id"], one["answer"]) for one in row or ()} for row in rows[answers][:]]
    known = sorted(set().union(*taken))
    marks = np.asarray([[option in row for option in known] for row in taken], dtype=np.float64)
    if len(rows) < 3 or (marks == marks[0]).all():
        return [0] * len(rows)
    return [int(label) for label in fcluster(linkage(marks, method="ward"), t=2, criterion="maxclust")]


def spread_k(rows: Dataset, by: str, most: int) -> int:
    """How many score within one standard deviation of the best: few where the topic's pictures differ much."""
    scores = column_values(rows, by)
    scores = scores[~np.isnan(scores)]
    return int(np.clip((scores >= scores.max() - scores.std()).sum(), min(FEWEST, len(scores)), min(most, len(scores))))
