"""train_dpo_loras(): the same losses and gradients as TRL's own trainer; what is computed once, and for whom."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import killing
import pytest
import torch
from cut_off import Killed
from datasets import Dataset
from safetensors.torch import load_file, save_file
from small_blip import files, weights
from small_diffusion import SAME, apart, picture
from small_pairs import TINY, of_cells, pair, pairs, said, save_idefics3, save_llava, settings

from tamis.config import ConfigError
from tamis.images import decode_image, fitted
from tamis.run import Run
from tamis.training import chat_base, dpo_training, trl_training, vision_cache
from tamis.training.chat_lora import as_stored
from tamis.training.dpo import COLUMNS, DpoLora, train_dpo_loras
from tamis.training.dpo_probe import Way

Train = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def idefics3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small-idefics3")
    save_idefics3(folder)
    return folder


@pytest.fixture
def dpo(tmp_path: Path) -> Train:
    def call(
        subsets: dict[str, Dataset], config: DpoLora, where: str = "run", *, seed: int = 0, features: Any = None
    ) -> Any:
        run = Run(tmp_path / where, seed=seed)
        call.run, call.stages = run, {}
        try:
            return train_dpo_loras(subsets, config, run, features=features)
        finally:
            run.close()
            call.stages = {stage["name"]: stage for stage in run.stages}

    return call


class Steps:
    """Losses and gradients of a training, step by step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.losses: list[float] = []
        self.gradients: list[dict[str, torch.Tensor]] = []
        log = trl_training.Clock.on_log

        def on_log(clock: Any, args: Any, state: Any, control: Any, logs: Any = None, **told: Any) -> None:
            self.losses += [logs["loss"]] if "loss" in logs else []
            log(clock, args, state, control, logs=logs, **told)

        def before_step(clock: Any, args: Any, state: Any, control: Any, model: Any = None, **told: Any) -> None:
            asked = {name: one for name, one in model.named_parameters() if one.requires_grad}
            self.gradients.append({name: one.grad.clone() for name, one in asked.items()})

        monkeypatch.setattr(trl_training.Clock, "on_log", on_log)
        monkeypatch.setattr(trl_training.Clock, "on_pre_optimizer_step", before_step)


def by_trl(rows: Dataset, config: DpoLora, folder: Path) -> Any:
    """TRL's own trainer, as its documentation has it, with the same settings."""
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import DPOConfig, DPOTrainer

    from tamis.sources import pin

    run = Run(folder)
    order = trl_training.Order("a", rows, "k" * 64, folder / "a", pin(config.base_model, "model"), config, run, 0)

    def shown(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return batch | {"image": [fitted(decode_image(image), config.max_pixels) for image in batch["image"]]}

    model = AutoModelForImageTextToText.from_pretrained(config.base_model)
    trainer = DPOTrainer(
        model,
        args=DPOConfig(**trl_training.arguments(order, 1), beta=config.beta),
        train_dataset=rows.with_transform(shown),
        processing_class=AutoProcessor.from_pretrained(config.base_model),
        peft_config=trl_training.lora(config, model),
        callbacks=[trl_training.Clock(order)],
    )
    trainer.train()
    run.close()
    return trainer


@pytest.fixture(scope="module")
def stock(idefics3: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[DpoLora, Steps]]:
    """Settings, and the steps of TRL's own trainer by them."""
    made = {}
    for kind, base in {"llava": TINY, "idefics3": idefics3}.items():
        config = settings(base, max_grad_norm=0.0, beta=0.3)
        with pytest.MonkeyPatch.context() as patched:
            made[kind] = config, Steps(patched)
            by_trl(as_stored("a", pairs(10), COLUMNS), config, tmp_path_factory.mktemp(kind))
    return made


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("llava", Way()),
        ("llava", Way(not_shared="asked")),
        ("llava", Way("asked", "asked")),
        ("idefics3", Way()),
        ("idefics3", Way("asked", "asked")),
    ],
)
def test_losses_and_gradients_are_those_of_trl(
    dpo: Train, stock: Any, monkeypatch: pytest.MonkeyPatch, kind: str, way: Way
) -> None:
    config, theirs = stock[kind]
    if way != Way():  # the best way is what the model is found to let
        monkeypatch.setattr(dpo_training, "way_of", lambda *told: way)
    ours = Steps(monkeypatch)
    dpo({"a": pairs(10)}, config)
    assert dpo.stages["train"]["features"] == (way.not_seen_once or "kept")
    assert dpo.stages["train"]["prompts"] == (way.not_shared or "shared by a pair")
    assert len(ours.losses) == len(theirs.losses) == 3
    assert max(theirs.losses) - min(theirs.losses) > 1e-2
    assert ours.losses == pytest.approx(theirs.losses, abs=1e-5)
    for mine, other in zip(ours.gradients, theirs.gradients, strict=True):
        assert mine.keys() == other.keys()
        whole = torch.stack([other[name].norm() for name in other]).norm()
        assert torch.stack([(mine[name] - other[name]).norm() for name in other]).norm() < 1e-4 * whole


