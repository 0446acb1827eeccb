"""Where the oracle matches against the renderer: the pose of every shape, then the phase of every pattern."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tamis.tiny.render import _distance, _marks
from tamis.tiny.world import PATTERNS, SHAPES, SIDE

HALF = SIDE // 2  # the search for shapes begins on pixels of 2 x 2
PADDED = 48  # shapes that reach over an edge do not come in at the other
RADII = (10.8, 12.4, 14.5, 17.4, 19.0, 20.6)
ROUND = ("circle", "ring")  # their turn shows in nothing but their pattern
TURNS = (-0.14, 0.0, 0.14)
FARTHEST = 9  # of a centre from the middle, in pixels of 2 x 2


@dataclass(frozen=True)
class Pose:
    shape: str
    x: float
    y: float
    radius: float
    turn: float
    misfit: float  # squared difference to the picture, as a share of the shape's area
    overlap: float  # of shape and picture: intersection over union, 0..1


# ---- Shapes --------------------------------------------------------------------------------------------------------


def poses(thinglike: np.ndarray, known: np.ndarray, reach: float, edge: float) -> list[Pose]:
    """Every shape where it fits best, the best first; the worst are not refined.

    reach: pixels that a thing's outline adds to it; edge: pixels over which its edge is soft.
    """
    begun = sorted(_begin(thinglike, known, reach), key=lambda start: start[1])
    fine, coarse = _grid(1), _grid(2)
    pooled = _pooled(known)
    mean = _pooled(known * thinglike) / np.maximum(pooled, 1e-6)
    rough = [
        (_descend(shape, start, mean, pooled, coarse, reach, max(2.5, edge), 5), shape)
        for (shape, start), _ in begun[:5]
    ]
    rough.sort(key=lambda found: found[0][1])
    found = []
    for (start, _), shape in rough[:3]:
        pose, misfit = _descend(shape, start, thinglike, known, fine, reach, edge, 4)
        found.append(_pose(shape, pose, misfit, thinglike, known, fine, reach, edge))
    return sorted(found, key=lambda pose: pose.misfit)


def _begin(thinglike: np.ndarray, known: np.ndarray, reach: float) -> list[tuple[tuple[str, np.ndarray], float]]:
    """Each shape's best among a bank of poses, by squared difference over all shifts (correlations, by FFT)."""
    from scipy import fft

    names, radii, turns, once, squared = _bank(reach)
    weight = np.zeros((2, PADDED, PADDED), dtype=np.float32)
    weight[0, :HALF, :HALF] = _pooled(known * thinglike)
    weight[1, :HALF, :HALF] = _pooled(known)
    both = fft.rfft2(weight)
    differences = fft.irfft2(both[1] * squared - 2.0 * both[0] * once, s=(PADDED, PADDED))
    shifts = np.arange(-FARTHEST, FARTHEST + 1)
    near = differences[:, shifts[:, None], shifts[None, :]].reshape(len(names), -1)
    where, least = near.argmin(axis=1), near.min(axis=1)
    best = []
    for shape in SHAPES:
        one = min((index for index, name in enumerate(names) if name == shape), key=lambda index: least[index])
        down, across = divmod(int(where[one]), len(shifts))
        start = np.array([HALF + 2.0 * shifts[across], HALF + 2.0 * shifts[down], radii[one], turns[one]])
        best.append(((shape, start), float(least[one])))
    return best


@lru_cache(maxsize=4)
def _bank(reach: float):
    from scipy import fft

    x, y = _grid(2)
    drawn, names, radii, turns = [], [], [], []
    for shape in SHAPES:
        for radius in RADII:
            for turn in TURNS if shape not in ROUND else (0.0,):
                far = _far(shape, np.array([HALF, HALF, radius, turn]), x, y)
                cover = np.zeros((PADDED, PADDED), dtype=np.float32)
                cover[:HALF, :HALF] = np.clip(0.5 - (far - reach) / 2.5, 0.0, 1.0)
                drawn.append(cover)
                names.append(shape)
                radii.append(radius)
                turns.append(turn)
    covers = np.stack(drawn)
    return names, radii, turns, np.conj(fft.rfft2(covers)), np.conj(fft.rfft2(covers**2))


