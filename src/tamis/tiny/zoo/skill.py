"""What a packaged model can do, measured against the renderer's truth through the libraries' own front doors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tamis.metrics import stats
from tamis.metrics.stats import Estimate
from tamis.tiny import world
from tamis.tiny.render import render
from tamis.tiny.world import Scene

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Skill:
    """A measured number and what it should be: at least, at most, or between."""

    name: str
    means: str
    measured: Estimate
    least: float | None = None
    most: float | None = None

    @property
    def reached(self) -> bool:
        value = self.measured.value
        return value is not None and (self.least or -1e9) <= value <= (self.most or 1e9)

    @property
    def wanted(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        return "" if self.least == self.most else f"≥ {self.least:g}" if self.most is None else f"≤ {self.most:g}"

    def row(self) -> dict[str, Any]:
        return {**asdict(self.measured), "means": self.means, "wanted": self.wanted, "reached": self.reached}


def share(
    name: str, means: str, right: Sequence[bool | float], *, least: float | None = None, most: float | None = None
) -> Skill:
    return Skill(name, means, stats.mean([float(one) for one in right]), least, most)


def rank(
    name: str,
    means: str,
    a: Sequence[float],
    b: Sequence[float],
    *,
    least: float | None = None,
    most: float | None = None,
) -> Skill:
    return Skill(name, means, stats.spearman(list(a), list(b)), least, most)


def scenes(count: int, *, start: int = 0, **how: Any) -> list[Scene]:
    """From the seeds kept for measuring; numbers share none where their starts are further apart than their counts."""
    first = world.SEEDS["test"].start + start
    return [world.scene(seed, **how) for seed in range(first, first + count)]


def picture(scene: Scene) -> Image.Image:
    from PIL import Image

    return Image.fromarray(render(scene))


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
