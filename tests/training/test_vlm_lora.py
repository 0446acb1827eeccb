"""train_vlm_loras(): what is learnt, of what, gone on with after a kill, and found again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import killing
import pytest
import torch
from cut_off import cut_off_at
from datasets import Dataset
from small_blip import files, of_cells, questions, row, weights
from small_diffusion import SAME, apart, picture

import tamis.tiny
from tamis.config import ConfigError
from tamis.run import Run
from tamis.training import conversations, trl_training, vlm_training
from tamis.training.chat_lora import as_stored
from tamis.training.vlm_lora import COLUMNS, VlmLora, train_vlm_loras

TINY = str(Path(tamis.tiny.__file__).parent / "weights" / "vlm")
Train = Callable[..., dict[str, Any]]


def settings(**changed: Any) -> VlmLora:
    given = {"base_model": TINY, "lora_r": 2, "train_batch_size": 4, "learning_rate": 1e-2, "lr_warmup_ratio": 0.0}
    return VlmLora(**given | {"max_train_steps": 2, "checkpoint_seconds": 3600.0} | changed)


def told(rows: Dataset) -> Dataset:
    return conversations.answers(rows, question_column="question", answer_column="answer", wording="short")


@pytest.fixture(scope="module")
def ten() -> Dataset:
    return told(questions(1, 2))


@pytest.fixture
def vlm(tmp_path: Path) -> Train:
    def call(subsets: dict[str, Dataset], config: VlmLora, where: str = "run", *, seed: int = 0) -> Any:
        run = Run(tmp_path / where, seed=seed)
        call.run = run
        try:
            return train_vlm_loras(subsets, config, run)
        finally:
            run.close()

    return call


def order(rows: Dataset, config: VlmLora, run: Run) -> trl_training.Order:
    from tamis.sources import pin

    folder = run.output_dir / "adapters" / "a"
    return trl_training.Order("a", as_stored("a", rows, COLUMNS), "k" * 64, folder, pin(TINY, "model"), config, run, 0)


def test_it_is_asked_as_in_evaluation_and_learns_the_answer_alone(ten: Dataset, run: Run) -> None:
    from transformers import AutoProcessor

    from tamis.images import decode_image
    from tamis.judge.asking import Ask
    from tamis.judge.building import build
    from tamis.judge.writing import inputs_of
    from tamis.prompts import render

    made = order(ten, settings(), run)
    processor = AutoProcessor.from_pretrained(TINY)
    rows, _ = vlm_training._learnable(made, processor)
    trainer = vlm_training.trainer(made, rows, processor, 1)
    for number in (0, 2, 4):
        (batch,) = [trainer.data_collator([rows[number]])]
        learnt = batch["labels"][0] != -100
        assert processor.tokenizer.decode(batch["input_ids"][0][learnt]) == f"{ten[number]['answer']}<|end|>"
        judge = build({"model": TINY})
        prompt = render("product_vqa/answer", wording="short", question=ten[number]["question"])
        asked = inputs_of(judge._loaded(), Ask(prompt, (decode_image(ten[number]["image"]),)), 602112)
        assert batch["input_ids"][0][~learnt].tolist() == asked["input_ids"][0].tolist()
        assert torch.equal(batch["pixel_values"], asked["pixel_values"])


def test_the_language_model_moves_and_is_saved_as_it_is(
    vlm: Train, ten: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    ids = torch.arange(5, 25)[None]
    found: list[torch.Tensor] = []
    write = trl_training.written

    def looking(order: Any, trainer: Any, *more: Any) -> Any:
        with torch.no_grad():
            found.append(trainer.model.eval()(input_ids=ids).logits)
        return write(order, trainer, *more)

    before = weights(vlm({"a": ten}, settings(learning_rate=0.0), "still")["a"].path)
    monkeypatch.setattr(trl_training, "written", looking)
    made = vlm({"t/a": ten}, settings(lora_alpha=7.0))["t/a"]
    after = weights(made.path)
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert all("language_model" in name for name in after)
    assert len(after) == 2 * 4 * 7  # A and B, four layers, seven projections
    base = AutoModelForImageTextToText.from_pretrained(TINY)
    with torch.no_grad():
        plain = base(input_ids=ids).logits
        again = PeftModel.from_pretrained(base, made.path).eval()(input_ids=ids).logits
    assert torch.allclose(again, found[0], atol=1e-5)
    assert (again - plain).abs().max() > 0.1
    config = json.loads((made.path / "adapter_config.json").read_text())
    assert (config["lora_alpha"], config["base_model_name_or_path"]) == (7.0, "vlm")
    assert made.train_metrics["trainable_parameters"] == sum(weight.numel() for weight in after.values())
    assert (made.train_metrics["steps"], made.train_metrics["rows"]) == (2, 10)


def test_cut_off_it_goes_on_to_the_same_bytes_and_is_found_again(
    vlm: Train, ten: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(max_train_steps=5, checkpoint_seconds=0.0, lora_dropout=0.3)
    whole = vlm({"a": ten}, config, "whole")["a"]

    def half(clock: Any) -> None:
        (vlm.run.output_dir / "training" / f"vlm-{clock.order.key[:32]}" / "checkpoint-9").mkdir()  # not whole

    with cut_off_at(4, monkeypatch, half):
        vlm({"a": ten}, config, "cut")
    resumed = vlm({"a": ten}, config, "cut")["a"]
    assert vlm.run.stages[-1]["steps"] == 2
    assert files(whole.path) == files(resumed.path)
    assert whole.train_metrics["loss_first"] == resumed.train_metrics["loss_first"]
    assert list((vlm.run.output_dir / "training").iterdir()) == []
    with monkeypatch.context() as patched:
        patched.setattr(vlm_training, "train", None)
        assert vlm({"a": ten}, config, "cut")["a"] == resumed
        assert vlm.run.stages[-1]["adapters_reused"] == 1
        for other in ({"a": ten.select(range(9))}, {"a": ten}):
            with pytest.raises(TypeError):  # of other rows, by other settings: not found
                vlm(other, config if len(other["a"]) == 9 else settings(lora_alpha=9.0), "cut")


def test_where_the_base_lies_is_neither_in_key_nor_in_record(vlm: Train, ten: Dataset, tmp_path: Path) -> None:
    moved = tmp_path / "secret-place" / Path(TINY).name
    shutil.copytree(TINY, moved)
    made = vlm({"a": ten}, settings(base_model=str(moved), max_train_steps=1))["a"]
    assert "secret-place" not in (made.path / "training.json").read_text()
    assert vlm({"a": ten}, settings(max_train_steps=1))["a"] == made
    assert vlm.run.stages[-1]["adapters_reused"] == 1


def test_two_ranks_train_what_one_trains(tmp_path: Path, ten: Dataset) -> None:
    port = killing.free_port()

    def work(ranks: int, rank: int) -> None:
        killing.be_rank(rank, ranks, port)
        torch.set_num_threads(1)
        run = Run(tmp_path / str(ranks))
        train_vlm_loras({"a": ten}, settings(lora_dropout=0.0), run)
        run.wait()
        run.close()

    assert killing.wait([killing.fork(partial(work, 1, 0))]) == [0]
    assert killing.wait([killing.fork(partial(work, 2, rank)) for rank in range(2)]) == [0, 0]
    one, two = (weights(tmp_path / ranks / "adapters" / "a") for ranks in "12")
    assert apart(one, two) < SAME


def test_rows_that_cannot_be_learnt_from_are_left_out(vlm: Train, capsys: Any) -> None:
    broken = {"bytes": picture(1)["bytes"][:60], "path": None}
    cells = [row(1, 0), row(1, 1, answer=None), row(1, 2, question="what <|end|> is it"), row(2, 0, image=broken)]
    made = vlm({"a": told(of_cells(cells))}, settings(max_train_steps=1))["a"]
    reasons = {"prompt: empty": 1, "prompt: a control token": 1, "image: truncated or corrupt": 1}
    assert json.loads((made.path / "training.json").read_text())["left_out"] == reasons
    assert (made.train_metrics["rows"], made.train_metrics["rows_left_out"]) == (1, 3)
    assert "a: 1 of 4 rows left out: prompt: a control token" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="'b': none of its rows .*1 x prompt: empty"):
        vlm({"b": told(of_cells(cells[1:2]))}, settings())


@pytest.mark.parametrize(
    ("batch", "fit", "taken"),
    [
        (4, 2, {2}),
        (6, 1, {1}),  # in six parts: four would leave two rows out
        (5, 2, {1}),
    ],
)
def test_a_step_that_does_not_fit_the_memory_is_taken_in_parts(
    vlm: Train, ten: Dataset, monkeypatch: pytest.MonkeyPatch, batch: int, fit: int, taken: set[int]
) -> None:
    from trl import SFTTrainer

    config = settings(lora_dropout=0.0, train_batch_size=batch, max_train_steps=1)
    whole = vlm({"a": ten}, config, "whole")["a"]
    step, rows = SFTTrainer.training_step, []

    def little(self: Any, model: Any, inputs: Any, *more: Any) -> Any:
        if len(inputs["input_ids"]) > fit:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        rows.append(len(inputs["input_ids"]))
        return step(self, model, inputs, *more)

    monkeypatch.setattr(SFTTrainer, "training_step", little)
    parted = vlm({"a": ten}, config, "parted")["a"]
    assert sum(rows) == batch and set(rows) == taken
    assert apart(weights(whole.path), weights(parted.path)) < SAME
    fit = 0
    with pytest.raises(RuntimeError, match="out of memory"):
        vlm({"a": ten}, config, "never")


def test_checkpoints_go_on_in_whatever_parts_their_steps_were_taken(
    vlm: Train, ten: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole steps, then in parts, then, by another process, whole again: the same rows at each step."""
    from trl import SFTTrainer

    config = settings(lora_dropout=0.0, train_batch_size=6, max_train_steps=4, checkpoint_seconds=0.0)
    whole = vlm({"a": ten}, config, "whole")["a"]
    step = SFTTrainer.training_step

    def little(self: Any, model: Any, inputs: Any, *more: Any) -> Any:
        if self.state.global_step and len(inputs["input_ids"]) > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return step(self, model, inputs, *more)

    with cut_off_at(3, monkeypatch) as patched:
        patched.setattr(SFTTrainer, "training_step", little)
        vlm({"a": ten}, config, "parted")
    parted = vlm({"a": ten}, config, "parted")["a"]
    assert vlm.run.stages[-1]["steps"] == 2
    assert apart(weights(whole.path), weights(parted.path)) < SAME