@lru_cache(maxsize=2)
def _grid(pixels: int) -> tuple[np.ndarray, np.ndarray]:
    axis = np.arange(SIDE // pixels) * float(pixels) + pixels / 2
    return tuple(np.meshgrid(axis, axis))


def _pooled(plane: np.ndarray) -> np.ndarray:
    return plane.reshape(HALF, 2, HALF, 2).mean(axis=(1, 3))


def _local(pose: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cos, sin = math.cos(pose[3]), math.sin(pose[3])
    dx, dy = x - pose[0], y - pose[1]
    return (cos * dx + sin * dy) / pose[2], (cos * dy - sin * dx) / pose[2]


def _far(shape: str, pose: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pixels to the outline, inside negative."""
    return _distance(shape, *_local(pose, x, y)) * pose[2]


def _descend(shape, pose, target, known, grid, reach, edge, steps) -> tuple[np.ndarray, float]:
    """Levenberg-Marquardt on centre, radius and turn. Returns the pose and its squared difference per area."""
    x, y = grid
    area = 4.0 if len(x) == HALF else 1.0
    damping, best, least = 0.02, pose, math.inf
    tried = pose
    for _ in range(steps + 1):
        u, v = _local(tried, x, y)
        near = _distance(shape, u, v)
        ramp = 0.5 - (near * tried[2] - reach) / edge
        cover = np.clip(ramp, 0.0, 1.0)
        off = cover - target
        misfit = float((known * off * off).sum())
        if misfit < least:
            best, least, damping = tried, misfit, damping * 0.4
            at = (ramp > 0.0) & (ramp < 1.0) & (known > 0.0)
            u, v, near = u[at], v[at], near[at]
            across = (_distance(shape, u + 1e-4, v) - near) * 1e4
            down = (_distance(shape, u, v + 1e-4) - near) * 1e4
            cos, sin = math.cos(tried[3]), math.sin(tried[3])
            slopes = np.stack([
                -cos * across + sin * down, -sin * across - cos * down, near - u * across - v * down,
                (across * v - down * u) * tried[2],
            ]) / -edge  # fmt: skip
            weighed = slopes * known[at]
            matrix, side = weighed @ slopes.T, weighed @ off[at]
        else:
            damping *= 6.0
        step = np.linalg.solve(matrix + np.diag(damping * np.diag(matrix) + 1e-6), side)
        tried = best - np.clip(step, (-2, -2, -2, -0.15), (2, 2, 2, 0.15))
        tried[2] = min(max(tried[2], 8.0), 24.0)
        tried[3] = 0.0 if shape in ROUND else min(max(tried[3], -0.3), 0.3)
    return best, area * least


def _pose(shape, pose, misfit, thinglike, known, grid, reach, edge) -> Pose:
    covered = np.clip(0.5 - (_far(shape, pose, *grid) - reach) / edge, 0.0, 1.0)
    both, either = (known * np.minimum(covered, thinglike)).sum(), (known * np.maximum(covered, thinglike)).sum()
    x, y, radius, turn = map(float, pose)
    area = max(float(covered.sum()), 1.0)
    return Pose(shape, x, y, radius, turn, misfit / area, float(both / max(either, 1e-6)))


def to_outline(pose: Pose) -> np.ndarray:
    """Distance of each pixel to the thing's outline, inside negative."""
    return _far(pose.shape, np.array([pose.x, pose.y, pose.radius, pose.turn]), *_grid(1))


# ---- Patterns ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Marks:
    """What a pattern explains of the thing's lightness."""

    fits: dict[str, float]  # pattern -> share of the variance explained by it at its best phase, 0..1
    contrasts: dict[str, float]  # pattern -> how much darker its marks are, as a share
    spread: float  # standard deviation of lightness, as a share of its mean
    level: float  # mean lightness, as a share of the ink's
    pixels: float


def marks(pose: Pose, level: np.ndarray, usable: np.ndarray, margin: float) -> Marks:
    """level: how much ink each pixel has; margin: pixels inside the outline that tell nothing of the pattern."""
    u, v = _local(np.array([pose.x, pose.y, pose.radius, pose.turn]), *_grid(1))
    weight = np.clip(0.5 - _distance(pose.shape, u, v) * pose.radius - margin, 0.0, 1.0) * usable
    of = weight > 0.05
    u, v, weight, light = u[of] * pose.radius, v[of] * pose.radius, weight[of], np.clip(level[of], 0.0, 1.6)
    pixels = float(weight.sum())
    if pixels < 12:
        return Marks({}, {}, 0.0, 0.0, pixels)
    mean = float(weight @ light) / pixels
    thin = slice(None, None, max(1, len(u) // 280))
    coarse = _Lightness(u[thin], v[thin], weight[thin], light[thin])
    fine = _Lightness(u, v, weight, light)
    fits, contrasts = {}, {}
    for pattern in PATTERNS[1:]:
        phases = _phases(pattern, pose.shape in ROUND)
        explained, _ = coarse.explained(pattern, phases)
        best = phases[int(np.argmax(explained))]
        for step in REFINEMENTS:
            tried = best + step * _STEPS
            explained, dark = fine.explained(pattern, tried)
            one = int(np.argmax(explained))
            best, fits[pattern], contrasts[pattern] = tried[one], float(explained[one]), float(dark[one])
    return Marks(fits, contrasts, math.sqrt(fine.left / pixels) / max(mean, 1e-6), mean, pixels)


class _Lightness:
    """The thing's pixels, less a plane of light: light that falls from one side is no pattern."""

    def __init__(self, u: np.ndarray, v: np.ndarray, weight: np.ndarray, light: np.ndarray) -> None:
        self.u, self.v, self.weight = u, v, weight
        self.planes = np.stack([np.ones_like(u), u / 20, v / 20], axis=1)
        self.weighed = self.planes * weight[:, None]
        self.inverse = np.linalg.inv(self.planes.T @ self.weighed + 1e-3 * np.eye(3))
        self.plane = self.inverse @ (self.weighed.T @ light)
        rest = light - self.planes @ self.plane
        self.light, self.left = weight * rest, float(weight @ rest**2)

    def explained(self, pattern: str, phases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each phase: the share of variance that its marks explain, how dark they are beside what is not marked."""
        first, second, turn, stretch = (column[:, None] for column in phases.T)
        cos, sin = np.cos(turn) / stretch, np.sin(turn) / stretch
        drawn = _marks(pattern, cos * self.u + sin * self.v, cos * self.v - sin * self.u, (first, second))
        sums = drawn @ self.weighed
        size = (drawn * drawn) @ self.weight - ((sums @ self.inverse) * sums).sum(axis=1)
        alike = drawn @ self.light
        # A phase that puts hardly a mark on the thing tells nothing.
        dark = np.where(size > 0.02 * self.weight.sum(), -alike / np.maximum(size, 1e-9), 0.0)
        explained = np.where(dark > 0, alike * alike / np.maximum(size * self.left, 1e-9), 0.0)
        plain = self.plane[0] + dark * (sums @ self.inverse)[:, 0]
        return explained, dark / np.maximum(plain, 1e-6)


REFINEMENTS = (1.0, 0.5, 0.5, 0.25)
_STEPS = np.concatenate([np.zeros((1, 4)), *(sign * np.diag((0.06, 0.06, 0.05, 0.03)) for sign in (-1, 1))])


@lru_cache(maxsize=6)
def _phases(pattern: str, any_turn: bool) -> np.ndarray:
    """Where a search begins, one a row: both phases, turn and stretch beside the pose's."""
    steps = 12 if pattern == "striped" else 8
    second = 1 if pattern == "striped" else steps
    first = steps // 2 if pattern == "checked" else steps  # half a period along both sides is the same
    turns = np.linspace(-0.2, 0.2, 5) if any_turn else (0.0,)
    return np.array(
        [(one / steps, two / steps, turn, 1.0) for turn in turns for one in range(first) for two in range(second)]
    )
