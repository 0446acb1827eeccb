"""Perceptual hashes: pictures that look the same have hashes that differ in few bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis.images import decode_image

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class Duplicates:
    """Column NAME_hash (text): the picture's perceptual hash (phash of ImageHash: signs of its lowest frequencies).

    Hexadecimal, hash_size^2 bits, always the same length. It is no score: it has no order. Of 64 bits, re-encoded,
    resized or slightly recoloured copies differ in 0 to 4, unrelated pictures in about 32; mirrored and cropped copies
    are not recognised. Blank pictures all look the same to it. None where the image cannot be read.

    tamis.near_duplicates turns the column into groups and keeps the best row of each.
    """

    name: Annotated[str, "begins the name of its column"] = "duplicates"
    image_column: Annotated[str, "the image"] = "image"
    hash_size: Annotated[int, "the hash has this number squared bits"] = 8
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    def __post_init__(self) -> None:
        if not 4 <= self.hash_size <= 32 or self.hash_size % 2:
            raise ValueError(f"hash_size: {self.hash_size} is not accepted; expected an even number from 4 to 32")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column,)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_hash": Value("string")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ()

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        from imagehash import phash

        return {"hash": str(phash(decode_image(row[self.image_column]), hash_size=self.hash_size))}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {f"{self.name}_hash": batch["hash"]}
