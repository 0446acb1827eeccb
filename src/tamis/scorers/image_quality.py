"""Image quality by arithmetic, without a model: sharpness, noise, exposure, contrast, resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from tamis.images import Unscorable, decode_image

if TYPE_CHECKING:
    from datasets import Features
    from PIL import Image

MEASURES = ("sharpness", "noise", "exposure", "contrast", "resolution")
WORKING_PIXELS = 384 * 384  # larger pictures are measured as they look at this size: 15 ms instead of a second
SMALLEST_SIDE = 16  # the blur filter spans 11 pixels
NOISE_SCALE = 0.05  # standard deviation of noise, of a 0..1 range, at which the score is 1/e: clearly visible grain
WELL_EXPOSED_SPREAD = 0.2
USUAL_SIDE = 512.0  # pixels; half the resolution score


@dataclass(frozen=True)
class ImageQuality:
    """Columns (float32), each 0..1 and higher is better, of the picture's luminance:

    - NAME_sharpness: 1 - the blur measure of Crete et al. 2007 (skimage blur_effect). 0: blurred or blank, 0.6 and up:
      sharp. Grain passes for sharpness, so read it beside noise.
    - NAME_noise: exp(-s / 0.05), s the noise's standard deviation: median of the finest diagonal wavelets / 0.6745
      (Donoho and Johnstone 1994). 1: clean. Fine texture all over the picture (grass, gravel) passes for noise.
    - NAME_exposure: mean over pixels of exp(-(v - 0.5)^2 / (2 x 0.2^2)), the well-exposedness of Mertens et al. 2007:
      1 where every pixel is mid-grey, near 0 for black or burnt-out pictures. White backgrounds lower it.
    - NAME_contrast: twice the standard deviation of the pixels (RMS contrast). 0: flat, 1: half black and half white.
    - NAME_resolution: side / (side + 512), side the root of width x height as stored. 0.5 at 512 x 512.
    - NAME_overall: geometric mean of the five, so that one very bad measure cannot be made up for by the others.

    All but resolution are measured on at most 384 x 384 pixels' worth of the picture, scaled down whole. They rank
    technical defects of like pictures; they do not know what the picture shows, nor whether it is beautiful.
    None where the image cannot be read, is under 16 pixels on a side, or is a strip.
    """

    name: Annotated[str, "begins the names of its columns"] = "image_quality"
    image_column: Annotated[str, "the image"] = "image"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column,)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_{measure}": Value("float32") for measure in (*MEASURES, "overall")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ()

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        image = decode_image(row[self.image_column])
        if min(image.size) < SMALLEST_SIDE:
            raise Unscorable(f"image: under {SMALLEST_SIDE} pixels on a side")
        return _measures(image)

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {f"{self.name}_{measure}": values for measure, values in batch.items()}


def _measures(image: Image.Image) -> dict[str, float]:
    from skimage.measure import blur_effect

    luminance = _luminance(image)
    side = math.sqrt(image.width * image.height)
    measures = {
        "sharpness": 1.0 - float(blur_effect(luminance)),
        "noise": math.exp(-_noise(luminance) / NOISE_SCALE),
        "exposure": float(np.exp(-((luminance - 0.5) ** 2) / (2 * WELL_EXPOSED_SPREAD**2)).mean()),
        "contrast": 2.0 * float(luminance.std()),
        "resolution": side / (side + USUAL_SIDE),
    }
    measures = {measure: min(max(value, 0.0), 1.0) for measure, value in measures.items()}  # rounding: 1 + 1e-16
    measures["overall"] = math.prod(measures.values()) ** (1 / len(MEASURES))
    return measures


def _noise(luminance: np.ndarray) -> float:
    """skimage.restoration.estimate_sigma, but for zeros: it leaves them out, so that a drawing on black is all edges,
    and a blank picture NaN."""
    from pywt import dwtn

    return float(np.median(np.abs(dwtn(luminance, "db2")["dd"]))) / 0.6745


def _luminance(image: Image.Image) -> np.ndarray:
    """0..1, scaled down (never up: that would blur) to the working size."""
    from PIL import Image

    grey = image.convert("L")
    scale = math.sqrt(WORKING_PIXELS / (image.width * image.height))
    if scale < 1:
        grey = grey.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    return np.asarray(grey, dtype=np.float32) / 255.0
