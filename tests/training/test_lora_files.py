"""What is saved is what was trained: both files draw the same picture as the weights in training did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_diffusion import SD2, rows, settings

from tamis.training import stacks
from tamis.training.diffusion_models import load
from tamis.training.lora_files import _steady
from tamis.training.samples import draw
from tamis.training.stack_training import StackTraining

CAPTION = "a photo of a red star"
SEED = 5


def as_trained(training: StackTraining, place: int) -> np.ndarray:
    """The picture of one adapter of the stack, from the weights as they are in training."""
    with training.stack.worn(), training.stack.only(place), torch.no_grad():
        texts = [training.model.text(words) for words in (CAPTION, "")]
        return np.asarray(draw(training.model, *texts, seed=SEED, steps=3, guidance=3.0))


def as_loaded(base: Path, folder: Path | None, file: str = "") -> np.ndarray:
    """The same by a pipeline of its own, with the adapter loaded from its file as its user would."""
    model = load(str(base), "")
    if folder is not None:
        model.pipeline.load_lora_weights(folder, weight_name=file)
    with torch.no_grad():
        texts = [model.text(words) for words in (CAPTION, "")]
        return np.asarray(draw(model, *texts, seed=SEED, steps=3, guidance=3.0))


@pytest.mark.parametrize(("base", "text_encoder"), [("sd1", True), ("sd2", False), ("sdxl", False), ("sdxl", True)])
def test_saved_weights_draw_what_the_trained_ones_drew(
    train: Callable[..., Any],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    text_encoder: bool,
) -> None:
    model = SD2 if base == "sd2" else request.getfixturevalue(base)
    drawn: dict[str, np.ndarray] = {}
    write = stacks._written

    def drawing(training: StackTraining, place: int, *told: Any) -> Any:
        drawn[training.names[place]] = as_trained(training, place)
        return write(training, place, *told)

    monkeypatch.setattr(stacks, "_written", drawing)
    config = settings(model, lora_r=4, lora_alpha=7.0, adapters_at_once=2, train_text_encoder=text_encoder)
    made = train({"a": rows(1), "t/b": rows(2)}, config)
    plain = as_loaded(model, None)
    for name, adapter in made.items():
        assert np.abs(drawn[name].astype(int) - plain).max() > 5
        for file in ("pytorch_lora_weights.safetensors", "kohya.safetensors"):
            again = as_loaded(model, adapter.path, file)
            assert np.abs(drawn[name].astype(int) - again).max() <= 1, f"{name} {file}"  # of 255: rounding to a pixel


def test_the_files_say_how_they_were_trained(train: Callable[..., Any], sd1: Path) -> None:
    made = train({"a": rows(1, 2)}, settings(sd1, lora_alpha=7.0))["a"]
    with safe_open(made.path / "pytorch_lora_weights.safetensors", "pt") as file:
        config = json.loads(file.metadata()["lora_adapter_metadata"])
    assert (config["unet.r"], config["unet.lora_alpha"]) == (4, 7.0)
    with safe_open(made.path / "kohya.safetensors", "pt") as file:
        assert file.metadata()["ss_network_alpha"] == "7.0"
        names = set(file.keys())
        assert file.get_tensor("lora_unet_mid_block_attentions_0_proj_in.alpha") == 7.0
    assert {name.rpartition(".")[0].split(".")[0] for name in names} == {name.split(".")[0] for name in names}
    known = json.loads((made.path / "training.json").read_text())
    assert known["settings"]["lora_alpha"] == 7.0
    assert known["train_metrics"]["images"] == 2
    assert known["base_revision"] == made.base_revision
    assert sorted(path.name for path in made.path.iterdir()) == sorted([*known["files"], "training.json"])


def test_a_file_is_the_same_whatever_order_its_head_was_written_in(tmp_path: Path) -> None:
    weight, files = torch.arange(6.0).reshape(2, 3), []
    for number, names in enumerate((("a", "b", "format"), ("format", "b", "a"))):
        path = tmp_path / f"{number}.safetensors"
        save_file({"w": weight}, path, metadata={name: name * 3 for name in names})
        _steady(path)
        assert torch.equal(load_file(path)["w"], weight)
        files.append(path.read_bytes())
    assert files[0] == files[1]
