"""Arms of score_and_explain: the model as it is, and what each iteration makes of it.

- base: the model as it is.
- scoring, consistency: tuned by DPO on that set of pairs. sft: tuned on the chosen replies alone.
- merged: those two made one, as merge_kind, merge_density and merge_r say; the next iteration begins with it.
- merged.exact: the same two folded into the model's own weights, nothing lost to a rank (but to their rounding).
- merged.ties-0.2, merged.ties-factors-0.5, merged.linear: the same two, merged in another way or density.

All arms of an iteration begin with the merged model of the one before; behind their names stands .iteration-N.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tamis.config import ConfigError
from tamis.training.merge import Merge

BASE, SCORING, CONSISTENCY, SFT, MERGED, EXACT = "base", "scoring", "consistency", "sft", "merged", "exact"
_MERGE = re.compile(r"(?P<kind>linear|ties|ties-factors)(-(?P<density>0?\.\d+|1(\.0)?))?")
_ITERATION = re.compile(r"(?P<arm>.+)\.iteration-(?P<number>\d+)")


@dataclass(frozen=True)
class ExplainArm:
    name: str
    merge: Merge | None = None  # of a `merged` that does not go by the settings
    exact: bool = False

    @property
    def merged(self) -> bool:
        return self.name.startswith(MERGED)

    def at(self, iteration: int) -> str:
        """What it is called in results, as an adapter's folder, as a config."""
        return self.name if self.name == BASE else f"{self.name}.iteration-{iteration}"


def parse(name: str) -> ExplainArm:
    if name in (BASE, SCORING, CONSISTENCY, SFT, MERGED):
        return ExplainArm(name)
    if name == f"{MERGED}.{EXACT}":
        return ExplainArm(name, exact=True)
    way = name.removeprefix(f"{MERGED}.")
    found = _MERGE.fullmatch(way) if way != name else None
    if found is None or (found["kind"] == "linear") != (found["density"] is None):
        raise ConfigError(
            f"arms: {name!r} is not accepted; expected {BASE}, {SCORING}, {CONSISTENCY}, {SFT}, {MERGED}, "
            f"{MERGED}.{EXACT}, {MERGED}.linear, {MERGED}.ties-DENSITY or {MERGED}.ties-factors-DENSITY"
        )
    density = {"density": float(found["density"])} if found["density"] else {}
    return ExplainArm(name, Merge(kind=found["kind"].replace("-", "_"), **density))


def iteration_of(arm: str) -> tuple[str, int]:
    """An arm of the results: its name without the iteration, and that; 0 of the model as it is."""
    found = _ITERATION.fullmatch(arm)
    return (found["arm"], int(found["number"])) if found else (arm, 0)


def rivals(last: str, arms: Iterable[str]) -> list[str]:
    """What the last merged model is held against, beside the model as it is: the other arms of its iteration, and what
    was merged like it before."""
    own, number = iteration_of(last)
    told = [(arm, *iteration_of(arm)) for arm in arms]
    return [arm for arm, name, at in told if at == number or (name == own and at < number)]


def refuse_unfit(by_seed: dict[int, list[ExplainArm]]) -> None:
    main, *others = by_seed.values()
    names = [arm.name for arm in main]
    for needed in (BASE, MERGED):
        if needed not in names:
            raise ConfigError(f"arms: {', '.join(names)}: {needed} is not among them; the claim is about both")
    for arms in others:
        if MERGED not in [arm.name for arm in arms]:
            raise ConfigError(f"other_seeds_arms: {MERGED} is not among them; every seed goes on from its own")
        if BASE in [arm.name for arm in arms]:
            raise ConfigError(f"other_seeds_arms: {BASE}: has no seed; it is measured once")
