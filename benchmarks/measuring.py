"""What the benchmarks share: where they write, what machine it was, how much memory a process took."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tamis.run import versions, write_json

RESULTS = Path(__file__).parent / "results"


class Spent(NamedTuple):
    """Time on the clock; time of the processor, which other processes of the machine hardly change."""

    wall: float
    processor: float

    @classmethod
    def since(cls, began: Spent) -> Spent:
        now = cls.now()
        return cls(now.wall - began.wall, now.processor - began.processor)

    @classmethod
    def now(cls) -> Spent:
        import torch

        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
        return cls(time.perf_counter(), time.process_time())


def machine() -> dict[str, Any]:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": model.group(1) if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": gpu(),
        "versions": versions(),
    }


def gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def report(name: str, figures: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / f"{name}.json", {"machine": machine(), **figures})
    print(json.dumps(figures, indent=2), flush=True)


def anonymous_bytes() -> int:
    """Memory of this process that no file backs: what a memory-mapped dataset does not count in."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status).group(1)) * 1024


@contextmanager
def peak_anonymous() -> Iterator[list[int]]:
    """Samples anonymous memory a hundred times a second; the list's only item is the peak."""
    peak, stop = [anonymous_bytes()], threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            peak[0] = max(peak[0], anonymous_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
        peak[0] = max(peak[0], anonymous_bytes())


def run_tiny(recipe: str, settings: list[str]) -> dict[str, Any]:
    """A recipe with its settings for the embedded world; its results."""
    folder = Path(__file__).resolve().parent.parent / "recipes"
    spec = importlib.util.spec_from_file_location(recipe, folder / f"{recipe}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[recipe] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module.main(["--config", str(folder / f"{recipe}.tiny.yaml"), *settings])
