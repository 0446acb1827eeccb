"""What kind of picture it is by arithmetic, without a model: drawn or photographed, its shape, grey or in colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from tamis.images import decode_image

if TYPE_CHECKING:
    from datasets import Features
    from PIL import Image

KINDS = ("look", "shape", "colour")
LONGEST_SIDE = 512  # larger pictures are looked at scaled down whole
# Steps from a pixel to the next, of the channel that changes most, 0..255.
STILL, JUMP = 2, 48
FLAT_STILL = 0.4  # share of all steps: noise has none, grass and gravel up to 0.2
FLAT_JUMPS = 0.12  # share of the steps that are not still: photographs up to 0.1, charts and pages mostly above 0.15
OBLONG = 1.2  # times longer than the other side
TINTED = 16  # distance of the strongest channel from the weakest
COLOUR_SHARE = 0.01


@dataclass(frozen=True)
class PictureKind:
    """Columns (string). It is no score: they tell what selection does to the kinds of picture in a pool.

    - NAME_look: `flat` for charts, documents, drawings: at least 40 % of the steps from a pixel to the next change
      nothing (2 of 255 levels at most), and of the others at least 12 % jump (by more than 48). A picture of one colour
      is flat too. `continuous` for photographs, which are not still, or change mostly by small steps, and so for
      gradients and noise.
    - NAME_shape: `wide` or `tall` where one side is 1.2 times the other or more, else `square`.
    - NAME_colour: `colour` where at least 1 % of the pixels have channels more than 16 apart, else `grey`.

    What it cannot tell: blurred or grainy drawings, noisy scans, paintings and shaded renderings pass for continuous,
    and a chart saved as a poor JPEG can; a photograph of a printed page, of a screen or of something with hard edges
    before an even ground can pass for flat; a figure with a photograph in it is either. Looked at in at most 512 pixels
    a side.
    None where the image cannot be read.
    """

    name: Annotated[str, "begins the names of its columns"] = "picture_kind"
    image_column: Annotated[str, "the image"] = "image"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column,)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_{kind}": Value("string") for kind in KINDS})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ()

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        image = decode_image(row[self.image_column])
        pixels = _small(image)
        return {"look": _look(pixels), "shape": _shape(image), "colour": _colour(pixels)}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {f"{self.name}_{kind}": batch[kind] for kind in KINDS}


def _small(image: Image.Image) -> np.ndarray:
    from PIL import Image

    scale = LONGEST_SIDE / max(image.size)
    if scale < 1:
        # Means of whole boxes: an even ground stays even, where sharper filters ring at every edge.
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BOX)
    return np.asarray(image, dtype=np.int16)


def _look(pixels: np.ndarray) -> str:
    if np.ptp(pixels, axis=(0, 1)).max() <= STILL:
        return "flat"
    steps = np.concatenate([np.abs(np.diff(pixels, axis=axis)).max(axis=-1).ravel() for axis in (0, 1)])
    moving = steps[steps > STILL]
    still = 1 - len(moving) / len(steps)
    jumps = float((moving > JUMP).mean()) if len(moving) else 0.0
    return "flat" if still >= FLAT_STILL and jumps >= FLAT_JUMPS else "continuous"


def _shape(image: Image.Image) -> str:
    if image.width >= OBLONG * image.height:
        return "wide"
    return "tall" if image.height >= OBLONG * image.width else "square"


def _colour(pixels: np.ndarray) -> str:
    return "colour" if (np.ptp(pixels, axis=-1) > TINTED).mean() >= COLOUR_SHARE else "grey"
