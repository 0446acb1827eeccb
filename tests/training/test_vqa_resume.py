"""LoRAs of BLIP, killed and started again: the same files to the last byte, on one rank or two."""

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
from small_blip import files, questions, row, settings, wanted

from tamis.run import Run
from tamis.training import vision_cache, vqa_sweep
from tamis.training.adapter import Adapter
from tamis.training.checkpoints import Checkpoint
from tamis.training.vision_cache import VisionCache
from tamis.training.vqa_lora import train_vqa_loras
from tamis.training.vqa_training import VqaTraining

STEPS = 12


def asked() -> dict[str, Any]:
    rows = questions(*range(5))
    return {"t/a": wanted(rows), "t/b": wanted(rows, "r2-query-value-dense"), "c": wanted(questions(1, 7), seed=1)}


def config(base: str | Path, **changed: Any) -> Any:
    """Every step is a checkpoint; dropout, a schedule and a remainder of an epoch have to be gone on with too."""
    given = {"max_train_steps": STEPS, "lr_scheduler": "cosine", "lr_warmup_ratio": 0.3, "lora_dropout": 0.3}
    return settings(base, checkpoint_seconds=0.0, **given | changed)


def start(base: Path, output_dir: Path, ranks: int = 1) -> list[int]:
    """Forks that many ranks of one training; what they return goes to a file each."""
    port = killing.free_port()

    def work(rank: int) -> None:
        killing.be_rank(rank, ranks, port)
        run = Run(output_dir)
        made = train_vqa_loras(asked(), config(base), run)
        told = {name: [str(adapter.path), adapter.train_metrics] for name, adapter in made.items()}
        (output_dir / f"rank-{rank}.json").write_text(json.dumps([told, run.stages[-1]]))
        run.wait()
        run.close()

    return [killing.fork(partial(work, rank)) for rank in range(ranks)]


@pytest.fixture(scope="module")
def whole(blip: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Adapter]:
    """Trained without a break."""
    run = Run(tmp_path_factory.mktemp("whole"))
    made = train_vqa_loras(asked(), config(blip), run)
    run.close()
    return made


def test_a_killed_training_goes_on_to_the_same_bytes_on_two_ranks(
    blip: Path, tmp_path: Path, whole: dict[str, Adapter]
) -> None:
    (killed,) = start(blip, tmp_path)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "training").glob("*.pt")) and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(0.03)
    os.kill(killed, signal.SIGKILL)
    assert killing.wait([killed]) == [-signal.SIGKILL]
    assert list((tmp_path / "training").glob("*.pt")), "not killed in time"

    assert killing.wait(start(blip, tmp_path, ranks=2)) == [0, 0]
    told = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]
    assert told[0][0] == told[1][0]
    assert told[0][1]["ranks"] == 2
    assert 0 < told[0][1]["steps"] < STEPS * 3
    for name, adapter in whole.items():
        path, metrics = told[0][0][name]
        assert files(adapter.path) == files(Path(path))
        assert metrics["loss_last"] == adapter.train_metrics["loss_last"]
    assert list((tmp_path / "training").iterdir()) == []


def _killed() -> None:
    raise Killed


@pytest.mark.parametrize("where", ["pictures", "step", "one adapter written", "all written", "features not removed"])
def test_cut_off_anywhere(
    vqa: Callable[..., Any], blip: Path, monkeypatch: pytest.MonkeyPatch, whole: Any, where: str
) -> None:
    monkeypatch.setattr(vision_cache, "PER_FILE", 3)
    monkeypatch.setattr(vision_cache, "ENCODED_AT_ONCE", 3)
    with monkeypatch.context() as patched:
        if where == "pictures":
            write, done = VisionCache._write, []

            def cut(self: VisionCache, *some: Any) -> bool:
                if done:
                    (self.folder / ".x.features.partial").write_bytes(b"half of it")
                    raise Killed
                done.append(write(self, *some))
                return done[0]

            patched.setattr(VisionCache, "_write", cut)
        elif where == "step":
            take = VqaTraining._take_step
            patched.setattr(VqaTraining, "_take_step", lambda self: _killed() if self.step == 7 else take(self))
        elif where == "one adapter written":
            patched.setattr(Checkpoint, "remove", lambda self: _killed())
        elif where == "all written":
            patched.setattr(vqa_sweep, "_figures", lambda *told: _killed())
        else:
            patched.setattr(vision_cache, "remove", lambda folder: _killed())
        with pytest.raises(Killed):
            vqa(asked(), config(blip), "cut")
    resumed = vqa(asked(), config(blip), "cut")
    if where == "pictures":
        assert vqa.run.stages[-2]["images_encoded"] == 3  # of six: the first three are there
    for name in whole:
        assert files(whole[name].path) == files(resumed[name].path)
    assert list((vqa.run.output_dir / "training").iterdir()) == []


def test_what_is_finished_is_found_again(vqa: Callable[..., Any], blip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = vqa(asked(), config(blip))
    with monkeypatch.context() as patched:
        patched.setattr(vqa_sweep, "load", None)  # no model is loaded for what is there
        again = vqa(asked(), config(blip, vision_cache_gb=0.0))
        assert again == first
        assert vqa.run.stages[-1]["adapters_reused"] == 3
    vqa(asked() | {"d": wanted(questions(9))}, config(blip))
    assert (vqa.run.stages[-1]["adapters"], vqa.run.stages[-1]["adapters_reused"]) == (1, 3)


@pytest.mark.parametrize("what", ["setting", "image", "question", "answer", "seed", "shape", "base"])
def test_what_is_trained_by_something_else_is_not_taken(vqa: Callable[..., Any], blip: Path, what: str) -> None:
    from small_blip import READER, of_cells

    given: dict[str, Any] = {"rows": of_cells([row(1, 0)]), "shape": "r2-query", "seed": 0}
    chosen = config(blip, max_train_steps=1)
    first = vqa({"a": wanted(**given)}, chosen)["a"]
    key = json.loads((first.path / "training.json").read_text())["key"]
    if what == "setting":
        chosen = config(blip, max_train_steps=1, question_prefix="Question: ")
    elif what == "image":
        given["rows"] = of_cells([row(2, 0)])
    elif what in ("question", "answer"):
        given["rows"] = of_cells([row(1, 0, **{what: "what"})])
    elif what == "base":
        chosen = config(READER, max_train_steps=1)
    else:
        given |= {"seed": 1} if what == "seed" else {"shape": "r2-key"}
    again = vqa({"a": wanted(**given)}, chosen)["a"]
    assert json.loads((again.path / "training.json").read_text())["key"] != key
    assert vqa.run.stages[-1]["adapters"] == 1
