"""The pool: rows of several sources in one form, so many of each as stated, drawn by seed.

A source is read twice, a few rows at a time: once to see which rows can be used, once to write those that are drawn.
Memory is some forty bytes a row; pictures that are files stay where they are, those in a dataset are copied if drawn.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tamis.columns import as_arrow
from tamis.config import ConfigError
from tamis.durable import rename_durably, write_json
from tamis.images import allow_folder
from tamis.journal import source_code
from tamis.label_files import source_of
from tamis.rows import read_rows
from tamis.scale_select.asked import Asked, asked_of
from tamis.scale_select.conversations import MOST_TURNS
from tamis.scale_select.drawing import Rules, draw, write
from tamis.scale_select.json_files import JsonFiles
from tamis.scale_select.source_rows import FileRows, TableRows, pool_features
from tamis.sources import Source, pin, refuse_embedded_elsewhere

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run


@dataclass(frozen=True)
class Pool:
    rows: Dataset  # pool_features() and what was kept
    sources: list[Source]
    refused: dict[str, dict[str, int]]  # by source: rows that none can be drawn of, by reason
    repaired: dict[str, dict[str, int]]  # by source: rows that were drawn and are not as they stood, by what was done
    composition: dict[str, dict[str, int | None]]  # by source: wanted (None: all), taken, there (usable), read

    def said(self) -> list[str]:
        told = [f"{len(self.rows):,} rows of {len(self.composition)} sources"]
        for name, count in self.composition.items():
            told.append(f"{name}: {count['taken']:,} of {count['there']:,} usable rows, {count['read']:,} read")
            told += [f"{name}: {rows:,} not used: {reason}" for reason, rows in self.refused[name].items()]
            told += [f"{name}: {rows:,} repaired: {what}" for what, rows in self.repaired[name].items()]
        return told


def read(
    sources: Sequence[dict[str, Any]],
    *,
    run: Run,
    seed: int = 0,
    limit: int | None = None,
    streaming: bool = False,
    keep_columns: Sequence[str] = (),
    text_only: Literal["keep", "refuse"] = "keep",
    most_turns: int = MOST_TURNS,
) -> Pool:
    """The pool of these sources, entries as `asked.Asked` has them, in their order.

    limit: of each source only the first rows are read, and what is wanted beyond them is not missed. streaming: with a
    limit, only its rows are fetched, of JSON files some megabytes at a time. keep_columns: come along under their
    names, null where a source has none such; those of JSON files become text. text_only: what becomes of conversations
    without a picture. Rows of each source keep their order; row_id is NAME/ID.
    """
    from datasets import concatenate_datasets

    asked = asked_of(sources)
    if strangers := [name for name in keep_columns if name in pool_features()]:
        raise ConfigError(f"keep_columns: {strangers[0]!r} is the name of a column that is made here")
    if most_turns < 2:
        raise ConfigError(f"most_turns: {most_turns!r} is not accepted; expected 2 or more")
    rules = Rules(seed, limit, tuple(keep_columns), text_only, most_turns)
    code = source_code(read)
    with run.stage("read") as stage:
        parts = [_read_one(one, rules, code, run, streaming) for one in asked]
        _refuse_strange_columns(keep_columns, [part for part, _, _ in parts])
        rows = concatenate_datasets([part for part, _, _ in parts])
        rows = rows.select_columns([*pool_features(), *keep_columns])
        stage["rows"] = len(rows)
    told = {one.label: counts for one, (_, counts, _) in zip(asked, parts, strict=True)}
    return Pool(
        rows,
        list(dict.fromkeys(source for _, _, source in parts)),
        {label: counts["refused"] for label, counts in told.items()},
        {label: counts["repaired"] for label, counts in told.items()},
        {
            label: {"wanted": one.rows} | {name: told[label][name] for name in ("taken", "there", "read")}
            for label, one in ((one.label, one) for one in asked)
        },
    )


def _read_one(one: Asked, rules: Rules, code: str, run: Run, streaming: bool) -> tuple[Dataset, dict[str, Any], Source]:
    """Its drawn rows, what was counted, and where they came from. They are kept under output_dir/pool."""
    from datasets import Dataset

    folder = Path(one.image_folder).resolve() if one.image_folder else None
    if folder is not None:
        allow_folder(folder)
    rows: TableRows | FileRows
    if one.place.files:
        rows = _of_files(one, rules, run, streaming)
        source = rows.files.source
    else:
        rows, source = _of_table(one, rules, run, streaming)
    state = run.from_main(_state_of(folder) if run.is_main else None)
    key = [vars(one), source.address, source.revision, vars(rules), state, code]
    digest = hashlib.sha256(json.dumps(key, default=str).encode()).hexdigest()[:32]
    target = run.output_dir / "pool" / f"{digest}.arrow"
    with run.accelerator.main_process_first():  # one rank writes, the others find it
        if not target.exists():
            _write(rows, one, rules, folder, target)
    counts = json.loads(target.with_suffix(".json").read_text())
    if one.place.files:
        run.cite(source, rows=counts["read"])
    drawn = Dataset.from_file(str(target))
    return drawn.remove_columns(_lacking(drawn, rows)), counts, source


def _write(rows: TableRows | FileRows, one: Asked, rules: Rules, folder: Path | None, target: Path) -> None:
    """The name of a whole file is given last: one that a killed run left half-written is never read."""
    target.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw(rows, one, rules, folder)
    partial = target.with_suffix(".partial")
    repaired = write(rows, one, rules, folder, drawn.positions, partial)
    counts = {"taken": len(drawn.positions), "there": drawn.there, "read": drawn.read}
    counts |= {"refused": dict(drawn.refused.most_common()), "repaired": dict(repaired.most_common())}
    write_json(target.with_suffix(".json"), counts)
    rename_durably(partial, target)


def _of_table(one: Asked, rules: Rules, run: Run, streaming: bool) -> tuple[TableRows, Source]:
    place, form = one.place, one.form
    table, source = read_rows(
        place.dataset,
        run=run,
        config_name=place.dataset_config,
        split=place.split,
        revision=one.revision,
        streaming=streaming,
        limit=rules.limit,
        several_images=("images",),
    )
    return TableRows.of(table, form, one.id_column, rules.keep_columns, source.repo_id), source


def _of_files(one: Asked, rules: Rules, run: Run, streaming: bool) -> FileRows:
    place = one.place
    refuse_embedded_elsewhere(place.dataset)
    folder = Path(place.dataset).resolve() if Path(place.dataset).is_dir() else None
    source = run.from_main(_source_of(one, folder) if run.is_main else None)
    partly = streaming and rules.limit is not None
    files = JsonFiles(source, folder, place.files, rules.limit, partly)
    return FileRows(files, place.split, one.id_column, rules.keep_columns)


def _source_of(one: Asked, folder: Path | None) -> Source:
    """Not pin() of a folder, which looks at every file: pictures may be beside the rows."""
    if folder is None:
        return pin(one.place.dataset, "dataset", one.revision)
    if missing := [name for name in one.place.files if not (folder / name).is_file()]:
        raise ConfigError(f"dataset {folder.name!r}: no file {missing[0]!r}")
    return source_of(folder, [folder / name for name in one.place.files], [])


def _state_of(folder: Path | None) -> str | None:
    """When files came to or left it: a picture that was missing is found by the next run."""
    if folder is None:
        return None
    digest = hashlib.sha256()
    for parent in sorted(parent for parent, _, _ in os.walk(folder)):
        digest.update(f"{parent}\0{Path(parent).stat().st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _lacking(drawn: Dataset, rows: TableRows | FileRows) -> list[str]:
    """Columns to be kept that are in no row of JSON files: which they have shows in no other way."""
    if isinstance(rows, TableRows):
        return []
    return [name for name in rows.keep if as_arrow(drawn, name).null_count == len(drawn)]


def _refuse_strange_columns(keep: Sequence[str], parts: list[Dataset]) -> None:
    for name in keep:
        kinds = {str(part.features[name]) for part in parts if name in part.features}
        if not kinds:
            raise ConfigError(f"keep_columns: no source has {name!r}")
        if len(kinds) > 1:
            raise ConfigError(f"keep_columns: {name!r} is {' here and '.join(sorted(kinds))} there")
