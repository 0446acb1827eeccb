"""What a commit does to the files of its parent: additions, deletions, and the merge of two lines of changes."""

from __future__ import annotations

from dataclasses import dataclass

from tamis.localhub.commits import FileEntry, Files
from tamis.localhub.errors import bad_request, conflict, entry_not_found
from tamis.localhub.names import check_path


@dataclass(frozen=True)
class Put:
    path: str
    entry: FileEntry


@dataclass(frozen=True)
class DeleteFile:
    path: str


@dataclass(frozen=True)
class DeleteFolder:
    path: str


Change = Put | DeleteFile | DeleteFolder


def apply_changes(files: Files, changes: list[Change]) -> Files:
    """The files after `changes`, in their order; unchanged content keeps the commit that brought it."""
    result = dict(files)
    for change in changes:
        path = check_path(change.path.rstrip("/") if isinstance(change, DeleteFolder) else change.path)
        match change:
            case Put(entry=entry):
                if not entry.same_content(files.get(path)):
                    result[path] = entry
                else:
                    result[path] = files[path]
            case DeleteFile():
                if path not in result:
                    raise entry_not_found(f"{path}. A file with this name doesn't exist")
                del result[path]
            case DeleteFolder():
                inside = [name for name in result if name.startswith(path + "/")]
                if not inside:
                    raise entry_not_found(f"{path}. A folder with this name doesn't exist")
                for name in inside:
                    del result[name]
    _refuse_file_inside_file(result)
    return result


def _refuse_file_inside_file(files: Files) -> None:
    for path in files:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in files:
                raise bad_request(f"{parent!r} cannot be a file and a folder (because of {path!r})")
            parent = parent.rpartition("/")[0]


def merge(base: Files, ours: Files, theirs: Files) -> Files:
    """`ours` with what `theirs` changed since `base`; refused (409) where both changed one file differently."""
    result = dict(ours)
    for path in conflicting(base, ours, theirs):
        raise conflict(f"{path!r} was changed on both sides since the pull request was opened")
    for path in sorted(base.keys() | theirs.keys()):
        before, after = base.get(path), theirs.get(path)
        if _content(before) == _content(after) or _content(ours.get(path)) == _content(after):
            continue
        if after is None:
            result.pop(path, None)
        else:
            result[path] = FileEntry(after.object, after.size)
    _refuse_file_inside_file(result)
    return result


def conflicting(base: Files, ours: Files, theirs: Files) -> list[str]:
    return [
        path
        for path in sorted(base.keys() | ours.keys() | theirs.keys())
        if len({_content(side.get(path)) for side in (base, ours, theirs)}) == 3
    ]


def _content(entry: FileEntry | None) -> str | None:
    return entry.object if entry else None
