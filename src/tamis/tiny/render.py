"""A scene to pixels: 64 x 64 RGB bytes, the same for the same scene. Arithmetic on numpy only."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from tamis.tiny.world import SIDE, Scene, Thing

INKS: dict[str, tuple[int, int, int]] = {
    "red": (222, 38, 40),
    "orange": (247, 140, 20),
    "yellow": (246, 224, 32),
    "green": (30, 168, 60),
    "cyan": (40, 205, 222),
    "blue": (40, 88, 240),
    "purple": (140, 44, 178),
    "pink": (252, 130, 196),
}
GROUND_INKS: dict[str, tuple[int, int, int]] = {
    "white": (244, 244, 242),
    "black": (22, 22, 24),
    "grey": (128, 128, 130),
    "tan": (206, 176, 128),
    "mint": (176, 226, 196),
    "navy": (26, 34, 84),
}
PERIODS = {"striped": 7.0, "dotted": 7.5, "checked": 10.0}  # pixels
DARKER = 0.38  # the pattern's ink is the thing's own, this much of it


def render(scene: Scene) -> np.ndarray:
    """Bytes, height x width x 3."""
    noise = np.random.default_rng(scene.seed)
    picture = _ground(scene, noise)
    for thing in reversed(scene.things):
        picture = _put(picture, thing, scene.style)
    if scene.style == "photo":
        picture = picture + noise.normal(0.0, 2.5, picture.shape)
    picture = _spoil(picture, scene, noise)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def coverage(thing: Thing) -> np.ndarray:
    """How much of each pixel the thing covers, 0..1."""
    u, v = _local(thing)
    return np.clip(0.5 - _distance(thing.shape, u, v) * thing.radius, 0.0, 1.0)


def shading(thing: Thing) -> np.ndarray:
    """1 where the thing has its own ink, DARKER where its pattern has darkened it."""
    u, v = (axis * thing.radius for axis in _local(thing))
    return 1.0 - (1.0 - DARKER) * _marks(thing.pattern, u, v, thing.phase)


def extent(thing: Thing) -> tuple[float, float, float, float]:
    """Left, top, right, bottom in pixels, as drawn."""
    rows, columns = np.nonzero(coverage(thing) > 0.5)
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


@lru_cache(maxsize=1)
def _grid() -> tuple[np.ndarray, np.ndarray]:
    axis = np.arange(SIDE) + 0.5
    x, y = np.meshgrid(axis, axis)
    return x, y


def _local(thing: Thing) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates turned and scaled so that the thing fills about -1..1, v downwards."""
    x, y = _grid()
    cos, sin = math.cos(thing.turn), math.sin(thing.turn)
    dx, dy = x - thing.x, y - thing.y
    return (cos * dx + sin * dy) / thing.radius, (-sin * dx + cos * dy) / thing.radius


