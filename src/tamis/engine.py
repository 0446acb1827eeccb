"""The engine of attach_scores: chunks of rows become chunks of scores in the journal.

Rows are prepared on threads while the model works on the rows before them; when memory runs out the micro-batch
halves; the scorer is held to its word before anything is written.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tamis import models
from tamis.images import Unscorable
from tamis.journal import Journal

if TYPE_CHECKING:
    from datasets import Dataset, Features

    from tamis.run import Run
    from tamis.scoring import Scorer

NOT_FINITE = "score is not finite"
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TAKEN_AT_ONCE = 8_000_000  # bytes of rows that a thread turns into Python objects at once


class Work:
    """What this rank did."""

    def __init__(self) -> None:
        self.computed = 0
        self.reused = 0
        self.batch_size: int | None = None
        self.kernels: set[str] = set()


class Engine:
    """Scores chunks: rows are prepared on threads while the model works on the rows before them."""

    def __init__(
        self, scorer: Scorer, features: Features, journal: Journal, batch_size: int, run: Run, work: Work
    ) -> None:
        self.scorer = scorer
        self.features = features
        self.journal = journal
        self.batch_size = batch_size
        self.run = run
        self.work = work
        self.threads = max(1, (os.cpu_count() or 1) // run.ranks)

    def __enter__(self) -> Engine:
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix=self.scorer.name)
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def score(self, inputs: Dataset, chunks: list[tuple[tuple[int, int], str]]) -> None:
        """Brings these chunks, ((start, stop), key), into the journal."""
        from tqdm.auto import tqdm

        nulls = 0
        with (
            _quiet_datasets(),
            tqdm(
                total=sum(stop - start for (start, stop), _ in chunks),
                desc=self.scorer.name + (f" (rank 0 of {self.run.ranks})" if self.run.ranks > 1 else ""),
                unit="row",
                disable=not self.run.is_main,
            ) as bar,
        ):
            for (start, stop), key in chunks:
                nulls += self._score_chunk(inputs.select(range(start, stop)), key)
                self.work.computed += 1
                bar.update(stop - start)
                bar.set_postfix(nulls=nulls, refresh=False)

    def _score_chunk(self, chunk: Dataset, key: str) -> int:
        partial = self.journal.partial(key)
        nulls = 0

        def score(table: pa.Table) -> pa.Table:
            nonlocal nulls
            values = self._values(table)
            nulls = sum(reason is not None for reason in values[f"{self.scorer.name}_error"])
            return pa.table(values, schema=self.features.arrow_schema)

        try:
            chunk.with_format("arrow").map(
                score,
                batched=True,
                batch_size=len(chunk),
                remove_columns=chunk.column_names,
                features=self.features,
                cache_file_name=str(partial),
                load_from_cache_file=False,
                new_fingerprint=key[:32],
            )
            self.journal.commit(key, partial)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise  # the scorer's own: a missing file, a service
            raise OSError(
                error.errno,
                f"{self.scorer.name}: could not write to {self.journal.folder} ({error.strerror}); finished chunks are "
                "kept: free some space and start again",
            ) from error
        self.work.batch_size = self.batch_size
        return nulls

    def _values(self, table: pa.Table) -> dict[str, list[Any]]:
        """One value, or None and a reason, for every row of the table, in its order."""
        rows = table.num_rows
        values: dict[str, list[Any]] = {column: [None] * rows for column in self.features}
        for positions, prepared, refused in self._prepared(table):
            for position, reason in refused:
                values[f"{self.scorer.name}_error"][position] = reason
            if prepared:
                for column, scored in self._call(prepared).items():
                    for position, value in zip(positions, scored, strict=True):
                        values[column][position] = value
        return values

    def _prepared(self, table: pa.Table) -> Iterator[tuple[list[int], list[dict], list[tuple[int, str]]]]:
        """Micro-batches of prepared rows, costly rows first; the next one is prepared while this one is used."""
        order = _costly_first(table, self.scorer.bucket_by)
        waiting: list[list[Future]] = []
        at = 0
        while at < len(order) or waiting:
            while at < len(order) and len(waiting) < 2:
                batch = order[at : at + self.batch_size]
                at += len(batch)
                share = -(-len(batch) // self.threads)
                waiting.append(
                    [
                        self._pool.submit(self._prepare, table, batch[first : first + share])
                        for first in range(0, len(batch), share)
                    ]
                )
            positions, prepared, refused = [], [], []
            for future in waiting.pop(0):
                part = future.result()
                positions += part[0]
                prepared += part[1]
                refused += part[2]
            yield positions, prepared, refused

    def _prepare(self, table: pa.Table, positions: np.ndarray) -> tuple[list[int], list[dict], list[tuple[int, str]]]:
        kept, prepared, refused = [], [], []
        step = max(1, TAKEN_AT_ONCE * table.num_rows // max(1, table.nbytes))
        for first in range(0, len(positions), step):
            some = positions[first : first + step].tolist()
            # Not taken: from a column in several parts take() would put all of them together first, images and all.
            rows = pa.concat_tables([table.slice(position, 1) for position in some])
            for position, row in zip(some, rows.to_pylist(), strict=True):
                try:
                    prepared.append(self.scorer.prepare(row))
                    kept.append(position)
                except Unscorable as reason:
                    refused.append((position, str(reason)))
        return kept, prepared, refused

    def _call(self, prepared: list[dict[str, Any]]) -> dict[str, list[Any]]:
        """The model on these rows; when they do not fit its memory, on halves of them, from then on."""
        from accelerate.utils.memory import should_reduce_batch_size

        batch = {key: [row[key] for row in prepared] for key in prepared[0]}
        try:
            if self.work.kernels or not self.scorer.models:
                scored = self.scorer(batch)
            else:
                with models.KernelWatch() as watch:
                    scored = self.scorer(batch)
                self.work.kernels = watch.names or {"no attention kernel"}
        except RuntimeError as error:
            if len(prepared) == 1 or not should_reduce_batch_size(error):
                raise
        else:
            return self._checked(scored, len(prepared))
        size = len(prepared) // 2
        self.batch_size = min(self.batch_size, size)
        parts = [self._call(prepared[first : first + size]) for first in range(0, len(prepared), size)]
        return {column: [value for part in parts for value in part[column]] for column in parts[0]}

    def _checked(self, scored: dict[str, list[Any]], rows: int) -> dict[str, list[Any]]:
        """Holds the scorer to its word: its columns, one value a row, no null without a reason, no NaN."""
        error = f"{self.scorer.name}_error"
        scored = {column: list(values) for column, values in scored.items()}
        reasons = scored.setdefault(error, [None] * rows)
        if set(scored) != set(self.features) or any(len(values) != rows for values in scored.values()):
            raise RuntimeError(
                f"{self.scorer.name}: {rows} rows gave "
                f"{ {column: len(values) for column, values in scored.items()} }; its columns are {list(self.features)}"
            )
        for column in self.scorer.columns:
            # As they will be stored: 1e39 is a number, and infinite in float32.
            kind = self.features.arrow_schema.field(column).type
            for position in _not_finite(pa.array(scored[column], type=kind)):
                scored[column][position] = None
                reasons[position] = reasons[position] or NOT_FINITE
            for position, value in enumerate(scored[column]):
                if value is None and reasons[position] is None:
                    raise RuntimeError(f"{self.scorer.name}: a null in {column} without a reason in {error}")
        return scored


def _costly_first(table: pa.Table, bucket_by: str | None) -> np.ndarray:
    """Rows of like cost side by side, so that little is padded; the largest first, so that memory fails at once."""
    if bucket_by is None:
        return np.arange(table.num_rows)
    column = table[bucket_by]
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type) or _is_large(column.type)):
        return np.arange(table.num_rows)  # a column of nulls, of numbers: the scorer will say what is wrong with it
    lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy()
    return np.argsort(-lengths.astype(np.int64), kind="stable")


def _is_large(kind: pa.DataType) -> bool:
    return pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)


def _not_finite(values: pa.Array) -> list[int]:
    """Rows whose number, or any number of whose list, is NaN or infinite."""
    if pa.types.is_floating(values.type):
        bad = pc.invert(pc.fill_null(pc.is_finite(values), True))
        return pc.indices_nonzero(bad).to_pylist()
    if pa.types.is_list(values.type) and pa.types.is_floating(values.type.value_type):
        inside = pc.list_parent_indices(values).filter(pc.invert(pc.is_finite(pc.list_flatten(values))))
        return pc.unique(inside).to_pylist()
    return []


@contextmanager
def _quiet_datasets() -> Iterator[None]:
    """One bar for the scorer instead of one for each chunk."""
    import datasets

    shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not shown:
            datasets.enable_progress_bars()
