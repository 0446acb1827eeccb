"""What the oracle knows before it looks for a shape: light, noise, ground, the thing's ink, what each pixel is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tamis.tiny.render import GROUND_INKS, INKS
from tamis.tiny.world import SIDE

BOARD = np.array((92.0, 64.0, 44.0))  # what hides part of a thing (render._occluded)
GROUND_NAMES, GROUND_COLOURS = tuple(GROUND_INKS), np.array(list(GROUND_INKS.values()), dtype=np.float64)
INK_NAMES, INK_COLOURS = tuple(INKS), np.array(list(INKS.values()), dtype=np.float64)
SLOPE = (0.74, 1.26)  # how much of its colour a ground may have, by light that falls from one side
SHADOW = 0.55  # and the thing's shadow
LEANING = 0.15  # what could be either (a blue thing's marks on navy) counts so much for the ground
DARKEST_HIGHLIGHT = 132.0  # a picture whose lightest parts are below this is dark: every ink has a channel above
LIGHTEST_SHADE = 142.0  # a picture whose darkest parts are above this is bright: every ink has a channel below
LOOKS_LIKE = {"dark": ("grey", "black"), "bright": ("white", "grey")}  # grounds that a changed one may be taken for
EXPOSURES = {"dark": np.linspace(0.16, 0.42, 14), "bright": np.linspace(0.13, 0.45, 17)}  # what is left of contrast
GRAIN = (2.2, 3.0)  # of black ground, where no outline can be seen: up to this in a drawing, from this in a photo
INKLESS = 0.28  # of a pixel's mixture that is not black, in an outline; marks have 0.3 and up
NOISY = 12.0  # standard deviation; a photo's own grain is below 4


@dataclass(frozen=True)
class Colours:
    """`thinglike` is how much of each pixel is the thing, 0..1, as far as its colour tells; `known` how far that is."""

    exposure: str | None  # dark, bright
    noise: float  # standard deviation of pixels
    blur: float  # standard deviation of edges, pixels
    ground: str
    ground_share: float  # of the border that has its colour
    ground_margin: float
    ink: str  # of most of the picture that is not ground
    ink_colour: np.ndarray  # as found
    ink_pixels: float
    outlined: bool  # as drawings are, at first sight
    board: np.ndarray  # pixels of the board, if there is one
    alien: np.ndarray  # pixels of neither thing nor ground
    amount: np.ndarray  # of each pixel that is not black: 1 on ground, 0.4 where the pattern is dark, 0.1 on an outline
    grain: float  # standard deviation of a black ground; a drawing has none
    pixels: np.ndarray  # as developed
    level: np.ndarray  # how much of the ink each pixel has: about 1 where plain, 0.4 where the pattern is dark
    thinglike: np.ndarray
    known: np.ndarray


def look(picture: np.ndarray) -> Colours:
    """Pixels: 64 x 64 x 3, floats 0..255."""
    noise = noise_level(picture)
    if noise > NOISY:
        picture = blurred(picture, 1.3)
    soft = 1.0 + noise / 45.0  # tolerances grow with noise
    exposure, picture = _developed(picture, soft)
    ground, ground_share, ground_margin = _ground(picture, soft)
    board = np.linalg.norm(picture - BOARD, axis=2) < 14 * soft
    if board.mean() < 0.08:
        board = np.zeros_like(board)
    here = _lit_ground(picture, GROUND_COLOURS[ground], soft)
    from_ground = _off_segment(picture, here, SHADOW, 1.12)
    ink, ink_colour, ink_pixels = _ink(picture, from_ground, board, soft)
    black = GROUND_NAMES[ground] == "black"
    grain = _high_frequencies(picture[from_ground < 20 * soft]) if black else 0.0
    unlike, amount = _mixture(picture, here, ink_colour)
    outlined = grain < GRAIN[1] if black else bool(((amount < INKLESS) & (from_ground > 15)).sum() > 22)
    from_thing = _off_segment(picture, ink_colour, 0.3 if black or not outlined else 0.0, 1.4)
    level = picture @ ink_colour / (ink_colour @ ink_colour)
    alien = unlike > 34 * soft
    thinglike = from_ground / np.maximum(from_ground + from_thing, 1e-6)
    if black and outlined:  # the outline is as dark as the ground, with a halo of a quarter of the ink outside
        thinglike = np.clip((level - 0.26) / 0.1, 0.0, 1.0)
    known = np.clip((from_ground + from_thing - 14 * soft) / (30 * soft), LEANING, 1.0) * ~board * ~alien
    thinglike = np.where(from_ground + from_thing < 14 * soft, 0.0, thinglike)
    return Colours(
        exposure, noise, _blur(picture), GROUND_NAMES[ground], ground_share, ground_margin, INK_NAMES[ink],
        ink_colour, ink_pixels, outlined, board, alien, amount, grain, picture, level, thinglike, known,
    )  # fmt: skip


def noise_level(picture: np.ndarray) -> float:
    """Standard deviation, from the finest diagonal differences (edges are few, and not diagonal to one pixel)."""
    fine = picture[:-1, :-1] - picture[1:, :-1] - picture[:-1, 1:] + picture[1:, 1:]
    return float(np.median(np.abs(fine))) / 2 / 0.6745


def _developed(picture: np.ndarray, soft: float) -> tuple[str | None, np.ndarray]:
    """The picture as it was before it was made dark or bright: ground and ink are known colours then."""
    light, shade = np.percentile(picture.max(axis=2), 99.5), np.percentile(picture.min(axis=2), 0.5)
    exposure = "dark" if light < DARKEST_HIGHLIGHT else "bright" if shade > LIGHTEST_SHADE else None
    ground, share, _ = _ground(picture, soft)
    if exposure is None or (share > 0.6 and GROUND_NAMES[ground] not in LOOKS_LIKE[exposure]):
        return None, picture
    small = picture.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    scores = []
    for left in EXPOSURES[exposure]:
        tried = _undone(small, exposure, left)
        ground, share, _ = _ground(tried, soft)
        away = _off_segment(tried, GROUND_COLOURS[ground], 0.5, 1.3)
        inked = _inks_found(tried, away > 30, 0.85, 1.2).max()
        scores.append(share + inked / max((away > 30).sum(), 1) if inked > 2 else 0.0)
    if not any(scores):
        return None, picture
    return exposure, _undone(picture, exposure, EXPOSURES[exposure][int(np.argmax(scores))])


def _undone(picture: np.ndarray, exposure: str, left: float) -> np.ndarray:
    return picture / left if exposure == "dark" else 255.0 - (255.0 - picture) / left


def _ground(picture: np.ndarray, soft: float) -> tuple[int, float, float]:
    """Which ground most of the border has, what share of it, and by how much more than another."""
    edge = max(1, 3 * len(picture) // SIDE)
    sides = (picture[:edge], picture[-edge:], picture[edge:-edge, :edge], picture[edge:-edge, -edge:])
    border = np.concatenate([side.reshape(-1, 3) for side in sides])
    away = np.stack([_off_segment(border, colour, *SLOPE) for colour in GROUND_COLOURS])
    near = np.exp(-((away / (20 * soft)) ** 2)).mean(axis=1)
    order = np.argsort(-near)
    return int(order[0]), float(near[order[0]]), float(near[order[0]] - near[order[1]])


def _lit_ground(picture: np.ndarray, colour: np.ndarray, soft: float) -> np.ndarray:
    """The ground's colour at each pixel: a plane of light through the pixels that look like it."""
    amount = picture @ colour / (colour @ colour)
    like = _off_segment(picture, colour, *SLOPE) < 25 * soft
    sides = _sides()
    light = np.ones((SIDE, SIDE))
    for reach in (0.3, 0.15):
        chosen = (like & (np.abs(amount - light) < max(reach, 12 / np.linalg.norm(colour)))).ravel()
        if chosen.sum() < 50:
            break
        plane = sides[chosen]
        light = (sides @ np.linalg.lstsq(plane, amount.ravel()[chosen], rcond=None)[0]).reshape(SIDE, SIDE)
    return np.clip(light, *SLOPE)[..., None] * colour


