"""What each arm is tuned on: subsets of the training rows, and the LoRAs wanted of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tamis import select
from tamis.arm_names import folder
from tamis.product_vqa.arm_forms import AS_8BIT, BY_ROW, ON_8BIT, VqaArm
from tamis.training.vqa_lora import Wanted

if TYPE_CHECKING:
    from datasets import Dataset


def wanted(
    by_seed: dict[int, list[VqaArm]],
    train: Dataset,
    train_by_row: Dataset | None,
    *,
    select_by: str | None,
    main_seed: int,
    on_8bit: bool,
) -> dict[str, Wanted]:
    """Folder of the adapter to what it is tuned on: of those tuned on the base in 8 bits, or of the others."""
    return {
        folder(arm.name, seed, main_seed): Wanted(rows_of(arm, train, train_by_row, select_by, seed), arm.shape, seed)
        for seed, arms in by_seed.items()
        for arm in arms
        if arm.trained and (arm.mark == ON_8BIT) == on_8bit
    }


def rows_of(arm: VqaArm, train: Dataset, train_by_row: Dataset | None, select_by: str | None, seed: int) -> Dataset:
    if arm.mark == BY_ROW:
        return train_by_row
    if arm.way == "random":
        return select.random_k(train, k=max(1, round(arm.share * len(train))), seed=seed, among=select_by)
    if arm.way is not None:
        keep = {"top": select.top_k, "bottom": select.bottom_k}[arm.way]
        return keep(train, select_by, fraction=arm.share, seed=seed)
    return train


def table(arms: list[VqaArm], subsets: dict[str, Any], name: Any) -> tuple[list[str], list[list[Any]]]:
    """Every arm: what it is, and on how many rows it was tuned."""
    lines = []
    for arm in arms:
        rows = subsets[arm.adapter].rows if arm.adapter in subsets else None
        lines.append([name(arm.name), "–" if rows is None else len(rows), _meaning(arm)])
    return ["arm", "rows tuned on", "which"], lines


def _meaning(arm: VqaArm) -> str:
    if arm.shape is None:
        return "the model as it is"
    shape = f"rank {arm.shape.r}, {', '.join(arm.shape.targets)}"
    if arm.way is not None:
        chosen = {"top": "the highest by select_by", "bottom": "the lowest by select_by", "random": "drawn by seed"}
        return f"{shape}; {arm.share:.0%} of the training rows, {chosen[arm.way]}"
    also = {
        None: "the whole training split",
        BY_ROW: "split by row: its test pictures were seen in training",
        ON_8BIT: "tuned on the base in 8 bits, and measured there",
        AS_8BIT: f"the LoRA of {arm.adapter}, on the base in 8 bits",
    }
    return f"{shape}; {also[arm.mark]}"