def test_a_loss_that_is_no_number_ends_the_run(vlm: Train, ten: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    from trl import SFTTrainer

    step = SFTTrainer.training_step
    monkeypatch.setattr(SFTTrainer, "training_step", lambda *told: step(*told) * float("nan"))
    with pytest.raises(ArithmeticError, match="adapter 'a': the loss is not finite at step 1 of 2"):
        vlm({"a": ten}, settings())


@pytest.mark.parametrize(
    ("subsets", "changed", "message"),
    [
        ({"../a": "ten"}, {}, "'../a': not accepted"),
        ({"a": "none"}, {}, "no rows"),
        ({"a": "plain"}, {}, "column 'prompt' is not in its subset"),
        ({"a": "ten"}, {"base_model": "no/such/folder"}, "no such folder"),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    vlm: Train, ten: Dataset, subsets: Any, changed: dict[str, Any], message: str
) -> None:
    there = {"ten": ten, "none": ten.select([]), "plain": questions(1)}
    with pytest.raises(ConfigError, match=message):
        vlm({name: there[which] for name, which in subsets.items()}, settings(**changed))


@pytest.mark.parametrize(("name", "value"), [("lora_r", 0), ("lora_dropout", 1.0), ("train_batch_size", 0)])
def test_settings_out_of_bounds_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name}: {value}"):
        settings(**{name: value})
