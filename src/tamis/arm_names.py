"""Names of arms, read alike in every recipe: none, full, top-15, random-15.2, top-2.matched. Which, a recipe says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from tamis.config import ConfigError

_DRAW = re.compile(r"(random-[^.]+)\.[1-9]\d*")


@dataclass(frozen=True)
class Arm:
    name: str
    way: str  # none, full, top, bottom, random, ...
    k: int | None = None
    draw: int | None = None
    marks: frozenset[str] = frozenset()  # what stands behind the name: matched, ...
    percent: bool = False  # k is a share of all rows

    @property
    def pooled(self) -> str:
        return pooled(self.name)

    @property
    def matched(self) -> bool:
        """Trained for as many steps as the largest K takes, since k alone changes that too."""
        return "matched" in self.marks


def pooled(name: str) -> str:
    """The name under which an arm's pictures are averaged: draws together."""
    return _DRAW.sub(r"\1", name)


def folder(name: str, seed: int, main_seed: int) -> str:
    """Where the adapter of an arm lies, which other seeds train too."""
    return name if seed == main_seed else f"{name}.seed-{seed}"


@dataclass(frozen=True)
class Forms:
    """The names that a recipe takes."""

    plain: tuple[str, ...]
    counted: tuple[str, ...]  # with -K behind them
    marks: tuple[str, ...]
    shares: tuple[str, ...] = ()  # those of the counted that take a share of the rows as well: top-20pct
    bare: tuple[str, ...] = ("none",)  # those of the plain that take nothing behind them

    @property
    def told(self) -> str:
        names = ", ".join([*self.plain, *(f"{way}-K" for way in self.counted), *(f"{way}-Ppct" for way in self.shares)])
        return f"{names}; {' or '.join(f'.{mark}' for mark in self.marks)} behind it"

    def parse(self, name: str) -> Arm:
        found = self._names.fullmatch(name)
        stray = found is not None and (
            (found["draw"] and found["way"] != "random") or (found["plain"] in self.bare and found["marks"])
        )
        if found is None or stray:
            raise ConfigError(f"arms: {name!r} is not accepted; expected {self.told}")
        k, draw = (int(found[part]) if found[part] else None for part in ("k", "draw"))
        if found["pct"] and not (found["way"] in self.shares and k <= 100):
            raise ConfigError(f"arms: {name!r} is not accepted; expected {self.told}")
        marks = frozenset(filter(None, found["marks"].split(".")))
        return Arm(name, found["plain"] or found["way"], k, draw, marks, bool(found["pct"]))

    def expand(self, names: list[str], draws: int) -> list[Arm]:
        """The arms of a list, random-K as so many draws; each once."""
        arms = []
        for arm in map(self.parse, dict.fromkeys(names)):
            if arm.way == "random" and arm.draw is None:
                head = f"random-{arm.k}{'pct' if arm.percent else ''}"
                arms += [self.parse(f"{head}.{number}{arm.name.removeprefix(head)}") for number in range(1, draws + 1)]
            else:
                arms.append(arm)
        return list(dict.fromkeys(arms))

    @cached_property
    def _names(self) -> re.Pattern[str]:
        plain, counted = ("|".join(map(re.escape, ways)) for ways in (self.plain, self.counted))
        marks = "".join(rf"(?:\.{re.escape(mark)})?" for mark in self.marks)
        return re.compile(
            rf"(?:(?P<plain>{plain})|(?P<way>{counted})-(?P<k>[1-9]\d*)(?P<pct>pct)?)"
            rf"(?:\.(?P<draw>[1-9]\d*))?(?P<marks>{marks})"
        )


def largest(arms: list[Arm]) -> int:
    """The largest K: what a group needs as usable rows, and whose steps `.matched` arms take."""
    return max((arm.k or 0 for arm in arms if not arm.percent), default=0)


def headline(arms: list[Arm]) -> str:
    """The arm that the claim is about: the largest plain top-K."""
    tops = [arm for arm in arms if arm.way == "top" and not arm.marks and not arm.percent]
    return max(tops, key=lambda arm: arm.k).name if tops else next(arm.pooled for arm in arms if arm.way != "none")


def contests(arms: list[Arm]) -> list[tuple[str, str]]:
    """Pairs of arms that a judge is to compare by eye: the headline against none and its equals in number."""
    best = headline(arms)
    k = next(arm.k for arm in arms if arm.pooled == best)
    rivals = [arm.pooled for arm in arms if arm.k == k and arm.pooled != best]
    return [(best, rival) for rival in dict.fromkeys(["none", *rivals])]  # none is always drawn
