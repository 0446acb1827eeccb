"""What is killed must stop nobody else."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.utils
import killing
import pytest
import tqdm.auto


@pytest.mark.parametrize("bars", [tqdm.auto.tqdm, datasets.utils.tqdm, huggingface_hub.utils.tqdm])
def test_one_killed_while_it_draws_a_bar_stops_no_other(
    bars: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAMIS_TEST_NOTES", str(tmp_path / "notes"))
    # A lock of this test's alone, shared by forked processes as tqdm's is: what fails here hangs no other test.
    for kind in (tqdm.std.tqdm, bars):
        monkeypatch.setattr(kind, "_lock", multiprocessing.RLock(), raising=False)

    def die() -> None:
        bars.get_lock().acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    assert killing.wait([killing.fork(die)]) == [-signal.SIGKILL]
    assert bars.get_lock().acquire(timeout=1), "the killed one took the lock of all with it"
    bars.get_lock().release()
    assert killing.wait(killing.start(1, tmp_path / "run", tmp_path / "result.parquet"), longest=60) == [0]
