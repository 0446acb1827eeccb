"""Killed and started again: the same adapters to the last bit, and nothing that is finished is trained again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_diffusion import SD2, captions, equal, of_cells, picture, rows, settings, weights

from tamis.training import checkpoints, stacks
from tamis.training.stack_training import StackTraining

HERE = Path(__file__).parent
NAMES = ("t/a", "t/b", "c")


def subsets() -> dict[str, Any]:
    return {"t/a": rows(1, 2), "t/b": of_cells([picture(3), picture(4, (90, 30))]), "c": rows(5)}


def config(base: str | Path, **changed: Any) -> Any:
    """Every step is a checkpoint; a schedule and a remainder of an epoch have to be gone on with too."""
    given = {"max_train_steps": 12, "adapters_at_once": 2, "lr_scheduler": "cosine", "lr_warmup_steps": 3}
    return settings(base, checkpoint_seconds=0.0, **given | changed)


def work(base: str, output_dir: str) -> None:
    """What the child does that is killed."""
    import torch

    from tamis.run import Run
    from tamis.training.diffusion_lora import train_diffusion_loras

    torch.set_num_threads(1)
    run = Run(output_dir)
    train_diffusion_loras(subsets(), config(base), run, captions=captions(*NAMES))
    run.close()


def test_a_killed_training_goes_on_to_the_same_bits(train: Callable[..., Any], sd1: Path, tmp_path: Path) -> None:
    whole = train(subsets(), config(sd1), "whole")
    command = [
        sys.executable,
        "-c",
        f"import test_resume; test_resume.work({str(sd1)!r}, {str(tmp_path / 'killed')!r})",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + 100
        while not list((tmp_path / "killed" / "training").glob("*.pt")):
            assert child.poll() is None, "ended before its first checkpoint"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(0.03)
        child.send_signal(signal.SIGKILL)
    left = list((tmp_path / "killed").rglob("*.pt"))
    assert left, "not killed in time"

    resumed = train(subsets(), config(sd1), "killed")
    assert 0 < train.run.stages[-1]["steps"] < 12 * 3
    for name in NAMES:
        assert equal(weights(whole[name].path), weights(resumed[name].path))
        assert resumed[name].train_metrics["loss"] == whole[name].train_metrics["loss"]
    assert list((tmp_path / "killed" / "training").iterdir()) == []


class Killed(BaseException):
    """Ends a process as a kill does, as far as files are concerned."""


@pytest.mark.parametrize("where", ["step", "one adapter written", "all written"])
def test_cut_off_anywhere(
    train: Callable[..., Any], sd1: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    whole = train(subsets(), config(sd1), "whole")
    with monkeypatch.context() as patched:
        if where == "step":
            take = StackTraining._take_step
            patched.setattr(StackTraining, "_take_step", lambda self: _killed() if self.step == 7 else take(self))
        elif where == "one adapter written":
            write = stacks._written
            patched.setattr(
                stacks, "_written", lambda training, place, *told: _killed() if place else write(training, place, *told)
            )
        else:
            patched.setattr(checkpoints.Checkpoint, "remove", lambda self: _killed())
        with pytest.raises(Killed):
            train(subsets(), config(sd1), "cut")
    resumed = train(subsets(), config(sd1), "cut")
    for name in NAMES:
        assert equal(weights(whole[name].path), weights(resumed[name].path))
    assert list((tmp_path / "cut" / "training").iterdir()) == []


def _killed() -> None:
    raise Killed


def test_what_is_finished_is_found_again(train: Callable[..., Any], sd1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(subsets(), config(sd1))
    with monkeypatch.context() as patched:
        patched.setattr(stacks, "load", None)  # no model is loaded for what is there
        again = train(subsets(), config(sd1, adapters_at_once=1))
        assert again == first
        assert train.run.stages[-1]["adapters_reused"] == 3
    more = subsets() | {"d": rows(9)}
    train(more, config(sd1), captions=captions(*NAMES, "d"))
    assert (train.run.stages[-1]["adapters"], train.run.stages[-1]["adapters_reused"]) == (1, 3)


@pytest.mark.parametrize("what", ["setting", "rows", "caption", "seed", "steps", "base"])
def test_what_is_trained_by_something_else_is_not_taken(
    train: Callable[..., Any], sd1: Path, tmp_path: Path, what: str
) -> None:
    given: dict[str, Any] = {"config": config(sd1, max_train_steps=2), "subset": rows(1), "more": {}}
    first = train({"a": given["subset"]}, given["config"])["a"]
    key = json.loads((first.path / "training.json").read_text())["key"]
    if what == "setting":
        given["config"] = config(sd1, max_train_steps=2, learning_rate=3e-3)
    elif what == "rows":
        given["subset"] = rows(2)
    elif what == "caption":
        given["more"] = {"captions": {"a": "a blue moon"}}
    elif what == "seed":
        given["more"] = {"seed": 1}
    elif what == "steps":
        given["more"] = {"steps": {"a": 3}}
    else:
        given["config"] = config(SD2, max_train_steps=2)
    again = train({"a": given["subset"]}, given["config"], **given["more"])["a"]
    assert json.loads((again.path / "training.json").read_text())["key"] != key
    assert train.run.stages[-1]["adapters"] == 1


def test_a_checkpoint_of_other_settings_is_not_gone_on_with(
    train: Callable[..., Any], sd1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = StackTraining._take_step
    with monkeypatch.context() as patched:
        patched.setattr(StackTraining, "_take_step", lambda self: _killed() if self.step == 7 else take(self))
        with pytest.raises(Killed):
            train(subsets(), config(sd1), "cut")
    resumed = train(subsets(), config(sd1, learning_rate=3e-3), "cut")
    assert train.run.stages[-1]["steps"] == 12 * 3
    whole = train(subsets(), config(sd1, learning_rate=3e-3), "whole")
    assert all(equal(weights(whole[name].path), weights(resumed[name].path)) for name in NAMES)