def _distance(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Signed distance to the outline in units of the radius, near enough at the outline; inside is negative."""
    if shape == "circle":
        return np.hypot(u, v) - 0.92
    if shape == "ring":
        return np.abs(np.hypot(u, v) - 0.72) - 0.25
    if shape == "square":
        return np.maximum(np.abs(u), np.abs(v)) - 0.8
    if shape == "diamond":
        return (np.abs(u) / 0.66 + np.abs(v) / 1.02 - 1.0) * 0.554
    if shape == "triangle":
        return np.maximum(v - 0.7, np.abs(u) * 0.866 + -v * 0.5 - 0.5)
    if shape == "cross":
        upright = np.maximum(np.abs(u) - 0.3, np.abs(v) - 0.95)
        return np.minimum(upright, np.maximum(np.abs(u) - 0.95, np.abs(v) - 0.3))
    if shape == "star":
        return _star(u, v)
    if shape == "heart":
        return _heart(u, v)
    if shape == "moon":
        return np.maximum(np.hypot(u, v) - 0.95, 0.72 - np.hypot(u - 0.52, v + 0.1))
    if shape == "arrow":
        shaft = np.maximum(np.abs(v) - 0.24, np.abs(u + 0.35) - 0.6)
        head = np.maximum(-u - 0.02, np.abs(v) * 0.70 + u * 0.71 - 0.68)
        return np.minimum(shaft, head)
    raise ValueError(f"{shape!r} is no shape")


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    outer, inner, points = 1.05, 0.46, 5
    angle = np.mod(np.arctan2(u, -v) + math.pi / points, 2 * math.pi / points) - math.pi / points
    radius = np.hypot(u, v)
    across, along = radius * np.abs(np.sin(angle)), radius * np.cos(angle)
    # The edge runs from the tip (0, outer) to the notch.
    notch = (inner * math.sin(math.pi / points), inner * math.cos(math.pi / points))
    edge = (notch[0], notch[1] - outer)
    length = math.hypot(*edge)
    return (-edge[1] * across + edge[0] * (along - outer)) / length


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    lobes = np.hypot(np.abs(u) - 0.44, v + 0.34) - 0.5
    # The sides: lines touching the lobes and meeting in a tip at the bottom; and what lies between, without a seam.
    sides = np.maximum(np.abs(u) * 0.78 + v * 0.63 - 0.629, -v - 0.1)
    between = np.maximum(np.abs(u) - 0.44, np.abs(v + 0.12) - 0.22)
    return np.minimum(np.minimum(lobes, sides), between)


def _marks(pattern: str, u: np.ndarray, v: np.ndarray, phase: tuple[float, float]) -> np.ndarray:
    """Where the pattern darkens, 0..1, soft over about a pixel; u and v in pixels."""
    if pattern == "plain":
        return np.zeros_like(u)
    period = PERIODS[pattern]
    if pattern == "striped":
        along = (u + v) / math.sqrt(2.0) / period + phase[0]
        return _soft((np.abs(np.mod(along, 1.0) - 0.5) - 0.25) * period)
    across, down = u / period + phase[0], v / period + phase[1]
    if pattern == "dotted":
        radius = np.hypot(np.mod(across, 1.0) - 0.5, np.mod(down, 1.0) - 0.5) * period
        return _soft(radius - 2.25)
    sides = [(np.abs(np.mod(axis, 1.0) - 0.5) - 0.25) * period for axis in (across, down)]
    first, second = (_soft(side) for side in sides)
    return first * (1 - second) + second * (1 - first)


def _soft(distance: np.ndarray) -> np.ndarray:
    return np.clip(0.5 - distance, 0.0, 1.0)


def _ground(scene: Scene, noise: np.random.Generator) -> np.ndarray:
    picture = np.broadcast_to(np.array(GROUND_INKS[scene.ground], dtype=np.float64), (SIDE, SIDE, 3)).copy()
    if scene.style == "photo":  # light falls from one side, and the ground has a grain
        x, y = _grid()
        slope = noise.uniform(-0.22, 0.22, 2)
        picture *= (1.0 + slope[0] * (x / SIDE - 0.5) + slope[1] * (y / SIDE - 0.5))[..., None]
        picture += _blurred(noise.normal(0.0, 14.0, (SIDE, SIDE, 1)), 1.0)
    return picture


def _put(picture: np.ndarray, thing: Thing, style: str) -> np.ndarray:
    ink = np.array(INKS[thing.colour], dtype=np.float64) * shading(thing)[..., None]
    cover = coverage(thing)
    if style == "drawing":  # a dark outline about a pixel and a half wide
        u, v = _local(thing)
        outline = np.clip(1.25 - np.abs(_distance(thing.shape, u, v) * thing.radius), 0.0, 1.0)
        ink = ink * (1 - outline[..., None]) + 12.0 * outline[..., None]
        cover = np.maximum(cover, outline)
    else:  # a soft shadow, and light from the upper left
        shadow = _blurred(np.roll(cover, (3, 3), (0, 1))[..., None], 1.5)
        picture = picture * (1.0 - 0.4 * shadow)
        u, v = _local(thing)
        ink = ink * np.clip(1.06 - 0.14 * (u + v), 0.8, 1.3)[..., None]
    return picture * (1 - cover[..., None]) + ink * cover[..., None]


def _spoil(picture: np.ndarray, scene: Scene, noise: np.random.Generator) -> np.ndarray:
    strength = scene.strength
    if scene.defect == "blur":
        return _blurred(picture, 1.2 + 2.3 * strength)
    if scene.defect == "noise":
        return picture + noise.normal(0.0, 25.0 + 45.0 * strength, picture.shape)
    if scene.defect == "dark":
        return picture * (0.5 - 0.32 * strength)
    if scene.defect == "bright":
        return 255.0 - (255.0 - picture) * (0.55 - 0.4 * strength)
    if scene.defect == "clutter":
        return _cluttered(picture, round(6 + 16 * strength), noise)
    if scene.defect == "occlusion":
        return _occluded(picture, scene, noise)
    return picture


def _cluttered(picture: np.ndarray, strokes: int, noise: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    inks = np.array([*INKS.values(), *GROUND_INKS.values()], dtype=np.float64)
    for _ in range(strokes):
        start, angle = noise.uniform(0, SIDE, 2), noise.uniform(0, math.pi)
        along = (x - start[0]) * math.cos(angle) + (y - start[1]) * math.sin(angle)
        aside = -(x - start[0]) * math.sin(angle) + (y - start[1]) * math.cos(angle)
        cover = _soft(np.maximum(np.abs(along) - noise.uniform(3, 9), np.abs(aside) - noise.uniform(0.8, 2.2)))
        picture = picture * (1 - cover[..., None]) + inks[noise.integers(len(inks))] * cover[..., None]
    return picture


def _occluded(picture: np.ndarray, scene: Scene, noise: np.random.Generator) -> np.ndarray:
    """A brown board over part of the first thing; at full strength it hides most of it."""
    x, y = _grid()
    thing, angle = scene.thing, noise.uniform(0, 2 * math.pi)
    aside = (x - thing.x) * math.cos(angle) + (y - thing.y) * math.sin(angle)
    near = thing.radius * (0.75 - 0.95 * scene.strength)
    cover = _soft(np.abs(aside - near - thing.radius) - thing.radius)
    return picture * (1 - cover[..., None]) + np.array((92.0, 64.0, 44.0)) * cover[..., None]


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian over rows and columns, the edge pixels repeated."""
    reach = max(1, math.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        padded = np.pad(picture, [(reach, reach) if one == axis else (0, 0) for one in range(3)], mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=axis)
        picture = windows @ weights
    return picture
