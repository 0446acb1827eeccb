"""Arms of product_vqa: the model as it is, LoRAs by shape, and what is done once more with a shape.

- base: no LoRA. r16-query-value-out: a LoRA of that rank and those layers, tuned on the whole training split.
- SHAPE.by-row: tuned, and measured, on rows split without looking at their pictures, as the report did.
- SHAPE.top-50pct, .bottom-50pct, .random-50pct: tuned on that share of the training split, by the column select_by.
- SHAPE.on-8bit: tuned on the base in 8 bits. SHAPE.8bit: the LoRA of SHAPE, on the base in 8 bits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tamis.config import ConfigError
from tamis.training.lora_shapes import LoraShape

BASE, BY_ROW, ON_8BIT, AS_8BIT = "base", "by-row", "on-8bit", "8bit"
TUNED = "tuned"  # behind the name of a chat model
_MARKS = re.compile(rf"{BY_ROW}|{ON_8BIT}|{AS_8BIT}|(?P<way>top|bottom|random)-(?P<share>[1-9]\d?)pct")


@dataclass(frozen=True)
class VqaArm:
    name: str
    shape: LoraShape | None  # None: the model as it is
    mark: str | None = None
    way: str | None = None  # how its rows are chosen, where not all are taken
    share: float | None = None

    @property
    def plain(self) -> bool:
        """Of the report's kind: the whole training split, split by picture, 16 bits or more."""
        return self.shape is not None and self.mark is None

    @property
    def trained(self) -> bool:
        return self.shape is not None and self.mark != AS_8BIT

    @property
    def adapter(self) -> str:
        """The arm whose LoRA it wears."""
        return str(self.shape) if self.mark == AS_8BIT else self.name


def parse(name: str) -> VqaArm:
    if name == BASE:
        return VqaArm(name, None)
    shape, marked, mark = name.partition(".")
    found = _MARKS.fullmatch(mark)
    if marked and found is None:
        raise ConfigError(
            f"arms: {name!r} is not accepted; behind a shape stands .{BY_ROW}, .top-50pct, .bottom-50pct, "
            f".random-50pct, .{ON_8BIT}, .{AS_8BIT} or nothing"
        )
    try:
        known = LoraShape.parse(shape)
    except ConfigError as error:
        raise ConfigError(f"arms: {error}") from error
    share = int(found["share"]) / 100 if mark and found["share"] else None
    return VqaArm(name, known, mark or None, found["way"] if mark else None, share)


def refuse_unfit(by_seed: dict[int, list[VqaArm]], select_by: str | None) -> None:
    """The main seed first, as everywhere."""
    main, *others = by_seed.values()
    if not any(arm.plain for arm in main):
        told = ", ".join(arm.name for arm in main)
        raise ConfigError(f"arms: {told}: none for the claim to be about; give at least one plain shape")
    for setting, arms in (("arms", main), *(("other_seeds_arms", some) for some in others)):
        names = [arm.name for arm in arms]
        for arm in arms:
            if arm.way in ("top", "bottom") and select_by is None:
                raise ConfigError(f"{setting}: {arm.name}: needs select_by, the column that ranks the training rows")
            if arm.mark == AS_8BIT and arm.adapter not in names:
                raise ConfigError(f"{setting}: {arm.name}: needs {arm.adapter} among them, whose LoRA it wears")
            if arm.shape is None and setting != "arms":
                raise ConfigError(f"{setting}: {arm.name}: has no seed; it answers once")


def own_base(arm: str) -> str:
    """The arm that is its model as it is, asked the same questions."""
    if arm.endswith(f".{BY_ROW}"):
        return f"{BASE}.{BY_ROW}"
    return arm.rpartition(".")[0] if arm.endswith(f".{TUNED}") else BASE
