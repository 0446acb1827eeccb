"""Trained beside an adapter that the base wears: as on the model that has it in its own weights, and nothing of it is
learnt, saved or lost."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import killing
import pytest
import small_adapters
import torch
from cut_off import cut_off_at
from small_blip import files, weights
from small_diffusion import SAME, apart
from small_pairs import TINY, pairs, save_llava, settings

from tamis.config import ConfigError
from tamis.run import Run
from tamis.sources import Source, pin
from tamis.training.adapter import weights_hash
from tamis.training.dpo import train_dpo_loras
from tamis.training.merge import Merge, save_folded
from tamis.training.vlm_lora import VlmLora, train_vlm_loras

SCALE = {"lora_alpha": 0.5}


def whole(folder: Path) -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(folder)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a large change, in some of the layers."""
    folder = tmp_path_factory.mktemp("chains") / "chain"
    return small_adapters.write(whole(TINY), pin(str(TINY), "model"), folder, 1, ["q_proj", "down_proj"], **SCALE)


@pytest.fixture(scope="module")
def folded(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import AutoProcessor

    folder = tmp_path_factory.mktemp("folded") / "vlm"

    def load() -> tuple[Any, list[Any]]:
        return whole(TINY), [AutoProcessor.from_pretrained(TINY)]

    base = pin(str(TINY), "model")
    save_folded(load, {"chain": chain}, Merge("linear"), base, folder, dtype=torch.float32)
    return folder


def dpo(where: Path, base: Path = TINY, worn: Path | None = None, **changed: Any) -> Any:
    run = Run(where)
    try:
        return train_dpo_loras({"a": pairs(8)}, settings(base, **changed), run, worn=worn)["a"]
    finally:
        run.close()


def sft(where: Path, base: Path = TINY, worn: Path | None = None) -> Any:
    config = VlmLora(base_model=str(base), lora_r=2, train_batch_size=4, max_train_steps=3, learning_rate=1e-3)
    run = Run(where)
    try:
        return train_vlm_loras({"a": pairs(8).rename_column("chosen", "completion")}, config, run, worn=worn)["a"]
    finally:
        run.close()


@pytest.mark.parametrize("train", [dpo, sft])
def test_it_is_trained_as_on_the_model_that_has_it_in_its_weights(
    train: Any, chain: Path, folded: Path, tmp_path: Path
) -> None:
    made = train(tmp_path / "worn", worn=chain)
    after = weights(made.path)
    expected = train(tmp_path / "folded", folded)
    assert apart(after, weights(expected.path)) < SAME
    assert apart(after, weights(train(tmp_path / "plain").path)) > 100 * SAME
    assert made.train_metrics["loss_first"] == pytest.approx(expected.train_metrics["loss_first"], abs=1e-4)
    assert made.train_metrics["trainable_parameters"] == sum(weight.numel() for weight in after.values())
    record = json.loads((made.path / "training.json").read_text())
    assert (made.base_model, record["worn"]) == ("vlm", weights_hash(chain))
    assert json.loads((made.path / "adapter_config.json").read_text())["base_model_name_or_path"] == "vlm"
    assert str(chain) not in (made.path / "training.json").read_text()


def test_it_is_the_reference_too_and_computed_twice_it_is_the_same(chain: Path, tmp_path: Path) -> None:
    made = dpo(tmp_path / "worn", worn=chain)
    assert made.train_metrics["loss_first"] == pytest.approx(0.6931, abs=1e-3)
    twice = dpo(tmp_path / "twice", worn=chain, gradient_checkpointing=True)
    assert apart(weights(made.path), weights(twice.path)) < SAME


def test_cut_off_it_goes_on_and_another_one_worn_is_another_training(
    chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tamis.training import chat_base

    steps = {"max_train_steps": 4, "checkpoint_seconds": 0.0}
    uncut = dpo(tmp_path / "uncut", worn=chain, **steps)

    with cut_off_at(3, monkeypatch):
        dpo(tmp_path / "cut", worn=chain, **steps)
    resumed = dpo(tmp_path / "cut", worn=chain, **steps)
    assert files(uncut.path) == files(resumed.path)
    monkeypatch.setattr(chat_base, "load", None)
    assert dpo(tmp_path / "cut", worn=chain, **steps) == resumed
    other = small_adapters.write(whole(TINY), pin(str(TINY), "model"), tmp_path / "other", 2, ["q_proj"])
    for worn in (None, other):
        with pytest.raises(TypeError):  # not found: a model would be loaded
            dpo(tmp_path / "cut", worn=worn, **steps)


def test_two_ranks_train_what_one_trains(chain: Path, tmp_path: Path) -> None:
    port = killing.free_port()

    def work(rank: int) -> None:
        killing.be_rank(rank, 2, port)
        torch.set_num_threads(1)
        run = Run(tmp_path / "2")
        train_dpo_loras({"a": pairs(8)}, settings(), run, worn=chain)
        run.wait()
        run.close()

    one = dpo(tmp_path / "1", worn=chain)
    assert killing.wait([killing.fork(partial(work, rank)) for rank in range(2)]) == [0, 0]
    assert apart(weights(one.path), weights(tmp_path / "2" / "adapters" / "a")) < SAME


def test_a_base_in_4_bits_wears_it_whole(tmp_path: Path) -> None:
    """A change that 4 bits would swallow is there: its own loss is that of the base which has it beside."""
    save_llava(tmp_path / "llava")
    base = pin(str(tmp_path / "llava"), "model")
    worn = small_adapters.write(whole(tmp_path / "llava"), base, tmp_path / "chain", 1, ["v_proj"], **SCALE)
    made = dpo(tmp_path / "worn", tmp_path / "llava", worn, load_in_4bit=True, max_train_steps=4)
    assert made.train_metrics["loss_last"] < made.train_metrics["loss_first"] == pytest.approx(0.6931, abs=1e-2)
    plain = dpo(tmp_path / "plain", tmp_path / "llava", load_in_4bit=True, max_train_steps=4)
    assert apart(weights(made.path), weights(plain.path)) > 100 * SAME


def test_what_cannot_be_worn_is_refused(chain: Path, tmp_path: Path) -> None:
    whole_model, base = whole(TINY), pin(str(TINY), "model")
    elsewhere = Source("another", "model", "0" * 40, None, local=True)
    of_another = small_adapters.write(whole_model, elsewhere, tmp_path / "another", 1, ["q_proj"])
    with pytest.raises(ConfigError, match="'another' is of base model 'another'"):
        dpo(tmp_path / "run", worn=of_another)
    seeing = small_adapters.write(whole_model, base, tmp_path / "seeing", 1, ["q_proj"], where="vision")
    with pytest.raises(ConfigError, match="'seeing' changes '.*vision.*expected linear layers of the language model"):
        dpo(tmp_path / "run", worn=seeing)
    with pytest.raises(ConfigError, match="no adapter_config.json"):
        dpo(tmp_path / "run", worn=tmp_path)
