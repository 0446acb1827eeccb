"""Runs: ranks, stages, trackers, results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tamis.run import Run, refuse_missing_ranks, write_json


def _without_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "MASTER_PORT", "ACCELERATE_MIXED_PRECISION"):
        monkeypatch.delenv(name, raising=False)


def test_ranks_are_those_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_launcher(monkeypatch)
    refuse_missing_ranks(1)
    monkeypatch.setenv("MASTER_PORT", "29500")  # somebody's own environment, no launcher
    refuse_missing_ranks(1)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")  # what the launcher leaves when it starts one of several
    with pytest.raises(RuntimeError, match="only one was started"):
        refuse_missing_ranks(1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    refuse_missing_ranks(2)
    with pytest.raises(RuntimeError, match="2 processes were asked for, this one sees 1"):
        refuse_missing_ranks(1)


def test_stages_are_timed_and_an_error_passes_through(run: Run) -> None:
    with run.stage("read", rows=100) as stage:
        stage["note"] = "told"
    assert run.stages[0]["name"] == "read" and run.stages[0]["note"] == "told" and run.stages[0]["seconds"] >= 0
    with pytest.raises(ZeroDivisionError), run.stage("train"):
        1 / 0  # noqa: B018
    assert [stage["name"] for stage in run.stages] == ["read", "train"]


@dataclass
class Settings:
    k: int = 5
    dataset: str = "me/set"


@pytest.mark.parametrize("tracker", ["tensorboard", "trackio"])
def test_trackers_are_told_the_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # obeyed by a trackio that is imported first here
    run = Run(tmp_path / "run", recipe="example", config=Settings(), report_to=[tracker])
    metric = {"value": 0.625, "low": 0.5, "high": 0.75, "n": 8, "nulls": 0}
    results = run.results(arms={"top-5": {"quiz_accuracy": metric}}, comparisons=[])
    path = run.finish(results)
    assert json.loads(path.read_text())["config"] == {"k": 5, "dataset": "me/set"}
    if tracker == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(next((tmp_path / "run" / "tamis").rglob("events*")).parent))
        events.Reload()
        assert events.Scalars("top-5/quiz_accuracy")[0].value == 0.625
    else:
        import sqlite3

        from trackio.utils import TRACKIO_DIR

        database = next(TRACKIO_DIR.rglob("*.db"))
        with sqlite3.connect(database) as connection:
            logged = connection.execute("select metrics from metrics order by id desc").fetchone()
        assert json.loads(logged[0])["top-5/quiz_accuracy"] == 0.625


def test_json_is_whole_or_not_there(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": 1})

    class Unwritable:
        def __str__(self) -> str:
            raise RuntimeError("cannot be told")

    with pytest.raises(RuntimeError):
        write_json(tmp_path / "a.json", {"x": Unwritable()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
