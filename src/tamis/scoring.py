"""attach_scores(): the only place where inference meets a dataset. Rows in = rows out, in order, and every null has
a reason; finished chunks are journalled, so that a killed run goes on where it was, with any number of ranks."""

from __future__ import annotations

import difflib
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow.compute as pc

from tamis import models, sources
from tamis.config import ConfigError
from tamis.engine import Engine, Work
from tamis.journal import ContentMemo, Journal, content_hash, settings, source_code

if TYPE_CHECKING:
    from datasets import Dataset, Features

    from tamis.run import Run


class Scorer(Protocol):
    """A frozen dataclass of settings. Higher is always better: what measures a defect returns its complement."""

    name: str  # begins its columns' names, and NAME_error's
    rows_per_chunk: int  # a chunk is what a kill can cost: 1024; 64 where a row takes seconds

    @property
    def inputs(self) -> tuple[str, ...]: ...  # columns it reads; their content is in the journal's key

    @property
    def columns(self) -> Features: ...  # what it adds, and nothing else

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]: ...  # (repo, revision) of all it loads

    @property
    def bucket_by(self) -> str | None: ...  # input whose length a row's cost grows with; None: all rows cost the same

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        """What the model needs of one row: decoding and preprocessing, on a thread, ahead of the model.

        Raises Unscorable(reason) for a row that cannot be scored; __call__ then never sees it.
        """

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Prepared rows in, one value a row and column out; None, with a reason in NAME_error, where there is none."""


def attach_scores(dataset: Dataset, scorer: Scorer, *, run: Run, batch_size: int = 32) -> Dataset:
    """The dataset with the scorer's columns and NAME_error beside its own; image bytes are not rewritten."""
    from datasets import Dataset, Features, Value, concatenate_datasets
    from datasets.table import MemoryMappedTable

    _refuse_unfit(dataset, scorer, batch_size)
    features = Features({**scorer.columns, f"{scorer.name}_error": Value("string")})
    started = time.perf_counter()
    pinned = _pin_models(scorer, run)
    journal = Journal(run.journal_dir / scorer.name, _identity(scorer, pinned), features)
    if run.is_main:
        journal.sweep()
    run.wait()

    bounds = [
        (start, min(start + scorer.rows_per_chunk, len(dataset)))
        for start in range(0, len(dataset), scorer.rows_per_chunk)
    ]
    inputs = dataset.select_columns(list(scorer.inputs))
    keys = [journal.key(content) for content in _contents(inputs, scorer, bounds, run)]
    work = Work()
    # What is missing is decided once, by rank 0: ranks that look for themselves could see different things.
    missing = run.from_main(_missing(journal, keys, bounds) if run.is_main else None)
    if missing is None:
        work.reused = len(bounds) if run.is_main else 0
    else:
        work.reused = len(bounds) - len(missing) if run.is_main else 0
        with Engine(scorer, features, journal, batch_size, run, work) as engine:
            engine.score(inputs, [(bounds[index], keys[index]) for index in missing[run.rank :: run.ranks]])
        run.wait()  # all chunks are in the journal
        if run.is_main:
            journal.write_together(keys)
        run.wait()

    path = journal.together(keys)
    scores = Dataset(MemoryMappedTable.from_file(str(path)), fingerprint=path.stem[-16:])
    scores = scores.cast(features) if scores.features != features else scores
    _ledger(scores, scorer, run, pinned, work, time.perf_counter() - started)
    return concatenate_datasets([dataset, scores], axis=1)


def refuse_unfit(
    features: Features, scorers: Sequence[Scorer], *, ranked: dict[str, str | None], used: dict[str, str | None]
) -> None:
    """Before any model loads: do all scorers find their columns, and the settings (name: column) theirs?

    ranked: those that are ranked by, and so must be numbers.
    """
    from datasets import Value

    have = dict(features)
    for scorer in scorers:
        _refuse_columns(scorer, list(have))
        have |= {**scorer.columns, f"{scorer.name}_error": Value("string")}
    for setting, column in (ranked | used).items():
        if column is not None and column not in have:
            near = difflib.get_close_matches(column, have, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"{setting}: no column {column!r}; {hint}there will be: {', '.join(have)}")
    for setting, column in ranked.items():
        kind = getattr(have.get(column), "dtype", None)
        if column is not None and not str(kind).startswith(("float", "int", "uint", "bool")):
            raise ConfigError(f"{setting}: column {column!r} is {kind}, not a number: it cannot be ranked by")


