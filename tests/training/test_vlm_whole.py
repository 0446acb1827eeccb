"""Language models tuned with all their weights: what moves, what stays, what is written, and how it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import killing
import pytest
import torch
from cut_off import Killed, cut_off_at
from safetensors.torch import load_file
from small_blip import files
from small_diffusion import SAME
from small_pairs import TINY, said
from small_talks import of_cells, parted, settings, talk, talks

from tamis.config import ConfigError
from tamis.images import decode_image
from tamis.run import Run
from tamis.training import trl_training, whole_model
from tamis.training.vlm_tuning import train_vlms

Train = Callable[..., Any]
PAPER = {"lr_warmup_ratio": 0.05, "lr_scheduler": "cosine", "adam_weight_decay": 0.0, "max_grad_norm": 1.0}
PAPER |= {"max_pixels": 50176, "gradient_checkpointing": True}


def whole(**changed: Any) -> Any:
    return settings(**{"tuning": "language_model"} | changed)


@pytest.fixture
def tune(tmp_path: Path) -> Train:
    def call(rows: Any, config: Any, where: str = "run", **more: Any) -> Any:
        run = Run(tmp_path / where)
        call.run = run
        try:
            return train_vlms({"a": rows}, config, run, **more)["a"]
        finally:
            run.close()

    return call


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_the_language_model_and_the_projector_move_and_the_eyes_do_not(
    tune: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    found: list[torch.Tensor] = []
    write = trl_training.written
    image = decode_image(talk(0)["image"])
    asked = AutoProcessor.from_pretrained(TINY)(images=image, text="<|user|><image>\nwhat?", return_tensors="pt")

    def looking(order: Any, trainer: Any, *more: Any) -> Any:
        with torch.no_grad():
            found.append(trainer.model.eval()(**asked).logits)
        return write(order, trainer, *more)

    monkeypatch.setattr(trl_training, "written", looking)
    made = tune(talks(9), whole(**PAPER))
    before, after = weights(TINY), weights(made.path)
    assert before.keys() == after.keys()
    stayed = {name for name in before if torch.equal(before[name], after[name])}
    assert stayed == {name for name in before if "vision_tower" in name}
    assert made.train_metrics["trainable_parameters"] == sum(after[name].numel() for name in after.keys() - stayed)
    assert {weight.dtype for weight in after.values()} == {torch.float32}  # as the base's configuration says
    again = AutoModelForImageTextToText.from_pretrained(made.path)
    with torch.no_grad():
        assert torch.allclose(again(**asked).logits, found[0], atol=1e-5)
    # But for its weights, the folder says what the base says.
    for name in ("config.json", "generation_config.json", "processor_config.json", "chat_template.jinja"):
        told, own = ((folder / name).read_text() for folder in (TINY, made.path))
        assert json.loads(told) == json.loads(own) if name.endswith(".json") else told == own
    assert json.loads((made.path / "training.json").read_text())["files"] == sorted(files(made.path))


def test_a_judge_asks_what_was_tuned(tune: Train) -> None:
    from tamis.judge.asking import Ask
    from tamis.judge.building import build

    rows = talks(1).map(lambda row: {"conversation": said("user", "what is it?") + said("assistant", "a blue ring")})
    made = tune(rows, whole(learning_rate=1e-3, train_batch_size=1, max_train_steps=25))
    judge = build({"model": str(made.path)})
    assert judge.write([Ask("what is it?", (decode_image(rows[0]["image"]),))], max_new_tokens=8) == ["a blue ring"]


def test_activations_that_are_computed_twice_are_the_same(tune: Train) -> None:
    once = tune(talks(8), whole(), "once")
    twice = tune(talks(8), whole(gradient_checkpointing=True), "twice")
    assert once.path != twice.path
    assert parted(weights(TINY), weights(once.path), weights(twice.path)) < SAME


def test_a_base_in_bfloat16_learns_in_float32(tune: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that bfloat16 would round away is kept until the end; what is written is as the base is."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    AutoModelForImageTextToText.from_pretrained(TINY, dtype=torch.bfloat16).save_pretrained(tmp_path / "base")
    AutoProcessor.from_pretrained(TINY).save_pretrained(tmp_path / "base")
    seen: set[tuple[torch.dtype, bool]] = set()
    write = trl_training.written

    def looking(order: Any, trainer: Any, *more: Any) -> Any:
        seen.update((weight.dtype, weight.requires_grad) for weight in trainer.model.parameters())
        return write(order, trainer, *more)

    monkeypatch.setattr(trl_training, "written", looking)
    made = tune(talks(8), whole(base_model=tmp_path / "base", learning_rate=1e-4))
    assert seen == {(torch.float32, True), (torch.float32, False)}
    before, after = weights(tmp_path / "base"), weights(made.path)
    assert before.keys() == after.keys() and {weight.dtype for weight in after.values()} == {torch.bfloat16}
    assert all(torch.equal(before[name], after[name]) for name in before if "vision_tower" in name)
    assert any(not torch.equal(before[name], after[name]) for name in before if "language_model" in name)


def test_cut_off_it_goes_on_to_the_same_bytes(tune: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    config = whole(max_train_steps=4, checkpoint_seconds=0.0)
    unbroken = tune(talks(10), config, "whole")

    with cut_off_at(3, monkeypatch):
        tune(talks(10), config, "cut")
    save = whole_model.save

    def half(*told: Any) -> Any:
        save(*told)
        raise Killed

    with monkeypatch.context() as patched:  # written, and not yet declared
        patched.setattr(whole_model, "save", half)
        with pytest.raises(Killed):
            tune(talks(10), config, "cut")
    (tune.run.output_dir / "adapters" / "a" / "model-00002-of-00002.safetensors").write_bytes(b"of another time")
    resumed = tune(talks(10), config, "cut")
    assert 0 < tune.run.stages[-1]["steps"] <= 2
    assert files(unbroken.path) == files(resumed.path)
    assert list((tune.run.output_dir / "training").iterdir()) == []
    assert tune(talks(10), config, "cut") == resumed and tune.run.stages[-1]["adapters_reused"] == 1
    tune(talks(10), settings(max_train_steps=1), "cut")
    assert tune.run.stages[-1]["adapters_reused"] == 0  # a LoRA is another thing


def test_two_ranks_tune_what_one_tunes(tmp_path: Path) -> None:
    """Steps without any picture among them: the projector is moved by what it learnt before, on both alike."""
    port = killing.free_port()
    rows = of_cells([talk(number, **({"image": None} if number % 8 else {})) for number in range(16)])

    def work(ranks: int, rank: int) -> None:
        killing.be_rank(rank, ranks, port)
        torch.set_num_threads(1)
        run = Run(tmp_path / str(ranks))
        train_vlms({"a": rows}, whole(max_train_steps=4, learning_rate=1e-4), run)
        run.wait()
        run.close()

    assert killing.wait([killing.fork(partial(work, 1, 0))]) == [0]
    assert killing.wait([killing.fork(partial(work, 2, rank)) for rank in range(2)]) == [0, 0]
    one, two = (weights(tmp_path / ranks / "adapters" / "a") for ranks in "12")
    assert parted(weights(TINY), one, two) < SAME


def small_qwen() -> Any:
    """Its projector stands inside its vision tower."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"num_key_value_heads": 1, "head_dim": 16, "vocab_size": 64}
    vision = {"hidden_size": 32, "intermediate_size": 64, "depth": 2, "num_heads": 2, "out_hidden_size": 32}
    vision |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
    with torch.device("meta"):
        return Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=vision))


def test_a_projector_inside_the_eyes_is_learnt() -> None:
    model = small_qwen()
    whole_model.unfreeze(model)
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    learnt = {name for name, _ in model.named_parameters()} - frozen
    assert frozen and all(".visual." in name for name in frozen)
    inside = {name for name in learnt if ".visual." in name}
    assert inside and all(".merger." in name or ".deepstack_merger_list." in name for name in inside)
    assert {name for name in learnt if "language_model" in name} and "lm_head.weight" in learnt


def test_what_cannot_be_tuned_is_refused_by_name(tune: Train, tmp_path: Path) -> None:
    model = small_qwen()
    model.config.quantization_config = {"quant_method": "awq"}
    with pytest.raises(ConfigError, match="base_model: its weights are quantised"):
        whole_model.unfreeze(model)
    model = small_qwen()
    model.model.visual.merger_of_another_name = model.model.visual._modules.pop("merger")
    model.model.visual._modules.pop("deepstack_merger_list")
    with pytest.raises(ConfigError, match="projector of a Qwen3VLForConditionalGeneration could not be told apart"):
        whole_model.unfreeze(model)
    with pytest.raises(ConfigError, match="worn: "):
        tune(talks(2), whole(), worn=tmp_path)
