"""The only code that writes to a Hub. What is published is first a folder under output_dir/hub; the push is one commit.

Without --push_to_hub the folder is all there is, byte for byte what a push would have sent.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tamis.images import Unscorable, image_bytes
from tamis.retries import HubError, first_line, patiently
from tamis.rows import image_columns

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.cards import Card
    from tamis.run import Run

SHARD_BYTES = 500_000_000
ROW_GROUP_BYTES = 16_000_000  # what a viewer reads to show one page
OURS = ("data/", "pictures/")  # folders a push replaces whole; other files of the repo are left alone
TEXT = (".md", ".html", ".json", ".yaml", ".yml", ".txt", ".csv")


@dataclass(frozen=True)
class Published:
    folder: Path
    repo_id: str
    commit: str | None = None  # None: not pushed
    url: str | None = None


def publish_dataset(
    run: Run,
    repo_id: str,
    configs: dict[str, Dataset],
    card: Card,
    files: dict[str, bytes | str],
    *,
    push: bool,
    private: bool,
) -> Published | None:
    """Writes every config as parquet with card and pictures, and pushes them as one commit. Main process only.

    The card's header gains `configs` (the first one is the default) and `dataset_info`.
    """
    if not run.is_main:
        return None
    with run.stage("publish", rows=sum(len(dataset) for dataset in configs.values())):
        folder = _empty_folder(run, "datasets", repo_id)
        infos = [_write_config(folder, name, dataset) for name, dataset in configs.items()]
        paths = [
            {
                "config_name": name,
                "data_files": [{"split": "train", "path": f"data/{name}/train-*"}],
                **({"default": True} if position == 0 else {}),
            }
            for position, name in enumerate(configs)
        ]
        card = dataclasses.replace(card, metadata=card.metadata | {"configs": paths, "dataset_info": infos})
        return _finish(folder, repo_id, "dataset", card, files, push=push, private=private)


def publish_adapter(
    run: Run,
    repo_id: str,
    adapters: dict[str, Path],
    card: Card,
    files: dict[str, bytes | str],
    *,
    push: bool,
    private: bool,
) -> Published | None:
    """Publishes saved adapters, each in the subfolder its key names ("" is the root), with card and pictures."""
    if not run.is_main:
        return None
    with run.stage("publish"):
        folder = _empty_folder(run, "models", repo_id)
        for subfolder, saved in adapters.items():
            for path in sorted(saved.iterdir()):
                if path.suffix not in (".safetensors", ".json"):
                    continue  # the library's own card, and anything that could be a pickle
                target = folder / subfolder / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        return _finish(folder, repo_id, "model", card, files, push=push, private=private)


def show(run: Run, published: Published, *, load: list[str]) -> None:
    """Where it is, and the lines that load it: what a user copies next."""
    if published.url is None:
        run.say(f"\nnot pushed (--push_to_hub does); the same files: {published.folder}")
        return
    run.say(f"\npublished {published.url} at {published.commit[:12]}\n")
    run.say("from datasets import load_dataset")
    for config in load:
        run.say(f'load_dataset("{published.repo_id}", "{config}", split="train")')


def _empty_folder(run: Run, kind: str, repo_id: str) -> Path:
    if not re.fullmatch(r"[\w][\w.-]*/[\w][\w.-]*", repo_id) or ".." in repo_id:
        raise ValueError(f"hub id: {repo_id!r} is not accepted; expected OWNER/NAME")
    folder = run.output_dir / "hub" / kind / repo_id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _finish(
    folder: Path,
    repo_id: str,
    repo_type: Literal["dataset", "model"],
    card: Card,
    files: dict[str, bytes | str],
    *,
    push: bool,
    private: bool,
) -> Published:
    (folder / "README.md").write_text(card.render(), encoding="utf-8")
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            target.write_text(content, encoding="utf-8")
        else:
            target.write_bytes(content)
    refuse_leaks(folder)
    if not push:
        return Published(folder, repo_id)
    commit = _push(folder, repo_id, repo_type, private)
    _count_again(folder, repo_id, repo_type, commit.oid)
    return Published(folder, repo_id, commit.oid, str(commit.repo_url))


def _write_config(folder: Path, name: str, dataset: Dataset) -> dict[str, Any]:
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


def refuse_leaks(folder: Path) -> None:
    """Stops before anything is published that holds the token or a path of this machine."""
    from huggingface_hub import get_token

    secrets = {
        "the Hub token": get_token(),
        "the home folder": f"{Path.home()}/",
        "the working folder": f"{Path.cwd()}/",
    }
    for path in sorted(folder.rglob("*")):
        if path.suffix not in TEXT:
            continue
        text = path.read_text(encoding="utf-8")
        for what, secret in secrets.items():
            if secret and len(secret) > 2 and secret in text:
                raise ValueError(f"{path.relative_to(folder)} would publish {what}; nothing was pushed")


def _push(folder: Path, repo_id: str, repo_type: str, private: bool) -> Any:
    """One commit with everything; each try starts from a fresh parent (the datasets library's own push does not)."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()

    def push() -> Any:
        api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True)
        return _commit(api, folder, repo_id, repo_type)

    kept = f"the files are whole under {Path(*folder.parts[-4:])}: start again to push them"
    try:
        return patiently(push, repo_id)
    except HubError as error:
        raise HubError(f"{error}; {kept}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise HubError(f"{repo_id}: the Hub refused ({status}): {first_line(error)}; {kept}") from error


def _commit(api: Any, folder: Path, repo_id: str, repo_type: str) -> Any:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    info = api.repo_info(repo_id, repo_type=repo_type)
    new = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    there = [sibling.rfilename for sibling in info.siblings or []]
    # A card that names an older subset must not outlive it, nor its files.
    gone = [name for name in there if name.startswith(OURS) and name not in new]
    return api.create_commit(
        repo_id,
        [CommitOperationAdd(name, str(path)) for name, path in new.items()]
        + [CommitOperationDelete(name) for name in gone],
        commit_message=f"Publish {repo_type}, card and pictures",
        repo_type=repo_type,
        parent_commit=info.sha,
    )


def _count_again(folder: Path, repo_id: str, repo_type: str, commit: str) -> None:
    """Reads the published parquet footers and compares rows: silent loss on the way is what nobody would notice."""
    from huggingface_hub import HfFileSystem

    if repo_type != "dataset":
        return
    files = HfFileSystem()
    for path in sorted(folder.rglob("*.parquet")):
        name = path.relative_to(folder).as_posix()
        with files.open(f"datasets/{repo_id}@{commit}/{name}", "rb") as remote:
            there = pq.read_metadata(remote).num_rows
        here = pq.read_metadata(path).num_rows
        if there != here:
            raise RuntimeError(f"{repo_id}: {name} has {there} rows on the Hub, {here} were sent")
