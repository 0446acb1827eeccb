"""Hub dataset or local folder -> rows with a stable row_id, images undecoded, the commit they came from."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis.config import ConfigError
from tamis.durable import rename_durably
from tamis.images import Unscorable, allow_folder, allow_prefix, own_image
from tamis.retries import patiently
from tamis.sources import Source, pin, refuse_embedded_elsewhere

if TYPE_CHECKING:
    from datasets import Dataset, Features, IterableDataset

    from tamis.run import Run


def read_rows(
    path: str,
    *,
    run: Run,
    config_name: str | None = None,
    split: str = "train",
    revision: str | None = None,
    streaming: bool = False,
    limit: int | None = None,
    id_column: str | None = None,
    columns: list[str] | None = None,
    needs: tuple[str | None, ...] = (),
    several_images: tuple[str, ...] = (),
) -> tuple[Dataset, Source]:
    """The rows, each with a row_id, and their source.

    row_id is the column id_column names, else SPLIT-INDEX at the source's commit. Images stay as they are stored.
    streaming reads no more of the Hub than `limit` asks for; what it read is kept under output_dir/rows. columns reads
    only these of a parquet dataset: without an image among them, no pixel is fetched.
    """
    refuse_embedded_elsewhere(path)
    if "[" in split:
        raise ConfigError(f"split: {split!r} is not accepted; expected a split's name (limit takes the first rows)")
    source = run.from_main(pin(path, "dataset", revision) if run.is_main else None)
    _allow_files_of(path, source)
    with run.accelerator.main_process_first():  # one rank downloads, the others find it in the cache
        if streaming:
            dataset = _streamed(path, source, config_name, split, columns, limit, run.output_dir / "rows")
        else:
            dataset = _load(path, source, config_name, split, columns, streaming=False)
    if limit is not None:
        dataset = dataset.select(range(min(limit, len(dataset))))  # contiguous: makes no indices mapping
    if len(dataset) == 0:
        raise ConfigError(f"dataset: {source.repo_id!r}, split {split!r}: no rows")
    refuse_missing_columns(dataset.column_names, needs)
    _refuse_nested_media(dataset.features, but=several_images)
    dataset = with_row_id(undecoded(dataset), split, id_column)
    run.cite(source, rows=len(dataset))
    return dataset, source


@dataclass(frozen=True)
class Extent:
    """How large a split is, told without reading it; None where nothing says so."""

    rows: int | None
    download_bytes: int | None


def extent(path: str, source: Source, *, config_name: str | None, split: str) -> Extent:
    """Rows and bytes of a split, from its card, else from the footers of its parquet files."""
    import fsspec
    import pyarrow.parquet as pq
    from datasets import load_dataset_builder

    path = str(Path(path).resolve()) if source.local else path
    builder = load_dataset_builder(path, config_name, revision=None if source.local else source.revision)
    files = [str(file) for file in (builder.config.data_files or {}).get(split, [])]
    size = 0
    for file in files:
        filesystem, name = fsspec.url_to_fs(file)
        size += filesystem.size(name) or 0
    splits = builder.info.splits or {}
    rows = splits[split].num_examples if split in splits else None
    if not rows and files and all(file.endswith(".parquet") for file in files):
        rows = 0
        for file in files:
            with fsspec.open(file, "rb") as opened:
                rows += pq.read_metadata(opened).num_rows
    elif not rows and source.local and files:
        rows = sum(not file.endswith((".jsonl", ".csv", ".json")) for file in files) or None  # an image folder
    return Extent(rows, 0 if source.local else size or None)


def refuse_missing_columns(columns: list[str], needs: tuple[str | None, ...]) -> None:
    missing = [name for name in needs if name is not None and name not in columns]
    if missing:
        raise ConfigError(f"column {', '.join(map(repr, missing))} is not in the dataset; it has: {', '.join(columns)}")


def refuse_non_images(features: Features, column: str | None) -> None:
    """A column of texts or URLs where images were meant would only give a null for every row."""
    from datasets import Image, Value

    feature = features.get(column)
    binary = isinstance(feature, Value) and "binary" in feature.dtype
    if column is not None and not isinstance(feature, Image) and not binary:
        kind = getattr(feature, "dtype", type(feature).__name__)
        raise ConfigError(
            f"image_column: {column!r} is {kind}, not images (URLs: download them into the dataset first)"
        )


def with_row_id(dataset: Dataset, split: str, id_column: str | None) -> Dataset:
    """The dataset with row_id as its first column, as text; duplicate or null ids are refused by example."""
    from datasets import Value

    if id_column is None and "row_id" in dataset.column_names:
        id_column = "row_id"
    if id_column is None:
        ids = [f"{split}-{index}" for index in range(len(dataset))]
    else:
        refuse_missing_columns(dataset.column_names, (id_column,))
        ids = [None if value is None else str(value) for value in dataset[id_column][:]]
        if None in ids:
            raise ConfigError(f"id_column: {id_column!r} is null in row {ids.index(None)}; every row needs an id")
        twice, often = Counter(ids).most_common(1)[0]
        if often > 1:
            raise ConfigError(f"id_column: {id_column!r} holds {twice!r} more than once; row ids must differ")
        if id_column != "row_id" and "row_id" in dataset.column_names:
            raise ConfigError(f"id_column: {id_column!r}, but there is a column 'row_id' already: name that one")
        if id_column == "row_id":
            others = [column for column in dataset.column_names if column != "row_id"]
            return dataset.cast_column("row_id", Value("string")).select_columns(["row_id", *others])
    # The fingerprint is told, not hashed from the column: hashing 100,000 strings by pickle takes longer than scoring.
    named = f"{dataset._fingerprint}row_id{id_column}{split}"
    fingerprint = hashlib.sha256(named.encode()).hexdigest()[:16]
    with_ids = dataset.add_column("row_id", ids, new_fingerprint=fingerprint)
    return with_ids.select_columns(["row_id", *dataset.column_names])


def undecoded(dataset: Dataset) -> Dataset:
    """Image columns as they are stored: decoding is the scorers', and tolerant."""
    from datasets import Image

    for name in image_columns(dataset.features):
        dataset = dataset.cast_column(name, Image(decode=False))
    return dataset