def _contents(inputs: Dataset, scorer: Scorer, bounds: list[tuple[int, int]], run: Run) -> list[str]:
    """The content hash of every chunk: remembered, or read now, shared out among the ranks."""
    memo = ContentMemo(run.journal_dir / "contents", inputs, scorer.inputs, scorer.rows_per_chunk)
    known = run.from_main(memo.read() if run.is_main else None)
    if known is not None:
        return known
    mine = [
        (index, content_hash(inputs.select(range(*bounds[index])))) for index in range(run.rank, len(bounds), run.ranks)
    ]
    contents = [content for _, content in sorted(run.gathered(mine))]
    if run.is_main:
        memo.write(contents)
    return contents


def _missing(journal: Journal, keys: list[str], bounds: list[tuple[int, int]]) -> list[int] | None:
    """Chunks to compute; None where even the file of all of them is there."""
    if journal.has_together(keys, bounds[-1][1]):
        return None
    return [index for index, (start, stop) in enumerate(bounds) if not journal.has(keys[index], stop - start)]


def _refuse_columns(scorer: Scorer, columns: Sequence[str]) -> None:
    missing = [column for column in scorer.inputs if column not in columns]
    if missing:
        raise ConfigError(
            f"{scorer.name}: column {', '.join(map(repr, missing))} is not in the dataset; it has: {', '.join(columns)}"
        )
    taken = [column for column in [*scorer.columns, f"{scorer.name}_error"] if column in columns]
    if taken:
        raise ConfigError(
            f"{scorer.name}: column {', '.join(map(repr, taken))} exists already; rename it, or give the scorer "
            "another name (name: ...)"
        )
    if scorer.rows_per_chunk < 1:
        raise ConfigError(f"{scorer.name}: rows_per_chunk: {scorer.rows_per_chunk} is not accepted; expected 1 or more")


def _refuse_unfit(dataset: Dataset, scorer: Scorer, batch_size: int) -> None:
    if len(dataset) == 0:
        raise ConfigError(f"{scorer.name}: the dataset has no rows")
    if batch_size < 1:
        raise ConfigError(f"batch_size: {batch_size} is not accepted; expected 1 or more")
    _refuse_columns(scorer, dataset.column_names)
    if dataset._indices is not None:
        raise ConfigError(
            f"{scorer.name}: score first, then select: attaching columns to a shuffled, filtered or sorted dataset "
            "rewrites every image in it (dataset.flatten_indices() does so knowingly)"
        )


def pin_models(scorers: Sequence[Scorer], run: Run) -> None:
    """Finds the commits of all their models now: what is not there is refused before others have worked for hours."""
    for scorer in scorers:
        _pin_models(scorer, run)


def _pin_models(scorer: Scorer, run: Run) -> list[sources.Source]:
    if run.is_main:
        for repo, revision in scorer.models:
            sources.pin(repo, "model", revision)
    sources.adopt(run.from_main(sources.pins()))
    return [sources.pin(repo, "model", revision) for repo, revision in scorer.models]


def _identity(scorer: Scorer, pinned: list[sources.Source]) -> dict[str, Any]:
    return {
        "settings": settings(scorer),
        "models": [(source.repo_id, source.revision) for source in pinned],
        "dtype": str(models.dtype()) if pinned else None,
        "code": source_code(type(scorer)),
    }


def _ledger(
    scores: Dataset, scorer: Scorer, run: Run, pinned: list[sources.Source], work: Work, seconds: float
) -> None:
    reasons = scores.with_format("arrow")[:]
    for column in scorer.columns:
        null = reasons.filter(pc.is_null(reasons[column]))[f"{scorer.name}_error"]
        run.nulls[column] = dict(Counter(null.to_pylist()))
    everyone = run.gathered([(work.computed, work.reused, work.kernels, work.batch_size)])
    for source in pinned:
        run.cite(source)
    run.stages.append(
        {
            "name": f"score {scorer.name}",
            "seconds": round(seconds, 3),
            "rows": len(scores),
            "rows_per_second": round(len(scores) / max(seconds, 1e-9), 2),
            "device": str(run.accelerator.device),
            "ranks": run.ranks,
            "dtype": str(models.dtype()).removeprefix("torch.") if pinned else None,
            "models": {source.repo_id: source.revision for source in pinned},
            "kernels": sorted(set().union(*(kernels for _, _, kernels, _ in everyone))),
            "chunks_computed": sum(computed for computed, _, _, _ in everyone),
            "chunks_reused": sum(reused for _, reused, _, _ in everyone),
            "batch_size": min((size for *_, size in everyone if size), default=None),
        }
    )