@lru_cache(maxsize=1)
def _sides() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    return np.stack([np.ones(SIDE * SIDE), x.ravel(), y.ravel()], axis=1)


def _ink(picture: np.ndarray, from_ground: np.ndarray, board: np.ndarray, soft: float) -> tuple[int, np.ndarray, float]:
    """Which ink most of the other pixels have, its colour as found, and how many have it."""
    away = (from_ground > 30 * soft) & ~board
    found = _inks_found(picture, away, 0.6, 1.4)
    ink = int(np.argmax(found))
    best = INK_COLOURS[ink]
    amount = picture @ best / (best @ best)
    like = away & (_off_segment(picture, best, 0.0, 1.5) < 35 * soft) & (amount > 0.75)
    colour = np.median(picture[like], axis=0) if like.sum() >= 20 else best
    return ink, colour, float(found[ink])


def ink_inside(seen: Colours, inside: np.ndarray) -> tuple[str, float, float, float]:
    """The ink that most of these pixels have: its name, how many have it, its margin, and how much of it they have."""
    pixels = seen.pixels[inside & ~seen.alien & ~seen.board]
    found = _inks_found(pixels, np.ones(len(pixels), dtype=bool), 0.6, 1.4)
    best, second = np.argsort(-found)[:2]
    ink = INK_COLOURS[best]
    level = float((pixels @ ink).mean() / (ink @ ink)) if len(pixels) else 0.0
    most = float(found[best])
    return INK_NAMES[best], most, (most - float(found[second])) / max(most, 1e-6), level


