"""A dataset as the parquet files of one config: images inside, row groups small enough for a viewer's page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tamis.images import Unscorable, image_bytes
from tamis.rows import image_columns

if TYPE_CHECKING:
    from datasets import Dataset

SHARD_BYTES = 500_000_000
ROW_GROUP_BYTES = 16_000_000  # what a viewer reads to show one page


def write_config(folder: Path, name: str, dataset: Dataset) -> dict[str, Any]:
    """One config as parquet shards; what the card's dataset_info says of it."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.features import Image

    features = dataset.features.copy()
    for column in image_columns(features):
        features[column] = Image()  # undecoded is how we read; whoever loads it wants pictures
    size = max(1, dataset.data.nbytes if dataset._indices is None else _estimated_bytes(dataset))
    shards = max(1, -(-size // SHARD_BYTES))
    rows_per_group = max(1, min(10_000, ROW_GROUP_BYTES * max(1, len(dataset)) // size))
    target = folder / "data" / name
    target.mkdir(parents=True)
    for index in range(shards):
        shard = dataset.shard(shards, index, contiguous=True) if shards > 1 else dataset
        path = target / f"train-{index:05d}-of-{shards:05d}.parquet"
        with pq.ParquetWriter(
            path, features.arrow_schema, compression="zstd", use_content_defined_chunking=True, write_page_index=True
        ) as writer:
            for batch in shard.with_format("arrow").iter(batch_size=rows_per_group):
                writer.write_table(_self_contained(batch, features))
    files = list(target.iterdir())
    splits = SplitDict()
    splits.add(SplitInfo("train", num_bytes=size, num_examples=len(dataset)))
    info = DatasetInfo(
        features=features,
        splits=splits,
        download_size=sum(path.stat().st_size for path in files),
        dataset_size=size,
    )
    return {"config_name": name, **info._to_yaml_dict()}


def _estimated_bytes(dataset: Dataset) -> int:
    """Size of a selection: a sample of its rows, since measuring all would read every image once more."""
    sample = dataset.select(range(0, len(dataset), max(1, len(dataset) // 50)))
    return sample.with_format("arrow")[:].nbytes * len(dataset) // max(1, len(sample))


def _self_contained(table: pa.Table, features: Any) -> pa.Table:
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
    try:
        return None if value is None else image_bytes(value)
    except Unscorable:
        return None  # its row carries the reason in the scorer's error column
