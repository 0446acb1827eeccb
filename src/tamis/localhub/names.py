"""Names that come from outside (repositories, branches, paths) and what makes one acceptable."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from tamis.localhub.errors import bad_request

REPO_TYPES = ("model", "dataset", "space")
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]{0,94}[A-Za-z0-9_\-])?")
# First segments of the server's own addresses: as a namespace they would shadow pages.
_RESERVED = {"api", "models", "datasets", "spaces", "static", "settings", "lfs"}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, order=True)
class RepoName:
    """A repository's type and NAMESPACE/NAME, checked: its parts are safe as folder names."""

    type: str
    namespace: str
    name: str

    def __post_init__(self) -> None:
        if self.type not in REPO_TYPES:
            raise bad_request(f"Unknown repository type {self.type!r}: one of {', '.join(REPO_TYPES)}")
        for part in (self.namespace, self.name):
            if not _PART.fullmatch(part) or ".." in part or "--" in part or part.lower().endswith(".git"):
                raise bad_request(
                    f"Invalid repository name {part!r}: letters, digits, '-', '_', '.' (at most 96, no '..', no '--', "
                    "not ending in '.git', not starting with '-' or '.')"
                )
        if self.namespace.lower() in _RESERVED:
            raise bad_request(f"The namespace {self.namespace!r} is reserved")

    @classmethod
    def parse(cls, repo_type: str, repo_id: str) -> RepoName:
        namespace, slash, name = repo_id.partition("/")
        if not slash or "/" in name:
            raise bad_request(f"Invalid repository id {repo_id!r}: NAMESPACE/NAME is needed")
        return cls(repo_type, namespace, name)

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def page(self) -> str:
        """The path of its page: models at the root, the other types under their plural."""
        return f"/{self.id}" if self.type == "model" else f"/{self.type}s/{self.id}"


def check_path(path: str) -> str:
    """Returns `path` when it may name a file in a repository, refuses it (400) otherwise.

    Files are stored by their hash and never under this name here, but clients write them under it.
    """
    parts = path.split("/")
    if not path or len(path.encode("utf-8", "surrogatepass")) > 1024:
        raise bad_request("Invalid path in repository: empty or longer than 1024 bytes")
    if _CONTROL.search(path) or "\\" in path or any("\ud800" <= character <= "\udfff" for character in path):
        raise bad_request(f"Invalid path in repository {path!r}: control characters and backslashes are refused")
    for part in parts:
        if part in ("", ".", "..") or part.lower() == ".git":
            raise bad_request(f"Invalid path in repository {path!r}: it must be relative, without '.', '..' or '.git'")
        if len(part.encode()) > 255:
            raise bad_request("Invalid path in repository: a part is longer than 255 bytes")
    return path


def check_ref(name: str) -> str:
    """Returns `name` when it may name a branch or tag: by git's rules, and short enough for one file name."""
    bad = (
        not name
        or name.startswith(("-", "/", "refs/"))
        or name.endswith(("/", ".", ".lock"))
        or any(part in ("", "@") or part.startswith(".") for part in name.split("/"))
        or ".." in name
        or "@{" in name
        or _CONTROL.search(name)
        or any(character in name for character in " ~^:?*[\\")
        or any("\ud800" <= character <= "\udfff" for character in name)
        or is_commit(name)
        or len(quote_ref(name)) > 200
    )
    if bad:
        raise bad_request(f"Invalid branch or tag name {name!r}")
    return name


def is_commit(text: str) -> bool:
    return bool(_COMMIT.fullmatch(text))


def quote_ref(name: str) -> str:
    """A branch or tag name as one file name: '/' becomes %2F, and '..' is no way out of the folder."""
    quoted = quote(name, safe="", errors="surrogatepass")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted


def unquote_ref(file_name: str) -> str:
    return unquote(file_name)