@pytest.mark.parametrize("gigabytes", [0.0, 1.2e-4])
def test_the_disk_that_features_may_take_changes_nothing(
    dpo: Train, idefics3: Path, capsys: Any, gigabytes: float
) -> None:
    """Room for all three pictures, for some, for none: the same bytes."""
    base, room = (idefics3, 2) if gigabytes == 0.0 else (TINY, 2)
    cached = dpo({"a": pairs(10)}, settings(base), "cached")["a"]
    stage = dpo.stages["encode images"]
    assert (stage["images"], stage["images_encoded"], stage["images_cached"]) == (3, 3, 3)
    assert dpo.stages["train"]["images_encoded_again"] == 0
    kept = list((dpo.run.output_dir / "features").glob("*/*.features"))
    shapes = {tuple(value.shape) for path in kept for value in load_file(path).values()}
    assert len(shapes) == (2 if base == idefics3 else 1)  # tiles
    less = dpo({"a": pairs(10)}, settings(base, features_gb=gigabytes), "less")["a"]
    stage = dpo.stages["encode images"]
    room = 2 if gigabytes else 0
    assert (stage["images_cached"], stage["images_encoded_at_every_use"]) == (room, 3 - room)
    assert dpo.stages["train"]["images_encoded_again"] >= 3 - room
    assert ("features_gb 0.00012 holds 2 of 3 images" in capsys.readouterr().out) == bool(gigabytes)
    assert files(cached.path) == files(less.path)


def test_the_chosen_reply_becomes_likelier_and_stays_so_when_loaded(
    dpo: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    rows = pairs(8)
    shown = [row | {"image": decode_image(row["image"])} for row in rows]
    batch = dict(DataCollatorForVisionPreference(AutoProcessor.from_pretrained(TINY))(shown))
    asked = batch.pop("completion_mask")[:, 1:].bool()

    def likelihoods(model: Any) -> torch.Tensor:
        """Of chosen and of rejected replies, from the logits."""
        with torch.no_grad():
            told = model.eval()(**batch).logits[:, :-1].log_softmax(-1)
        each = told.gather(2, batch["input_ids"][:, 1:, None])[..., 0]
        return (each * asked).sum(1).view(2, -1)

    worn, write = [], trl_training.written

    def looking(order: Any, trainer: Any, *more: Any) -> Any:
        worn.append(likelihoods(trainer.model))
        return write(order, trainer, *more)

    monkeypatch.setattr(trl_training, "written", looking)
    config = settings(max_train_steps=6, lora_alpha=3.0)
    still = weights(dpo({"a": rows}, settings(max_train_steps=1, learning_rate=0.0), "still")["a"].path)
    made = dpo({"t/a": rows}, config)["t/a"]
    after = weights(made.path)
    assert still.keys() == after.keys() and len(after) == 2 * 4 * 7  # A and B, four layers, seven projections
    assert all("language_model" in name and not torch.equal(still[name], after[name]) for name in after)
    base = likelihoods(AutoModelForImageTextToText.from_pretrained(TINY))
    again = likelihoods(PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(TINY), made.path))
    assert torch.allclose(again, worn[-1], atol=1e-4)
    assert ((again[0] - again[1]) > (base[0] - base[1]) + 1.0).all()
    metrics = made.train_metrics
    assert metrics["trainable_parameters"] == sum(weight.numel() for weight in after.values())
    assert metrics["loss_last"] < metrics["loss_first"] == pytest.approx(0.6931, abs=1e-3)


