"""Killed and started again: the same adapters to the last bit, and nothing that is finished is trained again."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import killing
import pytest
from cut_off import Killed
from small_diffusion import SD2, captions, equal, of_cells, picture, rows, settings, weights

from tamis.run import Run
from tamis.training import checkpoints, stacks
from tamis.training.adapter import Adapter
from tamis.training.diffusion_lora import train_diffusion_loras
from tamis.training.stack_training import StackTraining

NAMES = ("t/a", "t/b", "c")


def subsets() -> dict[str, Any]:
    return {"t/a": rows(1, 2), "t/b": of_cells([picture(3), picture(4, (90, 30))]), "c": rows(5)}


def config(base: str | Path, **changed: Any) -> Any:
    """Every step is a checkpoint; a schedule and a remainder of an epoch have to be gone on with too."""
    given = {"max_train_steps": 12, "adapters_at_once": 2, "lr_scheduler": "cosine", "lr_warmup_steps": 3}
    return settings(base, checkpoint_seconds=0.0, **given | changed)


def start(base: Path, output_dir: Path, ranks: int = 1) -> list[int]:
    """Forks that many ranks of one training; what they return goes to a file each."""
    port = killing.free_port()

    def work(rank: int) -> None:
        killing.be_rank(rank, ranks, port)
        run = Run(output_dir)
        made = train_diffusion_loras(subsets(), config(base), run, captions=captions(*NAMES))
        told = {name: [str(adapter.path), adapter.train_metrics] for name, adapter in made.items()}
        (output_dir / f"rank-{rank}.json").write_text(json.dumps([told, run.stages[-1]]))
        run.wait()
        run.close()

    return [killing.fork(partial(work, rank)) for rank in range(ranks)]


@pytest.fixture(scope="module")
def whole(sd1: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Adapter]:
    """Trained without a break."""
    run = Run(tmp_path_factory.mktemp("whole"))
    made = train_diffusion_loras(subsets(), config(sd1), run, captions=captions(*NAMES))
    run.close()
    return made


def test_a_killed_training_goes_on_to_the_same_bits_on_two_ranks(
    sd1: Path, tmp_path: Path, whole: dict[str, Adapter]
) -> None:
    (killed,) = start(sd1, tmp_path)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "training").glob("*.pt")) and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(0.03)
    os.kill(killed, signal.SIGKILL)
    assert killing.wait([killed]) == [-signal.SIGKILL]
    assert list((tmp_path / "training").glob("*.pt")), "not killed in time"

    assert killing.wait(start(sd1, tmp_path, ranks=2)) == [0, 0]
    told = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]
    assert told[0][0] == told[1][0]
    assert told[0][1]["ranks"] == 2
    assert 0 < told[0][1]["steps"] < 12 * 3
    for name in NAMES:
        path, metrics = told[0][0][name]
        assert equal(weights(whole[name].path), weights(Path(path)))
        assert metrics["loss"] == whole[name].train_metrics["loss"]
    assert list((tmp_path / "training").iterdir()) == []


@pytest.mark.parametrize("where", ["step", "one adapter written", "all written"])
def test_cut_off_anywhere(
    train: Callable[..., Any], sd1: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whole: Any, where: str
) -> None:
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
    assert all(adapter.train_metrics["steps"] == 12 for adapter in resumed.values())