def image_columns(features: Features) -> list[str]:
    from datasets import Image

    return [name for name, feature in features.items() if isinstance(feature, Image)]


def _load(
    path: str, source: Source, config_name: str | None, split: str, columns: list[str] | None, *, streaming: bool
) -> Any:
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError

    only = {"columns": columns} if columns else {}
    revision = None if source.local else source.revision
    path = str(Path(path).resolve()) if source.local else path
    try:
        return patiently(
            lambda: load_dataset(path, config_name, split=split, streaming=streaming, revision=revision, **only),
            source.repo_id,
        )
    except (ValueError, DatasetNotFoundError) as error:  # unknown split or config: the message lists what there is
        raise ConfigError(f"dataset: {source.repo_id!r}: {error}") from error


def _allow_files_of(path: str, source: Source) -> None:
    """Image folders name their pictures by path: the local folder, or where the Hub's client keeps this repo."""
    import datasets
    from huggingface_hub import constants

    if source.local:
        allow_folder(Path(path))
    else:
        allow_folder(Path(constants.HF_HUB_CACHE) / f"datasets--{source.repo_id.replace('/', '--')}")
        # Archives are unpacked here, under hashes of their addresses.
        allow_folder(Path(datasets.config.HF_DATASETS_CACHE) / "downloads" / "extracted")
        allow_prefix(f"hf://datasets/{source.repo_id}@{source.revision}/")


def _refuse_nested_media(features: Features, but: tuple[str, ...]) -> None:
    """Only an image of its own column is read, scored and published well; anything deeper would publish paths."""
    from datasets import Audio, Image, Video

    def media(feature: Any) -> bool:
        if isinstance(feature, Image | Audio | Video):
            return True
        inside = feature.values() if isinstance(feature, dict) else [getattr(feature, "feature", None)]
        return any(media(part) for part in inside if part is not None)

    for name, feature in features.items():
        if not isinstance(feature, Image) and media(feature) and not (name in but and _is_list_of_images(feature)):
            raise ConfigError(
                f"column {name!r} holds audio, video or several images a row, which is not read here; name the columns "
                f"to read (columns: ...), or give each image a row of its own"
            )


def _is_list_of_images(feature: Any) -> bool:
    from datasets import Image

    return isinstance(getattr(feature, "feature", None), Image)


def _without_decoding(stream: IterableDataset) -> IterableDataset:
    from datasets import Image, List

    for name, feature in (stream.features or {}).items():
        if isinstance(feature, Image):
            stream = stream.cast_column(name, Image(decode=False))
        elif _is_list_of_images(feature):
            stream = stream.cast_column(name, List(Image(decode=False)))
    return stream


def _streamed(
    path: str,
    source: Source,
    config_name: str | None,
    split: str,
    columns: list[str] | None,
    limit: int | None,
    folder: Path,
) -> Dataset:
    """A stream's rows as a file, written once for one commit and limit; images of image folders go inside."""
    from datasets import Dataset
    from datasets.arrow_writer import ArrowWriter

    asked = [source.address, source.revision, config_name, split, columns, limit]
    target = folder / f"{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]}.arrow"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        stream = _without_decoding(_load(path, source, config_name, split, columns, streaming=True))
        features = stream.features
        if features is None:
            features = stream._resolve_features().features
        partial = target.with_suffix(".partial")
        with ArrowWriter(path=str(partial), features=features) as writer:
            for row in _embedded(itertools.islice(stream, limit), image_columns(features)):
                writer.write(row)
            writer.finalize()
        rename_durably(partial, target)
    return Dataset.from_file(str(target))


def _embedded(rows: Iterator[dict[str, Any]], columns: list[str]) -> Iterator[dict[str, Any]]:
    for row in rows:
        for column in columns:
            value = row[column]
            if value is not None and value.get("bytes") is None:
                with contextlib.suppress(Unscorable):  # the row stays as it is: its scorer will say why
                    row[column] = {"bytes": own_image(value), "path": Path(value["path"]).name}
        yield row