def test_batches_of_two_twice_are_a_batch_of_four(dpo: Train) -> None:
    whole = dpo({"a": pairs(8)}, settings(max_train_steps=2), "whole")["a"]
    halves = settings(max_train_steps=2, train_batch_size=2, gradient_accumulation_steps=2)
    assert apart(weights(whole.path), weights(dpo({"a": pairs(8)}, halves, "halves")["a"].path)) < SAME


def test_what_is_computed_twice_to_save_memory_is_the_same(dpo: Train) -> None:
    plain = dpo({"a": pairs(8)}, settings(), "plain")["a"]
    twice = dpo({"a": pairs(8)}, settings(gradient_checkpointing=True), "twice")["a"]
    assert apart(weights(plain.path), weights(twice.path)) < SAME


def test_dropout_is_left_on_where_it_is_asked_for(dpo: Train) -> None:
    first = {
        share: dpo({"a": pairs(8)}, settings(lora_dropout=share), str(share))["a"].train_metrics for share in (0.0, 0.5)
    }
    assert first[0.0]["loss_first"] == first[0.5]["loss_first"]  # B is zero: nothing to drop yet
    assert first[0.0]["loss_last"] != pytest.approx(first[0.5]["loss_last"], rel=1e-3)


def test_cut_off_anywhere_it_goes_on_to_the_same_bytes(dpo: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from tamis.training import reference

    config = settings(max_train_steps=5, checkpoint_seconds=0.0)
    asked = {"a": pairs(10), "b": pairs(10, "an orange ring")}
    whole = dpo(asked, config, "whole")
    monkeypatch.setattr(vision_cache, "ENCODED_AT_ONCE", 1)
    monkeypatch.setattr(vision_cache, "PER_FILE", 1)
    monkeypatch.setattr(reference, "PER_FILE", 5)

    def killed_at(kind: type, method: str, call: int) -> None:
        wrapped, calls = getattr(kind, method), []

        def cut(self: Any, *told: Any, **more: Any) -> Any:
            calls.append(0)
            if len(calls) == call:
                raise Killed
            return wrapped(self, *told, **more)

        with monkeypatch.context() as patched:
            patched.setattr(kind, method, cut)
            with pytest.raises(Killed):
                dpo(asked, config, "cut")

    killed_at(vision_cache.VisionCache, "_write", 2)
    killed_at(reference.Reference, "_write", 2)
    assert dpo.stages["encode images"]["images_encoded"] == 2  # of three: one was there
    killed_at(trl_training.Clock, "on_log", 4)
    computed = dpo.stages["reference log-probabilities"]
    assert computed["replies_computed"] < computed["replies_different"]
    killed_at(trl_training.Clock, "on_log", 6)  # of the first the last two steps and the end, three of the second
    resumed = dpo(asked, config, "cut")
    stages = dpo.stages
    assert (stages["encode images"]["images_encoded"], stages["train"]["adapters_reused"]) == (0, 1)
    assert (stages["reference log-probabilities"]["replies_computed"], stages["train"]["steps"]) == (0, 3)
    for name in asked:
        assert files(whole[name].path) == files(resumed[name].path)
    assert list((dpo.run.output_dir / "training").iterdir()) == []
    with monkeypatch.context() as patched:
        patched.setattr(chat_base, "load", None)  # no model is loaded for what is there
        assert dpo(asked, config, "cut") == resumed
        with pytest.raises(TypeError):
            dpo(asked, settings(beta=0.2), "cut")


def test_where_the_base_lies_is_neither_in_key_nor_in_record(dpo: Train, tmp_path: Path) -> None:
    moved = tmp_path / "secret-place" / TINY.name
    shutil.copytree(TINY, moved)
    made = dpo({"a": pairs(8)}, settings(moved, max_train_steps=1))["a"]
    assert "secret-place" not in (made.path / "training.json").read_text()
    assert dpo({"a": pairs(8)}, settings(TINY, max_train_steps=1))["a"] == made
    assert dpo.stages["train"]["adapters_reused"] == 1


def test_adapters_share_pictures_and_replies(dpo: Train, tmp_path: Path) -> None:
    """As a scoring and a consistency set do: the same chosen reply, another rejected one."""
    asked = {"scoring": pairs(10), "consistency": pairs(10, "an orange ring")}
    both = dpo(asked, settings())
    stage, replies = dpo.stages["encode images"], dpo.stages["reference log-probabilities"]
    assert (stage["images"], stage["images_encoded"]) == (3, 3)
    assert (replies["replies"], replies["replies_different"], replies["replies_computed"]) == (40, 30, 30)
    alone = dpo({"consistency": asked["consistency"]}, settings(), "alone")["consistency"]
    assert apart(weights(both["consistency"].path), weights(alone.path)) < SAME


def test_features_are_those_of_the_eyes_wherever_these_are(dpo: Train, tmp_path: Path) -> None:
    """The folded model of the last iteration lies in another folder and speaks otherwise; its eyes are the same."""
    features = tmp_path / "features"

    def encoded(base: Path, **changed: Any) -> int:
        dpo({"a": pairs(6)}, settings(base, max_train_steps=1, **changed), base.name, features=features)
        return dpo.stages["encode images"]["images_encoded"]

    def changed(where: str, part: str) -> Path:
        folder = tmp_path / where
        shutil.copytree(TINY, folder)
        told = load_file(folder / "model.safetensors")
        name = next(name for name in sorted(told) if part in name and name.endswith("weight"))
        told[name] = told[name] * 1.25
        save_file(told, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    assert encoded(TINY) == 3
    assert encoded(changed("folded", "language_model")) == 0
    assert not (dpo.run.output_dir / "features").exists()
    assert encoded(changed("other-eyes", "vision")) == 3
    assert encoded(changed("other-projector", "projector")) == 3
    assert encoded(TINY, max_pixels=900) == 3
    assert len(list(features.iterdir())) == 4 + 1  # and the lock


def test_two_ranks_train_what_one_trains(tmp_path: Path) -> None:
    port = killing.free_port()
    asked = {"a": pairs(10), "b": pairs(10, "an orange ring")}

    def work(ranks: int, rank: int) -> None:
        killing.be_rank(rank, ranks, port)
        torch.set_num_threads(1)
        run = Run(tmp_path / str(ranks))
        train_dpo_loras(asked, settings(max_train_steps=2), run)
        (tmp_path / f"{ranks}-{rank}.json").write_text(json.dumps(run.stages))
        run.wait()
        run.close()

    assert killing.wait([killing.fork(partial(work, 1, 0))]) == [0]
    assert killing.wait([killing.fork(partial(work, 2, rank)) for rank in range(2)]) == [0, 0]
    for name in asked:
        one, two = (weights(tmp_path / ranks / "adapters" / name) for ranks in "12")
        assert apart(one, two) < SAME
    for told in ("2-0.json", "2-1.json"):
        encoding, reference, _ = json.loads((tmp_path / told).read_text())
        assert (encoding["images_encoded"], reference["replies_computed"]) == (3, 30)  # of both together


def test_rows_that_cannot_be_learnt_from_are_left_out(dpo: Train, capsys: Any) -> None:
    broken = {"bytes": picture(1)["bytes"][:60], "path": None}
    cells = [
        pair(0),
        pair(1, image=broken),
        pair(2, image={"bytes": None, "path": "/etc/passwd"}),
        pair(3, chosen=said("assistant", "red <|end|><|user|> what")),
        pair(4, rejected=said("assistant", "<image>")),
        pair(5, prompt=said("user", " ")),
        pair(6, rejected=None),
        pair(7, chosen=said("assistant", None)),
    ]
    made = dpo({"a": of_cells(cells)}, settings(max_train_steps=1))["a"]
    reasons = {
        "image: truncated or corrupt": 1,
        "image: a file that is missing, or not the dataset's own": 1,
        "chosen: a control token": 1,
        "rejected: a control token": 1,
        "prompt: empty": 1,
        "rejected: empty": 1,
        "chosen: empty": 1,
    }
    assert json.loads((made.path / "training.json").read_text())["left_out"] == reasons
    assert (made.train_metrics["rows"], made.train_metrics["rows_left_out"]) == (1, 7)
    assert "a: 1 of 8 rows left out: chosen: a control token" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="'b': none of its rows .*1 x image: truncated or corrupt"):
        dpo({"a": pairs(3), "b": of_cells(cells[1:2])}, settings(), "none")


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint(
    dpo: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl import DPOTrainer

    step = DPOTrainer.training_step

    def broken(self: Any, *told: Any) -> torch.Tensor:
        return step(self, *told) * (float("nan") if self.state.global_step == 2 else 1.0)

    monkeypatch.setattr(DPOTrainer, "training_step", broken)
    with pytest.raises(ArithmeticError, match="adapter 'a': the loss is not finite at step 3 of 4"):
        dpo({"a": pairs(8)}, settings(max_train_steps=4, checkpoint_seconds=0.0))
    (folder,) = (dpo.run.output_dir / "training").glob("vlm-*")
    assert (folder / "checkpoint-2" / "trainer_state.json").is_file()


def test_what_does_not_fit_the_memory_is_taken_in_parts(dpo: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from tamis.training.shared_prefix import Folded

    whole = dpo({"a": pairs(8)}, settings(max_train_steps=1), "whole")["a"]
    forward = Folded.forward

    def little(self: Folded, *told: Any, **more: Any) -> Any:
        if len(self.ids) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return forward(self, *told, **more)

    monkeypatch.setattr(Folded, "forward", little)
    parted = dpo({"a": pairs(8)}, settings(max_train_steps=1), "parted")["a"]
    assert apart(weights(whole.path), weights(parted.path)) < SAME


def test_a_base_in_4_bits_learns(dpo: Train, tmp_path: Path) -> None:
    """The language model alone: what was seen by the whole model is seen by it too."""
    save_llava(tmp_path / "llava")
    config = settings(tmp_path / "llava", max_train_steps=4)
    dpo({"a": pairs(8)}, config)
    made = dpo({"a": pairs(8)}, replace(config, load_in_4bit=True))["a"]
    assert dpo.stages["encode images"]["images_encoded"] == 0
    assert dpo.stages["train"]["dtype"] == "4 bits"
    assert made.train_metrics["loss_last"] < made.train_metrics["loss_first"] == pytest.approx(0.6931, abs=1e-2)
    with pytest.raises(ConfigError, match="load_in_4bit: .* a layer of 160 inputs"):
        dpo({"a": pairs(8)}, settings(load_in_4bit=True))


def test_in_4_bits_it_is_trained_on_what_judges_ask(tmp_path: Path) -> None:
    """Eyes and projector are whole in both, and what both say is the same."""
    from tamis.judge.building import build
    from tamis.sources import pin
    from tamis.training.chat_base import load

    save_llava(tmp_path / "llava")
    config = settings(tmp_path / "llava", load_in_4bit=True)
    trained = load(config, pin(config.base_model, "model"), None, in_4bit=True)
    asked = build({"model": config.base_model, "quantization": "4bit"})._loaded().model
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        assert torch.equal(trained(input_ids=ids).logits, asked(input_ids=ids).logits)
    held = [model.state_dict() for model in (trained, asked)]  # packed anew by a processor: no more forward passes
    packed = [{name for name in one if ".quant_state." in name} for one in held]
    assert packed[0] == packed[1] and all("language_model" in name for name in packed[0])
    assert len(packed[0]) == 2 * 7
    seeing = [name for name in held[0] if "vision" in name or "projector" in name]
    assert seeing and all(torch.equal(held[0][name], held[1][name]) for name in seeing)


@pytest.mark.parametrize(
    ("subsets", "changed", "message"),
    [
        ({"../a": "ten"}, {}, "'../a': not accepted"),
        ({"a": "none"}, {}, "no rows"),
        ({"a": "plain"}, {}, "column 'rejected' is not in its subset"),
        ({"a": "ten"}, {"base_model": "no/such/folder"}, "no such folder"),
    ],
)
def test_what_is_wrong_is_refused_by_name(dpo: Train, subsets: Any, changed: dict[str, Any], message: str) -> None:
    ten = pairs(10)
    there = {"ten": ten, "none": ten.select([]), "plain": ten.remove_columns("rejected")}
    with pytest.raises(ConfigError, match=message):
        dpo({name: there[which] for name, which in subsets.items()}, settings(**changed))


@pytest.mark.parametrize(("name", "value"), [("beta", 0.0), ("lora_r", 0), ("lora_dropout", 1.0), ("features_gb", -1)])
def test_settings_out_of_bounds_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name}: {value}"):
        settings(**{name: value})
