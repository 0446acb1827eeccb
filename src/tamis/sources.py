"""Which exact version of a dataset or model was read: repo, commit, licence. Cards cite it, journals key on it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from tamis.config import ConfigError
from tamis.retries import patiently

RepoType = Literal["dataset", "model"]


@dataclass(frozen=True)
class Source:
    repo_id: str  # a local folder shows its name only: a path would tell of the machine
    repo_type: RepoType
    revision: str  # commit hash; for a local folder, a hash of its files
    licence: str | None  # None: the repo states none
    local: bool = False

    @property
    def address(self) -> str:
        return self.repo_id if self.local else f"{'datasets/' if self.repo_type == 'dataset' else ''}{self.repo_id}"


_pins: dict[tuple[str, str, str | None], Source] = {}


def pin(repo_id: str, repo_type: RepoType, revision: str | None = None) -> Source:
    """Resolves a branch to its commit, once a process: what is scored, keyed and cited is then one version."""
    key = (repo_id, repo_type, revision)
    if key not in _pins:
        _pins[key] = _local(Path(repo_id), repo_type) if Path(repo_id).is_dir() else _hub(*key)
    return _pins[key]


def pins() -> dict[tuple[str, str, str | None], Source]:
    """What this process resolved so far; rank 0's are given to the others, so that no two ranks see two versions."""
    return dict(_pins)


def adopt(pins: dict[tuple[str, str, str | None], Source]) -> None:
    _pins.update(pins)


def forget() -> None:
    """The next pin() asks the Hub again: for long-lived processes that publish and read back."""
    _pins.clear()


def is_embedded() -> bool:
    """Whether the Hub of this process is one of this machine."""
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def refuse_embedded_elsewhere(repo_id: str) -> None:
    """`tiny/*` exists on the embedded Hub alone: on the real one that name belongs to somebody else."""
    if repo_id.startswith("tiny/") and not is_embedded():
        raise ConfigError(
            f"{repo_id!r} lives on the embedded Hub only; start this command as: python -m tamis.localhub run -- ..."
        )


def _hub(repo_id: str, repo_type: RepoType, revision: str | None) -> Source:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    if Path(repo_id).is_file():
        raise ConfigError(f"{repo_type} {repo_id!r} is a file; give the folder that holds it")
    if repo_id.startswith(("/", ".", "~")) or repo_id.count("/") > 1:
        raise ConfigError(f"{repo_type} {repo_id!r}: no such folder")
    refuse_embedded_elsewhere(repo_id)
    try:
        info = patiently(lambda: HfApi().repo_info(repo_id, repo_type=repo_type, revision=revision), repo_id)
    except RepositoryNotFoundError as error:
        raise ConfigError(
            f"{repo_type} {repo_id!r}: no such folder here and no such repo on the Hub (or it is private and the token "
            "cannot read it)"
        ) from error
    except HFValidationError as error:
        raise ConfigError(f"{repo_type} {repo_id!r}: no such folder, and no name that a Hub repo could have") from error
    except RevisionNotFoundError as error:
        raise ConfigError(f"{repo_type} {repo_id!r}: no revision {revision!r}") from error
    licence = (info.card_data or {}).get("license")
    if isinstance(licence, list):
        licence = ", ".join(str(item) for item in licence)
    return Source(repo_id, repo_type, info.sha, licence)


def _local(folder: Path, repo_type: RepoType) -> Source:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            # A model is small enough to read whole; a folder of images is told apart by size and time.
            if repo_type == "model":
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            else:
                digest.update(str(path.stat().st_mtime_ns).encode())
    return Source(folder.resolve().name, repo_type, digest.hexdigest()[:40], None, local=True)
