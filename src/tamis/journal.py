"""The journal: finished chunks of scores on disk, keyed by everything that decides their values.

A key is made of the content of the chunk's input columns, the scorer's settings, its models' commits, their dtype and
the source code behind it. Whatever of these changes, the key changes: what is found under a key is never stale. Not in
it are versions of libraries: an upgrade in the middle of a week's scoring keeps what is done (results.json names them).
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tamis.config import COST_ONLY
from tamis.durable import rename_durably
from tamis.images import file_of
from tamis.run import write_json

if TYPE_CHECKING:
    from datasets import Dataset, Features


SMALL_ROWS_HASHED, LARGE_ROWS_HASHED = 256, 8  # rows hashed at once: of texts and numbers, of images
CHECKSUM = 32  # bytes


class Journal:
    """Chunks of one scorer with one identity, in one folder. Each file ends with its own checksum, behind the table."""

    def __init__(self, folder: Path, identity: dict[str, Any], features: Features) -> None:
        self.folder = folder
        self.features = features
        self._identity = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)

    def key(self, content: str) -> str:
        return hashlib.sha256(f"{self._identity}{content}".encode()).hexdigest()

    def path(self, key: str) -> Path:
        return self.folder / f"{key}.arrow"

    def partial(self, key: str) -> Path:
        """Where a chunk is written before it counts. Named for the process: two ranks never share one."""
        return self.folder / f".{key}.{os.getpid()}.partial"

    def commit(self, key: str, written: Path) -> None:
        """Makes a written file the chunk of this key: on the disk first, then visible, whole."""
        _seal(written)
        rename_durably(written, self.path(key))

    def has(self, key: str, rows: int) -> bool:
        return self._whole(self.path(key), rows)

    def together(self, keys: list[str]) -> Path:
        """The file that holds these chunks in order, whether it is there or not."""
        return self.folder / f"all-{hashlib.sha256(''.join(keys).encode()).hexdigest()}.arrow"

    def has_together(self, keys: list[str], rows: int) -> bool:
        return self._whole(self.together(keys), rows)

    def write_together(self, keys: list[str]) -> None:
        """Makes one file of the chunks: a thousand small ones would each keep a map open."""
        path = self.together(keys)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_stream(file, self.features.arrow_schema) as stream:
            for key in keys:
                with pa.memory_map(str(self.path(key))) as chunk:
                    stream.write_table(pa.ipc.open_stream(chunk).read_all().cast(self.features.arrow_schema))
        _seal(partial)
        rename_durably(partial, path)

    def sweep(self) -> None:
        """Removes what killed processes left half-written. Only while no rank is writing."""
        for path in self.folder.glob(".*.partial*"):
            path.unlink(missing_ok=True)
        for path in self.folder.glob("tmp*"):  # datasets.map writes under this name, then moves
            path.unlink(missing_ok=True)

    def _whole(self, path: Path, rows: int) -> bool:
        """Whether the file is there, unharmed, with these columns and that many rows. Disks and mounts do fail."""
        if not path.is_file() or not _is_sealed(path):
            return False
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_stream(file).read_all()
        return table.num_rows == rows and table.column_names == list(self.features)


def _seal(path: Path) -> None:
    """Appends the checksum; readers of the table stop before it."""
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0, os.SEEK_END)
        file.write(digest)


def _is_sealed(path: Path) -> bool:
    size = path.stat().st_size - CHECKSUM
    if size <= 0:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0:
            part = file.read(min(size, 1 << 20))
            digest.update(part)
            size -= len(part)
        return file.read() == digest.digest()


class ContentMemo:
    """Content hashes by the dataset's own fingerprint: a restart knows its keys without reading a row.

    Files beside the table (image folders) are not in the fingerprint of every dataset: their sizes and times are
    looked at each time.
    """

    def __init__(self, folder: Path, dataset: Dataset, columns: tuple[str, ...], rows_per_chunk: int) -> None:
        named = json.dumps([dataset._fingerprint, columns, rows_per_chunk])
        digest = hashlib.sha256(named.encode())
        table = dataset.select_columns(list(columns)).with_format("arrow")[:]
        for path in (path for column in table.columns for path in _paths_of(column)):
            file = file_of(path)
            status = file.stat() if file else None
            digest.update(repr(status and (status.st_size, status.st_mtime_ns, status.st_ctime_ns)).encode())
        self._path = folder / f"{digest.hexdigest()[:32]}.json"

    def read(self) -> list[str] | None:
        return json.loads(self._path.read_text()) if self._path.is_file() else None

    def write(self, contents: list[str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, contents)


class _Digest:
    """A file object that hashes what is written to it."""

    closed = False

    def __init__(self) -> None:
        self.sha = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha.update(data)
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...


def content_hash(chunk: Dataset) -> str:
    """A hash of the values of these rows, wherever and however they are stored: names of columns do not count.

    Images given by path count by what the file holds.
    """
    digest = _Digest()
    table = chunk.with_format("arrow")[:]
    schema = pa.schema([pa.field(str(position), field.type) for position, field in enumerate(table.schema)])
    step = LARGE_ROWS_HASHED if any(map(_may_be_large, schema.types)) else SMALL_ROWS_HASHED
    with pa.ipc.new_stream(pa.PythonFile(digest, mode="w"), schema) as stream:
        for start in range(0, len(chunk), step):
            # Taken, not sliced: a slice is written with what stands beside it in memory. A few rows at a time: a
            # thousand photographs would not fit one Arrow array.
            # And sliced before it is taken: taking from a column in several parts puts all of them together first.
            some = table.slice(start, step)
            taken = some.take(pa.array(range(len(some)))).combine_chunks()
            piece = pa.Table.from_arrays(taken.columns, schema=schema)
            stream.write_table(piece)
    for path in (path for column in table.columns for path in _paths_of(column)):
        digest.write(f"\0{path}\0".encode())
        if file := file_of(path):
            with file.open("rb") as opened:
                digest.write(hashlib.file_digest(opened, "sha256").digest())
    return digest.sha.hexdigest()


def _may_be_large(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _paths_of(column: pa.ChunkedArray) -> Iterator[str]:
    """Paths of images that are stored as files beside the table (image folders), not inside it."""
    kind = column.type
    if not (pa.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}):
        return
    for chunk in column.chunks:  # not combined: images may be more than one array can hold
        outside = pa.compute.is_null(chunk.field("bytes"))
        yield from (path for path in chunk.field("path").filter(outside).to_pylist() if path is not None)


def source_code(thing: type | Callable[..., Any]) -> str:
    """A hash of the code behind a class or function: its module and every tamis module that this imports, bare."""
    digest = hashlib.sha256()
    for name, tree in sorted(_modules(thing.__module__).items()):
        digest.update(f"{name}\0{ast.dump(tree)}".encode())
    return digest.hexdigest()


def _modules(name: str) -> dict[str, ast.Module]:
    found: dict[str, ast.Module] = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name) or _import(name)
        if name in found or module is None:
            continue
        tree = _as_run(ast.parse(inspect.getsource(module)))
        found[name] = tree
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names if alias.name.startswith("tamis.")]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tamis":
                waiting.append(node.module)
                waiting += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def _import(name: str) -> Any:
    import importlib.util

    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # `from tamis.images import decode_image`: the last part is a function
        return None
    return importlib.import_module(name) if spec else None


def _as_run(tree: ast.Module) -> ast.Module:
    """The code without what never runs: docstrings, and imports for type checkers."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        if node.body and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
            node.body = node.body[1:]
        node.body = [
            part
            for part in node.body
            if not (isinstance(part, ast.If) and isinstance(part.test, ast.Name) and part.test.id == "TYPE_CHECKING")
        ]
    return tree


def settings(scorer: Any) -> dict[str, Any]:
    """What decides the values among a scorer's settings, and those of a judge inside it: not what bounds their cost."""
    told = {"class": f"{type(scorer).__module__}.{type(scorer).__qualname__}"}
    for field in dataclasses.fields(scorer):
        if not field.metadata.items() >= COST_ONLY.items():
            value = getattr(scorer, field.name)
            told[field.name] = settings(value) if dataclasses.is_dataclass(value) else value
    return told
