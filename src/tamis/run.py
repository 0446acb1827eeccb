"""One run of a recipe: which rank this is, where results go, what was done (the ledger), which trackers are told."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from tamis.config import ConfigError
from tamis.durable import write_file

VERSIONED = ("tamis", "torch", "transformers", "datasets", "huggingface_hub", "accelerate", "peft", "diffusers")


class Run:
    """Made once, after the settings are known good: it starts the process group and takes the output folder."""

    def __init__(
        self,
        output_dir: str | Path,
        *,
        recipe: str = "",
        config: Any = None,
        seed: int = 0,
        report_to: Sequence[str] = (),
    ) -> None:
        import torch
        from accelerate import Accelerator, InitProcessGroupKwargs
        from accelerate.utils import set_seed

        self.output_dir = Path(output_dir)
        self.recipe = recipe
        self.config = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else dict(config or {})
        self.seed = seed
        self.stages: list[dict[str, Any]] = []
        self.nulls: dict[str, dict[str, int]] = {}
        self.sources: list[dict[str, Any]] = []
        self.output_dir.mkdir(parents=True, exist_ok=True)
        # cpu=True is what makes two CPU ranks find each other; see refuse_missing_ranks for what goes wrong without.
        self.accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),
            log_with=list(report_to) or None,
            project_dir=str(self.output_dir),
            # Ranks wait for the slowest at the end of a scoring that takes hours; a dead one is seen at once all the
            # same, by its closed connection and by the launcher. The default of 10 to 30 minutes would end the run.
            kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(days=7))],
        )
        refuse_missing_ranks(self.accelerator.num_processes)
        self._lock = self._take_output_dir() if self.is_main else None
        set_seed(seed)
        if report_to:
            scalars = {key: value for key, value in self.config.items() if isinstance(value, int | float | str | bool)}
            self.accelerator.init_trackers("tamis", config=scalars)

    @property
    def is_main(self) -> bool:
        return self.accelerator.is_main_process

    @property
    def rank(self) -> int:
        return self.accelerator.process_index

    @property
    def ranks(self) -> int:
        return self.accelerator.num_processes

    @property
    def journal_dir(self) -> Path:
        return self.output_dir / "journal"

    def wait(self) -> None:
        self.accelerator.wait_for_everyone()

    def from_main(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0] if self.ranks > 1 else value

    def gathered(self, values: list[Any]) -> list[Any]:
        """The values of all ranks, rank 0's first."""
        from accelerate.utils import gather_object

        return gather_object(values) if self.ranks > 1 else list(values)

    def say(self, *words: Any) -> None:
        if self.is_main:
            print(*words, flush=True)

    @contextlib.contextmanager
    def stage(self, name: str, rows: int | None = None) -> Iterator[dict[str, Any]]:
        """Times what happens inside; the dict it yields goes to the ledger, with whatever is added to it."""
        entry: dict[str, Any] = {"name": name, "seconds": 0.0, "rows": rows}
        started = time.perf_counter()
        try:
            yield entry
        finally:
            entry["seconds"] = round(time.perf_counter() - started, 3)
            if entry["rows"] is not None:
                entry["rows_per_second"] = round(entry["rows"] / max(entry["seconds"], 1e-9), 2)
            entry.setdefault("device", str(self.accelerator.device))
            self.stages.append(entry)

    def cite(self, source: Any, rows: int | None = None) -> None:
        """Puts a repo that was read, model or dataset, on the list that results.json and the cards show."""
        entry = dataclasses.asdict(source) | {"rows": rows}
        if entry not in self.sources:
            self.sources.append(entry)

    def log(self, metrics: dict[str, float], step: int | None = None) -> None:
        if self.accelerator.trackers:
            self.accelerator.log(metrics, step=step)

    def results(self, *, arms: dict[str, Any], comparisons: list[dict[str, Any]]) -> dict[str, Any]:
        """What results.json holds, in the form every recipe shares."""
        return {
            "recipe": self.recipe,
            "config": self.config,
            "sources": [one for one in self.sources if not self._made_here(one)],
            "arms": arms,
            "comparisons": comparisons,
            "nulls": self.nulls,
            "stages": self.stages,
            "versions": versions(),
        }

    def _made_here(self, source: dict[str, Any]) -> bool:
        """A model that the run wrote to measure it is no source of it."""
        folders = (self.output_dir / kind / source["repo_id"] for kind in ("models", "adapters"))
        return source.get("local", False) and any(folder.is_dir() for folder in folders)

    def finish(self, results: dict[str, Any]) -> Path:
        """Writes results.json, tells the trackers, frees the output folder."""
        path = self.output_dir / "results.json"
        if self.is_main:
            write_json(path, results)
        flat = {
            f"{arm}/{metric}": entry["value"]
            for arm, metrics in results["arms"].items()
            for metric, entry in metrics.items()
            if entry["value"] is not None
        }
        self.log(flat)
        self.accelerator.end_training()
        self.close()
        return path

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_output_dir(self) -> Any:
        lock = (self.output_dir / ".lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise ConfigError(
                f"output_dir: {self.output_dir} is in use by another run; wait for it, or give another --output_dir"
            ) from None
        return lock


def refuse_missing_ranks(ranks: int) -> None:
    """Stops a launch that asked for several processes and got fewer.

    `accelerate launch --cpu --num_processes 2` without MPI starts one process and says nothing: it sets MASTER_PORT,
    as for several, but no WORLD_SIZE. torchrun without a matching process group starts copies that overwrite each
    other.
    """
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ
    asked = os.environ.get("WORLD_SIZE")
    if asked is not None and int(asked) != ranks:
        raise RuntimeError(f"{asked} processes were asked for, this one sees {ranks}: they would overwrite each other")
    if asked is None and launched and ranks == 1:
        raise RuntimeError(
            "several processes were asked for and only one was started (accelerate does that on a CPU without MPI); "
            "use accelerate_configs/multi_gpu.yaml with --num_processes 2, which works on a CPU too, or ask for one"
        )


def versions() -> dict[str, str]:
    """What ran: libraries and Python. No host name, no path."""
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def write_json(path: Path, value: Any) -> None:
    """Readable; whole or not at all: a killed run leaves the last good file."""
    write_file(path, (json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n").encode())
