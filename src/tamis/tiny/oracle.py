"""The oracle: reads a drawn scene back from its pixels by matching against the renderer. No model, nothing learned.

It is not one of the models that select or generate, so a recipe's claim can be checked without asking the judge that
made it. It reads scenes with one thing, and says None, unsure, rather than guess. Its thresholds were fixed on
world.SEEDS["oracle"], which no recipe draws from; benchmarks/oracle.py measures it on world.SEEDS["test"].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tamis.tiny.oracle_colours import GRAIN, NOISY, Colours, ink_inside, look
from tamis.tiny.oracle_fit import Marks, Pose, marks, poses, to_outline
from tamis.tiny.world import SIDE, Thing

# Each is about where, on SEEDS["oracle"], a reading is as likely wrong as right; clean scenes are far on the sure side.
NOISIEST = 70.0  # standard deviation; what is noisier is no scene, though its mean may look like a ground
GROUND_SHARE, GROUND_MARGIN = 0.35, 0.15  # of the border, and more of it than of another ground
INK_PIXELS, INK_MARGIN = 8.0, 0.25
WORST_MISFIT, LEAST_OVERLAP = 0.3, 0.3
POSE_MARGIN, SPOILT_POSE_MARGIN = 0.02, 0.04  # of misfit, over the second-best shape; where half hidden or blurred
VISIBLE = 0.5  # share of the thing, less than which it is hidden too much for its size to be told
EVEN, UNEVEN = 0.12, 0.25  # deviation of lightness up to which a thing is plain; from which its pattern is unknown
EXPLAINED = 0.08  # deviation of lightness that a pattern explains in a plain thing, at most
PLAIN_LEVEL, BLURRED_LEVEL = 0.78, 0.99  # a darker thing may have a pattern that is blurred away
PATTERN_FIT, PATTERN_MARGIN, PATTERN_CONTRAST = 0.25, 0.08, 0.2
PATTERN_PIXELS = 25.0
SIZE_BORDER, SIZE_DOUBT = 15.0, 1.2  # pixels of radius: small things end at 13, large ones begin at 17
PLACE_DOUBT = 0.8  # pixels from where another place begins
PHOTO_OUTLINE, DRAWN_OUTLINE = 0.23, 0.34  # how much darker the outline is than the thing
SHARP, BLURRED = 1.40, 1.48  # standard deviation of edges, pixels
CLEAR, CLUTTERED = 0.006, 0.02  # share of the picture that is neither ground, thing nor shadow


@dataclass(frozen=True)
class Reading:
    """What was read; None is unsure. margins says how sure, in units of its own for each attribute."""

    shape: str | None
    colour: str | None
    pattern: str | None
    ground: str | None
    size: str | None
    place: str | None
    style: str | None
    defect: str | None
    margins: dict[str, float] = field(default_factory=dict)


def read(picture: np.ndarray) -> Reading:
    """Bytes, 64 x 64 x 3."""
    if picture.shape != (SIDE, SIDE, 3):
        raise ValueError(f"picture: {picture.shape} is not accepted; expected ({SIDE}, {SIDE}, 3)")
    seen = look(picture.astype(np.float64))
    is_ground = seen.ground_share >= GROUND_SHARE and seen.ground_margin >= GROUND_MARGIN and seen.noise < NOISIEST
    ground = seen.ground if is_ground else None
    margins = {"ground": seen.ground_margin, "noise": seen.noise}
    if ground is None or seen.ink_pixels < INK_PIXELS:  # nothing, or nothing that this knows, is on it
        return Reading(None, None, None, ground, None, None, None, None, margins)
    found = poses(seen.thinglike, seen.known, _reach(seen), max(1.5, 2.4 * seen.blur - 0.4))
    pose, far = found[0], to_outline(found[0])
    shown = ~seen.board
    visible = float(shown[far < 0].mean())
    shape = pose.shape if _is_clear(found, visible < VISIBLE or seen.blur > SHARP) else None
    there = shape is not None or pose.overlap > 0.5  # what it is may not be sure, but where it is
    inset = 1.6 if seen.outlined else 0.6
    ink, ink_pixels, ink_margin, ink_level = ink_inside(seen, far < -inset)
    seen_marks = marks(pose, seen.level, shown & ~seen.alien, inset)
    pattern, pattern_margin = _pattern(seen_marks, ink_level, seen.blur > SHARP)
    drawn = _outline(seen.amount, far, shown)
    outside = float(((far > 4.5) & shown & (seen.alien | (seen.known * seen.thinglike > 0.5))).mean())
    margins |= {
        "colour": ink_margin,
        "shape": found[1].misfit - pose.misfit,
        "misfit": pose.misfit,
        "overlap": pose.overlap,
        "visible": visible,
        "pattern": pattern_margin,
        "spread": seen_marks.spread,
        "level": ink_level,
        "size": abs(pose.radius - SIZE_BORDER),
        "outline": drawn,
        "blur": seen.blur,
        "unexplained": outside,
    }
    return Reading(
        shape=shape,
        colour=ink if ink_pixels >= INK_PIXELS and ink_margin >= INK_MARGIN else None,
        pattern=pattern if there else None,
        ground=ground,
        size=_size(found[:1] if shape else found[:2]) if there and visible >= VISIBLE else None,
        place=_place(pose) if there and visible >= VISIBLE else None,
        style=_style(seen, drawn) if there else None,
        defect=_defect(seen, outside, there),
        margins=margins,
    )


def agreement(reading: Reading, asked: Mapping[str, str]) -> float:
    """Share of the asked attributes that were read and are as asked; unsure counts as wrong."""
    if not asked:
        raise ValueError("asked: nothing was asked")
    return sum(getattr(reading, attribute) == value for attribute, value in asked.items()) / len(asked)


def _reach(seen: Colours) -> float:
    """Pixels that a drawing's outline adds around the thing; on black it takes some away."""
    return 0.0 if not seen.outlined else -0.65 if seen.ground == "black" else 0.75


