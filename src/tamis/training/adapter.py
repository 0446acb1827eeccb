"""An adapter: a folder of small weights that were trained on some rows, and what is known of that training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis import sources
from tamis.config import ConfigError
from tamis.durable import sync_folder, write_json

if TYPE_CHECKING:
    from tamis.run import Run
    from tamis.sources import Source

RECORD = "training.json"  # written last: a folder without it is not finished
PEFT = ("adapter_config.json", "adapter_model.safetensors")  # the scale stands in the config


@dataclass(frozen=True)
class Adapter:
    """Weights to load onto a base model. `path` holds them in every format they are wanted in, and training.json."""

    path: Path
    base_model: str
    base_revision: str
    train_metrics: dict[str, float]


def refuse_names(names: Iterable[str]) -> None:
    """Names become folders: none may lead elsewhere, or lie inside another."""
    names = list(names)
    for name in names:
        parts = name.split("/")
        if not all(parts) or any(part.startswith(".") for part in parts) or "\0" in name or "\\" in name:
            raise ConfigError(
                f"adapter {name!r}: not accepted as a name; expected a relative path such as TOPIC/ARM, no part of it "
                "empty or beginning with a dot"
            )
    for name in names:
        inside = next((other for other in names if other.startswith(f"{name}/")), None)
        if inside is not None:
            raise ConfigError(f"adapter {name!r}: {inside!r} would lie inside its folder; rename one of them")


def base_of(base_model: str, revision: str | None, run: Run) -> Source:
    """The model to adapt, at the commit that rank 0 sees, on all ranks; cited."""
    if run.is_main:
        sources.pin(base_model, "model", revision)
    sources.adopt(run.from_main(sources.pins()))
    base = sources.pin(base_model, "model", revision)
    run.cite(base)
    return base


def finished(folder: Path, key: str) -> Adapter | None:
    """The adapter that this key was trained to, if its folder holds that one and holds it whole."""
    record = folder / RECORD
    if not record.is_file():
        return None
    known = json.loads(record.read_text())
    if known["key"] != key or not all((folder / file).is_file() for file in known["files"]):
        return None
    return Adapter(folder, known["base_model"], known["base_revision"], known["train_metrics"])


def unfinish(folder: Path) -> None:
    """Makes room for new weights: from here until record() the folder counts as no adapter."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    sync_folder(folder)


def record(adapter: Adapter, key: str, files: list[str], known: dict[str, Any]) -> None:
    """Declares the folder finished: what was trained, on what, by which settings."""
    write_json(
        adapter.path / RECORD,
        {
            "key": key,
            "base_model": adapter.base_model,
            "base_revision": adapter.base_revision,
            "files": files,
            "train_metrics": adapter.train_metrics,
            **known,
        },
    )


def weights_hash(folder: Path | str | None) -> str:
    """What tells an adapter in PEFT's format from the one that lay in its folder before; of no folder, nothing."""
    if not folder:
        return ""
    if missing := [name for name in PEFT if not (Path(folder) / name).is_file()]:
        raise ConfigError(f"adapter {Path(folder).name!r}: no {', no '.join(missing)} in that folder")
    digest = hashlib.sha256()
    for name in PEFT:
        with (Path(folder) / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
