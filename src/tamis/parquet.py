"""A dataset as the parquet files of one config: images inside, row groups small enough for a viewer's page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tamis.images import Unscorable, own_image
from tamis.rows import image_columns

if TYPE_CHECKING:
    from datasets import Dataset, Features

SHARD_BYTES = 500_000_000
ROW_GROUP_BYTES = 16_000_000  # what a viewer reads to show one page
# Rows taken at once. With images few: how large they are is known only once they are read.
PLAIN_ROWS, IMAGE_ROWS = 1_000, 16


def write_config(folder: Path, name: str, splits: dict[str, Dataset]) -> dict[str, Any]:
    """Writes one config, all splits of the same columns, as shards under data/NAME; returns what the card's
    dataset_info says of it."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.features import Image

    features = next(iter(splits.values())).features.copy()
    for column in image_columns(features):
        features[column] = Image()  # undecoded is how we read; whoever loads it wants pictures
    target = folder / "data" / name
    target.mkdir(parents=True)
    told = SplitDict()
    for split, dataset in splits.items():
        size = _write_split(target, split, dataset, features)
        told.add(SplitInfo(split, num_bytes=size, num_examples=len(dataset)))
    info = DatasetInfo(
        features=features,
        splits=told,
        download_size=sum(path.stat().st_size for path in target.iterdir()),
        dataset_size=sum(split.num_bytes for split in told.values()),
    )
    return {"config_name": name, **info._to_yaml_dict()}


def _write_split(target: Path, split: str, dataset: Dataset, features: Features) -> int:
    """Its shards, and how many bytes they hold."""
    size, shards = 0, []
    shard, written = None, 0
    for group in _row_groups(dataset, features):
        if shard is None or written >= SHARD_BYTES:
            if shard is not None:
                shard.close()
            shards.append(target / f"{len(shards)}.partial")
            shard, written = _writer(shards[-1], features), 0
        shard.write_table(group)
        written += group.nbytes
        size += group.nbytes
    shard.close()
    for index, path in enumerate(shards):  # their number is known only now
        path.rename(target / f"{split}-{index:05d}-of-{len(shards):05d}.parquet")
    return size


def _writer(path: Path, features: Features) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path, features.arrow_schema, compression="zstd", use_content_defined_chunking=True, write_page_index=True
    )


def _row_groups(dataset: Dataset, features: Features) -> Iterator[pa.Table]:
    """The rows in tables of about ROW_GROUP_BYTES; one empty table for an empty dataset."""
    step = IMAGE_ROWS if image_columns(features) else PLAIN_ROWS
    waiting, size = [], 0
    for rows in dataset.with_format("arrow").iter(batch_size=step):
        waiting.append(_self_contained(rows, features))
        size += waiting[-1].nbytes
        if size >= ROW_GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting, size = [], 0
    if waiting or len(dataset) == 0:
        yield pa.concat_tables([features.arrow_schema.empty_table(), *waiting])


def _self_contained(table: pa.Table, features: Features) -> pa.Table:
    """Images stored inside, under their bare file names: no path of this machine is published, nor a file it names."""
    columns = []
    for name in features:
        column = table[name].combine_chunks()
        if name in image_columns(features):
            column = _inside(column)
        columns.append(column.cast(features.arrow_schema.field(name).type))
    return pa.Table.from_arrays(columns, schema=features.arrow_schema)


def _inside(images: pa.StructArray) -> pa.StructArray:
    content, paths = images.field("bytes"), images.field("path")
    outside = pc.and_(pc.is_valid(images), pc.is_null(content))
    if pc.any(outside).as_py():
        content = pa.array([_bytes_or_none(value) for value in images.to_pylist()], type=content.type)
    names = pc.replace_substring_regex(paths, pattern=r"^.*[/\\]", replacement="")
    return pa.StructArray.from_arrays([content, names], names=["bytes", "path"], mask=pc.is_null(content))


def _bytes_or_none(value: dict[str, Any] | None) -> bytes | None:
    if value is None or value["bytes"] is not None:
        return value and value["bytes"]
    try:
        return own_image(value)
    except Unscorable:
        return None  # its row carries the reason in the scorer's error column
