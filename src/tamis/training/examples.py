"""Rows as training sees them: every distinct image and caption passes through VAE and text encoder once.

Images are told apart by their content: one that several subsets hold is encoded once for all of them, and by one rank.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from tamis.config import ConfigError
from tamis.images import Unscorable, decode_image, image_bytes
from tamis.texts import text
from tamis.training.buckets import Framed, bucket_of, framed
from tamis.training.diffusion_models import DiffusionModel, Latents, Text

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run

LONGEST_CAPTION = 2000
Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Example:
    image: str  # a hash of its file
    caption: str
    worse: str | None = None  # of a pair, the picture that was liked less

    @property
    def images(self) -> tuple[str, ...]:
        return (self.image,) if self.worse is None else (self.image, self.worse)


@dataclass
class Examples:
    """What the adapters learn from, by their names, and what it is to the model."""

    rows: dict[str, list[Example]] = field(default_factory=dict)
    left_out: dict[str, Counter[str]] = field(default_factory=dict)  # rows that cannot be learnt from, by reason
    latents: dict[str, Latents] = field(default_factory=dict)
    texts: dict[str, Text] = field(default_factory=dict)
    of_pairs: bool = False  # each with a worse picture


@dataclass(frozen=True)
class Columns:
    image: str
    caption: str | None
    captions: dict[str, str]  # of whole subsets
    worse: str | None = None  # of pairs: the picture that was liked less, of the same caption

    @property
    def images(self) -> tuple[str, ...]:
        return (self.image,) if self.worse is None else (self.image, self.worse)

    def refuse_unfit(self, subsets: dict[str, Dataset]) -> None:
        for name, rows in subsets.items():
            if len(rows) == 0:
                raise ConfigError(f"adapter {name!r}: its subset has no rows")
            for column in filter(None, (*self.images, self.caption)):
                if column not in rows.column_names:
                    raise ConfigError(
                        f"adapter {name!r}: column {column!r} is not in its subset; it has: "
                        f"{', '.join(rows.column_names)}"
                    )
            if self.caption is None and not self.captions.get(name, "").strip():
                raise ConfigError(f"adapter {name!r}: no caption; give it one, or a column of captions")

    def of(self, rows: Dataset) -> Dataset:
        """These columns, images as they are stored."""
        from datasets import Image

        rows = rows.select_columns([column for column in (*self.images, self.caption) if column is not None])
        for column in self.images:
            if isinstance(rows.features[column], Image):
                rows = rows.cast_column(column, Image(decode=False))
        return rows.with_format(None)


def read(subsets: dict[str, Dataset], columns: Columns) -> tuple[Examples, dict[str, Any]]:
    """Rows with an image and a caption; and where each distinct image is to be found, as (subset, row, column)."""
    examples, where = Examples(of_pairs=columns.worse is not None), {}
    for name, rows in subsets.items():
        examples.rows[name], examples.left_out[name] = [], Counter()
        for position, row in enumerate(columns.of(rows)):
            try:
                caption = text(row[columns.caption], longest=LONGEST_CAPTION) if columns.caption else None
                digests = [hashlib.sha256(image_bytes(row[column])).hexdigest() for column in columns.images]
            except Unscorable as reason:
                examples.left_out[name][str(reason)] += 1
            else:
                for digest, column in zip(digests, columns.images, strict=True):
                    where.setdefault(digest, (name, position, column))
                examples.rows[name].append(Example(digests[0], caption or columns.captions[name], *digests[1:]))
    return examples, where


def encode(
    subsets: dict[str, Dataset], columns: Columns, model: DiffusionModel, run: Run, *, resolution: int, shapes: bool
) -> Examples:
    """The examples with their latents and texts; an image that cannot be read leaves with its rows."""
    examples, where = read(subsets, columns)
    sources = {name: columns.of(rows) for name, rows in subsets.items()}

    def prepared(digest: str) -> tuple[str, Framed | str]:
        name, position, column = where[digest]
        try:
            image = decode_image(sources[name][position][column])
        except Unscorable as reason:
            return digest, str(reason)
        size = bucket_of(*image.size, resolution, model.bucket_step) if shapes else None
        side = max(model.bucket_step, resolution // model.bucket_step * model.bucket_step)
        return digest, framed(image, size or (side, side))

    model.bring(model.pipeline.vae)
    shared = run.gathered(
        [
            (digest, image if isinstance(image, str) else model.latents(image))
            for digest, image in _ahead(prepared, _shown(list(where)[run.rank :: run.ranks], run))
        ]
    )
    model.send_away(model.pipeline.vae)
    unreadable = {digest: found for digest, found in shared if isinstance(found, str)}
    examples.latents = {digest: found for digest, found in shared if not isinstance(found, str)}
    for name, rows in examples.rows.items():
        faults = [_fault(row, unreadable, examples.latents) for row in rows]
        examples.left_out[name].update(fault for fault in faults if fault is not None)
        examples.rows[name] = [row for row, fault in zip(rows, faults, strict=True) if fault is None]
        if not examples.rows[name]:
            reasons = ", ".join(f"{count} x {reason}" for reason, count in examples.left_out[name].items())
            raise ConfigError(f"adapter {name!r}: none of its rows can be learnt from ({reasons})")
    return examples


def _fault(row: Example, unreadable: dict[str, str], latents: dict[str, Latents]) -> str | None:
    """Why a row cannot be learnt from."""
    spoilt = next((unreadable[image] for image in row.images if image in unreadable), None)
    if spoilt is None and len({latents[image].mean.shape for image in row.images}) > 1:
        return "a pair of two shapes"
    return spoilt


@torch.no_grad()
def encode_texts(examples: Examples, model: DiffusionModel, *, more: Iterable[str] = ()) -> None:
    """Every distinct caption, and `more` texts."""
    captions = {row.caption for rows in examples.rows.values() for row in rows}
    for caption in sorted({*captions, *more}):
        examples.texts[caption] = model.text(caption).to("cpu")


def _shown(digests: list[str], run: Run) -> Iterator[str]:
    from tqdm.auto import tqdm

    return tqdm(digests, desc="latents of images", unit="image", disable=not run.is_main)


def _ahead(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """Made on threads, a few ahead of the one that is used, in order."""
    threads = os.cpu_count() or 1
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="images") as pool:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