def _is_clear(found: list[Pose], spoilt: bool) -> bool:
    best, second = found[:2]
    margin = SPOILT_POSE_MARGIN if spoilt else POSE_MARGIN
    return (
        best.misfit <= WORST_MISFIT
        and best.overlap >= LEAST_OVERLAP
        and second.misfit - best.misfit >= max(margin, 0.1 * best.misfit)
    )


def _pattern(seen: Marks, level: float, blurred: bool) -> tuple[str | None, float]:
    """The pattern, and how much more it explains than another (of a plain thing: how little one would explain)."""
    if seen.pixels < PATTERN_PIXELS:
        return None, 0.0
    first, second, _ = sorted(seen.fits, key=lambda pattern: -seen.fits[pattern])
    fit, margin = seen.fits[first], seen.fits[first] - seen.fits[second]
    explained = seen.spread * fit**0.5
    if seen.spread < EVEN or (seen.spread < UNEVEN and explained < EXPLAINED):
        return "plain" if level > (BLURRED_LEVEL if blurred else PLAIN_LEVEL) else None, EVEN - explained
    sure = fit >= PATTERN_FIT and margin >= PATTERN_MARGIN and seen.contrasts[first] >= PATTERN_CONTRAST
    return first if sure else None, margin


def _size(likely: list[Pose]) -> str | None:
    sizes = {"small" if pose.radius < SIZE_BORDER else "large" for pose in likely}
    doubtful = any(abs(pose.radius - SIZE_BORDER) < SIZE_DOUBT for pose in likely)
    return None if doubtful or len(sizes) > 1 else sizes.pop()


def _place(pose: Pose) -> str | None:
    thing = Thing("circle", "red", "plain", "small", pose.x, pose.y, pose.radius)
    around = [replace(thing, x=thing.x + x, y=thing.y + y).place for x in _DOUBT for y in _DOUBT]
    return around[0] if len(set(around)) == 1 else None


_DOUBT = (-PLACE_DOUBT, PLACE_DOUBT)


def _outline(amount: np.ndarray, far: np.ndarray, shown: np.ndarray) -> float:
    """How much darker than inside the thing it is in a band along its outline, at the darkest: 0 to about 0.7."""
    inside = shown & (far > -5.0) & (far < max(-2.75, 0.5 * far.min()))  # of a thin ring, half-way in
    bands = [shown & (far >= start) & (far < start + 0.75) for start in np.arange(-2.0, 1.6, 0.5)]
    means = [float(amount[band].mean()) for band in bands if band.sum() > 10]
    return float(amount[inside].mean()) - min(means) if means and inside.sum() > 10 else 0.0


def _style(seen: Colours, drawn: float) -> str | None:
    if seen.noise > NOISY or seen.blur > SHARP:  # an outline may be lost, grain is
        return None
    if seen.ground == "black":
        return "drawing" if seen.grain < GRAIN[0] else "photo" if seen.grain > GRAIN[1] else None
    return "photo" if drawn < PHOTO_OUTLINE else "drawing" if drawn > DRAWN_OUTLINE else None


def _defect(seen: Colours, outside: float, there: bool) -> str | None:
    if seen.exposure is not None:
        return seen.exposure
    if seen.noise > NOISY:
        return "noise"
    if seen.board.any():
        return "occlusion"
    if seen.blur > SHARP:
        return "blur" if seen.blur > BLURRED else None
    if outside > CLEAR:
        return "clutter" if outside > CLUTTERED else None
    return "none" if there else None
