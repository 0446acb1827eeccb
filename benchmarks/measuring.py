"""What the benchmarks share: where they write, what machine it was, how much memory a process took."""

from __future__ import annotations

import json
import os
import platform
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tamis.run import versions, write_json

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": model.group(1) if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": None,
        "versions": versions(),
    }


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
