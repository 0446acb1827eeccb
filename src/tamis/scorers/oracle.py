"""What the oracle of the embedded world reads in a drawn scene, and whether it is what was asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis.images import Unscorable, decode_image
from tamis.texts import text
from tamis.tiny.world import ATTRIBUTES, SIDE

if TYPE_CHECKING:
    from datasets import Features

READ = ("shape", "colour", "pattern", "ground", "defect")
ASKABLE = ("shape", "colour", "pattern", "ground", "size", "place", "style", "defect")
UNSURE = "unsure"
MEASURES = ("accuracy", "all")


@dataclass(frozen=True)
class Oracle:
    """Columns (strings): NAME_shape, NAME_colour, NAME_pattern, NAME_ground, NAME_defect: what a scene of the embedded
    world shows, read from its pixels by matching against the renderer; `unsure` where no value is clear.

    Only with asks or description_column (float32), higher is better:

    - NAME_accuracy: share of the asked attributes that are as asked, 0..1. `unsure` counts as wrong.
    - NAME_all: 1 where all of them are, else 0.

    It knows the embedded world's scenes of one thing and nothing else. Of several things it reads one, the larger
    sooner, or is unsure, and takes the others for clutter. None where the image cannot be read, a value asked for is
    null or empty, or a description names none, or several of one attribute; a value in a column of asks that the world
    does not have is never read, and so wrong.
    """

    name: Annotated[str, "begins the names of its columns"] = "oracle"
    image_column: Annotated[str, "the image; it is looked at as 64 x 64 pixels"] = "image"
    asks: Annotated[dict[str, str], "attribute: the column that holds the value asked for"] = field(
        default_factory=dict
    )
    description_column: Annotated[str | None, "a text whose words are the values asked for, in place of asks"] = None
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    def __post_init__(self) -> None:
        for attribute in self.asks:
            if attribute not in ASKABLE:
                raise ValueError(f"asks: {attribute!r} is not accepted; expected one of {', '.join(ASKABLE)}")
        if self.asks and self.description_column:
            raise ValueError("asks, description_column: give one of them")

    @property
    def inputs(self) -> tuple[str, ...]:
        described = (self.description_column,) if self.description_column else ()
        return tuple(dict.fromkeys((self.image_column, *self.asks.values(), *described)))

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        measures = MEASURES if self.asks or self.description_column else ()
        return Features(
            {f"{self.name}_{attribute}": Value("string") for attribute in READ}
            | {f"{self.name}_{measure}": Value("float32") for measure in measures}
        )

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ()

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        import numpy as np
        from PIL import Image

        from tamis.tiny.oracle import agreement, read

        asked = {
            attribute: text(row[column], longest=100, what=column).strip() for attribute, column in self.asks.items()
        }
        if self.description_column:
            told = text(row[self.description_column], longest=2000, what=self.description_column)
            asked = _described(told)
        image = decode_image(row[self.image_column])
        if image.size != (SIDE, SIDE):
            smaller = min(image.size) > SIDE
            image = image.resize((SIDE, SIDE), Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC)
        reading = read(np.asarray(image))
        prepared = {attribute: getattr(reading, attribute) or UNSURE for attribute in READ}
        if asked:
            share = agreement(reading, asked)
            prepared |= {"accuracy": share, "all": float(share == 1.0)}
        return prepared

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {f"{self.name}_{read}": values for read, values in batch.items()}


def _described(told: str) -> dict[str, str]:
    """The values that a text names: "a red dotted ring on navy ground"."""
    words = set(re.findall(r"[a-z]+", told.lower()))
    found = {name: [value for value in values if value in words] for name, values in ATTRIBUTES.items()}
    if not any(found.values()) or any(len(values) > 1 for values in found.values()):
        raise Unscorable("description: names no attribute, or several values of one")
    return {name: values[0] for name, values in found.items() if values}
