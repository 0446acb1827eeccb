"""What a YAML asks of the pool: an entry of `sources`, checked before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tamis.config import ConfigError, from_values
from tamis.scale_select.sources import FORMS, PLACES, Form, Place


@dataclass(frozen=True)
class Asked:
    source: Annotated[str, "how its rows are written down: a name of tamis.scale_select.sources"]
    name: Annotated[str | None, "what the column `source` calls it; null: as its source"] = None
    dataset: Annotated[str | None, "Hub id or folder; null: the source's own, with its files or config and split"] = (
        None
    )
    dataset_config: Annotated[str | None, "which configuration of the dataset"] = None
    split: Annotated[str | None, "which split; null: train, or the source's own"] = None
    revision: Annotated[str | None, "branch, tag or commit; null: the newest"] = None
    files: Annotated[list[str] | None, "JSON files of the dataset to read: a list of rows, or a row a line"] = None
    image_folder: Annotated[
        str | None, "folder that paths in its rows are relative to; links that lead out of it are not followed"
    ] = None
    rows: Annotated[int | None, "so many usable rows are drawn by seed; null: all"] = None
    at_most: Annotated[bool, "take what there is where that is less"] = False
    id_column: Annotated[str | None, "names the rows, each once; null: rows are named by their place"] = None

    def __post_init__(self) -> None:
        if self.source not in FORMS:
            raise ValueError(f"source: {self.source!r} is not known; known: {', '.join(FORMS)}")
        if self.dataset is None and self.source not in PLACES:
            raise ValueError(f"dataset: needed with source {self.source!r}")
        if self.dataset is None and (self.dataset_config or self.files):
            raise ValueError("dataset: needed with dataset_config or files: they are of a dataset of your own")
        if self.rows is not None and self.rows < 1:
            raise ValueError(f"rows: {self.rows!r} is not accepted; expected 1 or more, or null for all")
        if self.files is not None and (not self.files or self.dataset_config):
            raise ValueError("files: expected names of JSON files, and no dataset_config beside them")
        if self.image_folder is not None and not Path(self.image_folder).is_dir():
            raise ValueError(f"image_folder: {self.image_folder!r} is no folder of this machine")

    @property
    def label(self) -> str:
        return self.name or self.source

    @property
    def form(self) -> Form:
        return FORMS[self.source]

    @property
    def place(self) -> Place:
        if self.dataset is not None:
            return Place(self.dataset, self.dataset_config, self.split or "train", tuple(self.files or ()))
        own = PLACES[self.source]
        return Place(own.dataset, own.dataset_config, self.split or own.split, own.files)


def asked_of(sources: Sequence[dict[str, Any]]) -> list[Asked]:
    """The entries of `sources`, or which of them is wrong in what."""
    if not sources:
        raise ConfigError("sources: empty; expected at least one, as {source: ShareGPT4V, rows: 1000}")
    asked = [from_values(Asked, dict(one), where=f"sources[{at}]") for at, one in enumerate(sources)]
    labels = [one.label for one in asked]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise ConfigError(f"sources: {twice[0]!r} is there twice; give one of them another name (name: ...)")
    return asked
