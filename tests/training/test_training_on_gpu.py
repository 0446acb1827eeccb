"""What differs on a GPU: bfloat16 under autocast, memory, resume. Marked; never needed to pass elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import load_dataset
from safetensors.torch import load_file

from tamis.run import Run
from tamis.training.diffusion_lora import DiffusionLora, train_diffusion_loras

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def trained(folder: Path, **changed: object) -> dict[str, dict[str, torch.Tensor]]:
    rows = load_dataset("tiny/commons", split="train").select(range(6))
    settings = {"base_model": "tiny/sd", "resolution": 64, "max_train_steps": 8, "adapters_at_once": 2} | changed
    subsets = {"a": rows.select(range(3)), "b": rows.select(range(3, 6))}
    run = Run(folder)
    made = train_diffusion_loras(subsets, DiffusionLora(**settings), run, captions=dict.fromkeys(subsets, "a photo"))
    run.close()
    return {name: load_file(one.path / "pytorch_lora_weights.safetensors") for name, one in made.items()}


def test_adapters_are_trained_in_bfloat16_and_kept_in_float32(tmp_path: Path) -> None:
    adapters = trained(tmp_path / "one")
    for weights in adapters.values():
        assert {value.dtype for value in weights.values()} == {torch.float32}
        assert all(value.abs().max() > 0 for value in weights.values())


def test_a_stack_is_close_to_its_adapters_alone(tmp_path: Path) -> None:
    together, alone = trained(tmp_path / "together"), trained(tmp_path / "alone", adapters_at_once=1)
    for name, weights in together.items():
        moved = torch.cat([value.flatten() for key, value in weights.items() if "lora_B" in key])
        other = torch.cat([alone[name][key].flatten() for key in weights if "lora_B" in key])
        assert (moved - other).norm() < 0.1 * other.norm()  # bfloat16: eight bits of every product


def test_pairs_about_pictures_are_learnt_in_bfloat16_as_trl_learns_them(tmp_path: Path) -> None:
    """A prompt shared by its replies and pictures that were seen before: the same path but for bfloat16's rounding."""
    from small_pairs import pairs, settings
    from test_dpo import by_trl

    from tamis.training.chat_lora import as_stored
    from tamis.training.dpo import COLUMNS, train_dpo_loras

    rows, config = as_stored("a", pairs(8), COLUMNS), settings(max_train_steps=4)
    trainer = by_trl(rows, config, tmp_path / "trl")
    theirs = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    run = Run(tmp_path / "run")
    metrics = train_dpo_loras({"a": rows}, config, run)["a"].train_metrics
    run.close()
    assert (run.stages[-1]["features"], run.stages[-1]["prompts"]) == ("kept", "shared by a pair")
    assert run.stages[-1]["dtype"] == "bfloat16"
    assert metrics["loss_first"] == pytest.approx(theirs[0], abs=0.03)
    assert metrics["loss_last"] == pytest.approx(theirs[-1], abs=0.1)
    run = Run(tmp_path / "small")
    made = train_dpo_loras({"a": rows}, settings(max_train_steps=4, load_in_4bit=True), run)["a"]
    run.close()
    assert made.train_metrics["loss_last"] < made.train_metrics["loss_first"]


def test_a_small_adapter_after_a_large_one_has_a_small_peak(tmp_path: Path) -> None:
    from small_blip import questions, save_blip, settings, wanted

    from tamis.training.vqa_lora import train_vqa_loras

    save_blip(tmp_path / "blip")
    asked = {"large": wanted(questions(1), "r256-query-value-dense"), "small": wanted(questions(1), "r2-query")}
    run = Run(tmp_path / "run")
    made = train_vqa_loras(asked, settings(tmp_path / "blip"), run)
    run.close()
    large, small = (made[name].train_metrics["peak_memory_gb"] for name in asked)
    assert small < large