def _inks_found(picture: np.ndarray, where: np.ndarray, low: float, high: float) -> np.ndarray:
    """How many of those pixels have each ink, lit by that much."""
    pixels = picture[where]
    amounts = pixels @ INK_COLOURS.T / (INK_COLOURS**2).sum(axis=1)
    away = np.linalg.norm(pixels[:, None] - np.clip(amounts, low, high)[..., None] * INK_COLOURS, axis=2)
    return np.exp(-((away / 28.0) ** 2)).sum(axis=0)


def _high_frequencies(pixels: np.ndarray) -> float:
    grey = pixels.mean(axis=1)
    return float(np.median(np.abs(grey - np.median(grey)))) / 0.6745 if len(grey) else 0.0


def _blur(picture: np.ndarray) -> float:
    """Standard deviation in pixels of the Gaussian that blurred the picture's edges, 0.6 to 1.3 where none did.

    Of an edge so blurred, the sum of its squared slopes is 2 s^2 times the sum of its squared curvatures.
    """
    down, across = np.gradient(picture, axis=(0, 1))
    slopes = (down * down + across * across).sum(axis=2)
    edges = slopes > max(0.05 * slopes.max(), 30.0)  # neither grain nor a slope of light
    if edges.sum() < 10:
        return 0.0
    curves = sum((curve * curve).sum(axis=2) for slope in (down, across) for curve in np.gradient(slope, axis=(0, 1)))
    return float(np.sqrt(slopes[edges].sum() / curves[edges].sum() / 2))


def _off_segment(pixels: np.ndarray, colour: np.ndarray, low: float, high: float) -> np.ndarray:
    """Distance to the nearest of colour x low .. colour x high."""
    amount = (pixels * colour).sum(axis=-1) / (colour * colour).sum(axis=-1)
    away = pixels - np.clip(amount, low, high)[..., None] * colour
    return np.sqrt((away * away).sum(axis=-1))


def _mixture(picture: np.ndarray, ground: np.ndarray, ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far from all mixtures of ground, ink and black each pixel is, and how much of the nearest is not black."""
    gg, ii, gi = (ground * ground).sum(axis=2), ink @ ink, ground @ ink
    gp, ip = (picture * ground).sum(axis=2), picture @ ink
    ridge = gg * ii - gi * gi + 1e-3 * gg * ii
    of_ground = np.clip((gp * ii - ip * gi) / ridge, 0.0, 1.15)
    of_ink = np.clip((ip - of_ground * gi) / ii, 0.0, 1.4)
    of_ground = np.clip((gp - of_ink * gi) / gg, 0.0, 1.15)
    away = picture - of_ground[..., None] * ground - of_ink[..., None] * ink
    return np.sqrt((away * away).sum(axis=2)), of_ground + of_ink


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(picture, (sigma, sigma, 0), mode="nearest")
