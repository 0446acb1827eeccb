"""Recipes run whole: on two ranks, killed in their acts, and what they published, held against each other."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import killing
import numpy as np
import torch
from huggingface_hub import ModelCard
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parent.parent
TEXTS = (".md", ".json", ".jinja", ".csv", ".html")


def heard(main: Callable[[list[str]], Any], settings: list[str], folder: Path) -> tuple[Path, dict[str, Any], str]:
    """A run in this process: where, its results, what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        results = main([*settings, "--output_dir", str(folder)])
    return folder, results, said.getvalue()


def nothing_told_of_here(folder: Path, token: str, *, least: int) -> None:
    """No text that a run published, and not its page, names a folder of this machine or the token."""
    texts = [path for path in (folder / "hub").rglob("*") if path.suffix in TEXTS]
    assert len(texts) > least
    for path in [*texts, folder / "report.html"]:
        text = path.read_text()
        assert str(folder) not in text and str(ROOT) not in text and token not in text, path.name


def code_of(text: str, language: str) -> str:
    """The first block of that language on a card."""
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL).group(1)


def loads_by_its_card(repo_id: str, folder: str, prompt: str) -> None:
    """Runs the code on a card of LoRAs: it loads the one in `folder`, which changes pictures, in both formats alike."""
    names: dict[str, Any] = {}
    exec(code_of(ModelCard.load(repo_id).text, "python"), names)
    pipeline = names["pipeline"]

    def draw() -> np.ndarray:
        made = pipeline(prompt, num_inference_steps=2, generator=torch.Generator().manual_seed(0))
        return np.asarray(made.images[0], dtype=np.int16)

    worn = draw()
    pipeline.unload_lora_weights()
    assert np.abs(worn - draw()).max() > 0
    pipeline.load_lora_weights(repo_id, subfolder=folder, weight_name="kohya.safetensors")
    assert np.abs(draw() - worn).max() <= 1  # the same weights in the other format


def published_files(output_dir: Path) -> dict[str, Any]:
    """What each file holds: its bytes; of adapters the weights, since the format writes its metadata in any order.

    How long training took (training.json) is no part of it.
    """
    folder = output_dir / "hub"
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: {key: value.tobytes() for key, value in load_file(path).items()}
        if path.suffix == ".safetensors"
        else path.read_bytes()
        for name, path in files.items()
        if path.name != "training.json"
    }


def other_files(one: Path, two: Path) -> list[str]:
    """Names of published files that two runs do not have alike."""
    first, second = published_files(one), published_files(two)
    assert first
    return [name for name in first | second if first.get(name) != second.get(name)]


def same_but_for_speed(one: Path, two: Path) -> bool:
    """What two runs measured and published; how fast they were stands on the cards and is another each time."""
    others = other_files(one, two)
    timed = ("README.md", "report.html", "training.json")
    arms = [json.loads((folder / "results.json").read_text())["arms"] for folder in (one, two)]
    return arms[0] == arms[1] and all(name.endswith(timed) for name in others)


def on_two_ranks(recipe: str, settings: list[str]) -> str:
    """Launched as a user would; what it said."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
    launch += [str(ROOT / "accelerate_configs" / "multi_gpu.yaml"), "--num_processes", "2"]
    command = [*launch, str(ROOT / "recipes" / f"{recipe}.py"), *settings]
    # As many threads as one process had: sums of floats depend on how they are shared out.
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    got = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert got.returncode == 0, got.stderr[-3000:]
    return got.stdout


def killed_at_each(moments: list[Callable[[], bool]], main: Callable[[list[str]], Any], settings: list[str]) -> None:
    """kill -9 as soon as each of these is so, started again every time, then left to finish."""
    said = Path(settings[settings.index("--output_dir") + 1]).with_suffix(".said")

    def work() -> None:
        killing.be_rank(0, 1, 0)
        # torch renews its pool of threads after a fork: threads that were the first to ask, together, would find none.
        torch.set_num_threads(torch.get_num_threads())
        sys.stdout = sys.stderr = said.open("a")
        main(settings)

    for reached in moments:
        child = killing.fork(work)
        deadline = time.monotonic() + 120
        while not reached() and time.monotonic() < deadline:
            assert os.waitpid(child, os.WNOHANG) == (0, 0), said.read_text()[-2000:]
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        assert killing.wait([child]) == [-signal.SIGKILL], said.read_text()[-2000:]
        assert reached(), said.read_text()[-2000:]
    assert killing.wait([killing.fork(work)]) == [0], said.read_text()[-2000:]
