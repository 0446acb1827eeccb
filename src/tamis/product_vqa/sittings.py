"""Sittings: which models answer which rows, and their answers as rows, one for each model and question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis.arm_names import folder
from tamis.metrics.average_mark.average_mark import WEIGHTS
from tamis.product_vqa.arm_forms import AS_8BIT, BASE, BY_ROW, ON_8BIT, VqaArm
from tamis.scorers.blip_vqa import BlipVqa

if TYPE_CHECKING:
    from pathlib import Path

    from datasets import Dataset

    from tamis.scoring import Scorer

KEPT = ("row_id", "picture", "difficulty", "question", "answer")


@dataclass(frozen=True, eq=False)
class Sitting:
    """One scorer over the rows of one split."""

    split: str
    scorer: Scorer
    arms: dict[str, tuple[str, int]]  # column of answers to arm and seed

    def answers(self, scored: Dataset) -> Dataset:
        """A row for each arm and question: what was asked, what is right, what was answered."""
        from datasets import Dataset, Features

        kept = {name: scored[name][:] for name in KEPT}
        rows: dict[str, list[Any]] = {name: [] for name in answer_features()}
        for column, (arm, seed) in self.arms.items():
            for name in KEPT:
                rows[name] += kept[name]
            rows["arm"] += [arm] * len(scored)
            rows["seed"] += [seed] * len(scored)
            rows["split"] += [self.split] * len(scored)
            rows["prediction"] += scored[column][:]
            rows["prediction_error"] += scored[f"{self.scorer.name}_error"][:]
        rows["level"] = [str(level) for level in rows["difficulty"]]
        rows["mark_weight"] = [float(WEIGHTS[level]) for level in rows["difficulty"]]
        return Dataset.from_dict(rows, features=Features(answer_features()))


def answer_features() -> dict[str, Any]:
    from datasets import Value

    texts = ("arm", "split", "row_id", "picture", "level", "question", "answer", "prediction", "prediction_error")
    numbers = {"seed": Value("int64"), "difficulty": Value("int64"), "mark_weight": Value("float32")}
    return dict.fromkeys(texts, Value("string")) | numbers


def of_blip(
    by_seed: dict[int, list[VqaArm]], adapters: dict[str, Path], blip: dict[str, Any], *, main_seed: int
) -> list[Sitting]:
    """Every LoRA on the validation and test rows; those split by row on theirs; those in 8 bits on the test rows.

    A sitting has one scorer: the model reads a picture once, for all questions on it and for all LoRAs.
    """
    listed = [(arm, seed) for seed, arms in by_seed.items() for arm in arms]
    usual = [one for one in listed if one[0].mark not in (BY_ROW, ON_8BIT, AS_8BIT)]
    by_row = [one for one in listed if one[0].mark == BY_ROW]
    eight = [one for one in listed if one[0].mark in (ON_8BIT, AS_8BIT)]
    sat = [(split, "blip", usual, {}) for split in ("validation", "test")]
    if by_row:
        base = [(VqaArm(f"{BASE}.{BY_ROW}", None), main_seed)]
        sat.append(("test by row", "blip", base + by_row, {}))
    if eight:
        sat.append(("test", "blip_8bit", eight, {"quantization": "8bit"}))
    found = []
    for split, name, some, settings in sat:
        worn = {folder(arm.name, seed, main_seed): _path(arm, seed, adapters, main_seed) for arm, seed in some}
        scorer = BlipVqa(name=name, adapters=worn, **blip, **settings)
        arms = {f"{name}_{folder(arm.name, seed, main_seed)}": (arm.name, seed) for arm, seed in some}
        found.append(Sitting(split, scorer, arms))
    return found


def of_others(scorers: list[Scorer], seed: int) -> list[Sitting]:
    """Baselines: each answers the test rows in a column NAME_answer."""
    return [Sitting("test", scorer, {f"{scorer.name}_answer": (scorer.name, seed)}) for scorer in scorers]


def _path(arm: VqaArm, seed: int, adapters: dict[str, Path], main_seed: int) -> str:
    return "" if arm.shape is None else str(adapters[folder(arm.adapter, seed, main_seed)])


def of_split(answers: Dataset, *splits: str) -> Dataset:
    return answers.select([row for row, split in enumerate(answers["split"][:]) if split in splits])
