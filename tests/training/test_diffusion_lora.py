"""train_diffusion_loras(): adapters come out as if trained alone, whatever they share a batch with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_diffusion import SAME, SD2, apart, captions, equal, of_cells, picture, rows, settings, weights

from tamis.config import ConfigError
from tamis.run import Run
from tamis.training.diffusion_lora import train_diffusion_loras
from tamis.training.stack_training import StackTraining
from tamis.training.stacked_lora import denoiser_targets, text_targets

Train = Callable[..., dict[str, Any]]
NAMES = ("topic/a", "topic/b", "topic/c", "d")


def four() -> dict[str, Any]:
    """Different images, of different shapes, of different number."""
    return {
        "topic/a": rows(1, 2, 3),
        "topic/b": of_cells([picture(4), picture(5, (90, 30)), picture(6, (30, 90))]),
        "topic/c": rows(2, 3, 7, 8),
        "d": rows(9, size=(90, 30)),
    }


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_stack_is_its_adapters_trained_one_by_one(train: Train, sd1: Path, batch_size: int) -> None:
    changed = {"train_batch_size": batch_size, "max_train_steps": 4, "gradient_accumulation_steps": batch_size}
    changed["resolution"] = 64  # below, all buckets of this model are one square
    together = train(four(), settings(sd1, adapters_at_once=4, **changed), "together")
    single = train(four(), settings(sd1, adapters_at_once=1, **changed), "single")
    assert train.run.stages[-1]["adapters_at_once"] == 1
    for name in NAMES:
        assert together[name].train_metrics["adapters_at_once"] == 4
        assert apart(weights(together[name].path), weights(single[name].path)) < SAME
        assert together[name].train_metrics["loss"] == pytest.approx(single[name].train_metrics["loss"], abs=1e-5)
    assert apart(weights(single["topic/a"].path), weights(single["topic/c"].path)) > 0.5


def test_accumulated_batches_are_a_larger_batch(train: Train, sd1: Path) -> None:
    """Four images, all seen in every step: only the chances differ by their place, and those are the step's."""
    at_once = train({"a": rows(1, 2)}, settings(sd1, train_batch_size=4, num_repeats=2), "at once")
    in_turn = train({"a": rows(1, 2)}, settings(sd1, gradient_accumulation_steps=4, num_repeats=2), "in turn")
    assert apart(weights(at_once["a"].path), weights(in_turn["a"].path)) < SAME


@pytest.mark.parametrize(("base", "targets"), [("sd1", "attention"), ("sd2", "transformer"), ("sdxl", "transformer")])
def test_every_weight_moves(train: Train, request: Any, base: str, targets: str) -> None:
    model = SD2 if base == "sd2" else request.getfixturevalue(base)
    made = train({"a": rows(1)}, settings(model, lora_targets=targets, snr_gamma=5.0))["a"]
    untrained = train({"a": rows(1)}, settings(model, lora_targets=targets, learning_rate=0.0), "untrained")["a"]
    before, after = weights(untrained.path), weights(made.path)
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert any("ff.net" in name for name in after) == (targets == "transformer")
    assert any("proj_in" in name for name in after) == (targets == "transformer")


@pytest.mark.parametrize("base", ["sd1", "sdxl"])
def test_the_text_encoder_can_be_trained_too(train: Train, request: Any, base: str, capsys: Any) -> None:
    config = settings(request.getfixturevalue(base), train_text_encoder=True, adapters_at_once=2, train_batch_size=2)
    made = train({"a": rows(1), "b": rows(2)}, config)
    untrained = train({"a": rows(1)}, settings(config.base_model, train_text_encoder=True, learning_rate=0.0), "still")
    before, after = weights(untrained["a"].path), weights(made["a"].path)
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert {name.split(".")[0] for name in after} == {"unet", "text_encoder"} | (
        {"text_encoder_2"} if base == "sdxl" else set()
    )
    assert made["a"].train_metrics["adapters_at_once"] == 1
    assert "one after another" in capsys.readouterr().out


def test_base_weights_stay_as_they_are(train: Train, sd1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tamis.training import stacks

    loaded = []
    load = stacks.load
    monkeypatch.setattr(stacks, "load", lambda *told: loaded.append(load(*told)) or loaded[0])
    train({"a": rows(1)}, settings(sd1))
    trained, fresh = loaded[0], load(str(sd1), "")
    for part in ("unet", "vae", "text_encoder"):
        now, then = getattr(trained.pipeline, part).state_dict(), getattr(fresh.pipeline, part).state_dict()
        assert now.keys() == then.keys()  # no layer of the stack was left in it
        assert all(torch.equal(now[name], then[name]) for name in then)


def test_targets_are_what_kohya_adapts(sd1: Path) -> None:
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(SD2)
    found = denoiser_targets(pipeline.unet, "transformer")
    assert len(found) == 7 * 12  # 8 projections of two attentions, 2 of the feed-forward, proj_in, proj_out
    assert len(denoiser_targets(pipeline.unet, "attention")) == 7 * 8
    assert len(text_targets(pipeline.text_encoder, "text_encoder", unread=0)) == 3 * 6
    assert len(text_targets(pipeline.text_encoder, "text_encoder", unread=1)) == 2 * 6


def test_steps_of_epochs_and_steps_that_are_given(train: Train, sd1: Path) -> None:
    config = settings(sd1, max_train_steps=None, num_train_epochs=2, num_repeats=3, adapters_at_once=4)
    made = train(four(), config, steps={"d": 9, "topic/c": 5})
    assert {name: made[name].train_metrics["steps"] for name in NAMES} == {
        "topic/a": 2 * 3 * 3,
        "topic/b": 2 * 3 * 3,
        "topic/c": 5,
        "d": 9,
    }
    assert made["topic/a"].train_metrics["adapters_at_once"] == 2
    stage = train.run.stages[-1]
    assert (stage["name"], stage["adapters"], stage["steps"]) == ("train", 4, 18 + 18 + 5 + 9)
    assert stage["samples_per_second"] > 0
    assert stage["dtype"] == "float32"


def test_images_that_cannot_be_read_are_left_out_counted_and_said(train: Train, sd1: Path, capsys: Any) -> None:
    broken = {"bytes": picture(1)["bytes"][:60], "path": None}
    subset = of_cells([picture(1), broken, {"bytes": b"text", "path": None}, picture(2), None])
    made = train({"a": subset}, settings(sd1, max_train_steps=None, num_train_epochs=1, num_repeats=1))["a"]
    assert (made.train_metrics["steps"], made.train_metrics["images"]) == (2, 2)
    known = json.loads((made.path / "training.json").read_text())
    assert known["left_out"] == {"image: truncated or corrupt": 1, "image: not an image": 1, "image: null": 1}
    assert train.run.stages[-1]["rows_left_out"] == known["left_out"]
    assert "a: 1 of 5 rows left out: image: not an image" in capsys.readouterr().out
    same = train({"a": of_cells([picture(1), picture(2)])}, settings(sd1, max_train_steps=2), "whole")["a"]
    assert equal(weights(made.path), weights(same.path))


def test_captions_of_rows(train: Train, sd1: Path) -> None:
    subset = of_cells([picture(1), picture(2), picture(3)], ["a red star", "", None])
    made = train({"a": subset}, settings(sd1), caption_column="text")["a"]
    assert made.train_metrics["images"] == 1
    whole = train({"a": rows(1)}, settings(sd1), "whole", captions={"a": "a red star"})["a"]
    assert equal(weights(made.path), weights(whole.path))


@pytest.mark.parametrize(
    ("subsets", "changed", "more", "message"),
    [
        ({"../a": rows(1)}, {}, {}, "'../a': not accepted"),
        ({"/a": rows(1)}, {}, {}, "'/a': not accepted"),
        ({"a": rows(1), "a/b": rows(1)}, {}, {}, "would lie inside"),
        ({"a": rows(1).select([])}, {}, {}, "no rows"),
        ({"a": rows(1)}, {}, {"image_column": "photo"}, "'photo' is not in its subset"),
        ({"a": rows(1)}, {}, {"captions": {}}, "no caption"),
        ({"a": rows(1)}, {}, {"steps": {"b": 3}}, "no adapter 'b'"),
        ({"a": rows(1)}, {}, {"steps": {"a": 0}}, "steps: 0"),
        ({"topic/a": of_cells([{"bytes": b"x", "path": None}])}, {}, {}, "'topic/a': none of its rows"),
        ({"a": rows(1)}, {"base_model": "no/such/folder"}, {}, "no such folder"),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    train: Train, sd1: Path, subsets: Any, changed: Any, more: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(subsets, settings(**{"base_model": sd1} | changed), **more)


def test_settings_out_of_bounds_are_refused() -> None:
    with pytest.raises(ConfigError, match="lora_r: 0"):
        settings(SD2, lora_r=0)


def test_a_model_of_another_kind_is_refused(train: Train, sd1: Path, tmp_path: Path) -> None:
    index = json.loads((sd1 / "model_index.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    (other / "model_index.json").write_text(json.dumps(index | {"_class_name": "FluxPipeline"}))
    with pytest.raises(ConfigError, match="is a FluxPipeline; expected one of StableDiffusionPipeline"):
        train({"a": rows(1)}, settings(other))


def test_a_step_that_does_not_fit_the_memory_is_repeated_in_halves(
    train: Train, sd1: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    subsets = {name: rows(*range(place, place + 3)) for place, name in enumerate(NAMES)}
    whole = train(subsets, settings(sd1, adapters_at_once=4), "whole")
    learn = StackTraining._learn

    def learn_little(self: StackTraining, samples: list[Any]) -> None:
        learn(self, samples[:1])  # what was added up before the memory was full must not count twice
        if len(samples) > 1:
            self.stack.gradients.fill_(1e6)
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(StackTraining, "_learn", learn_little)
    halved = train(subsets | {"e": rows(1), "f": rows(2)}, settings(sd1, adapters_at_once=4), "halved")
    assert train.run.stages[-1]["samples_per_forward"] == 1
    assert capsys.readouterr().out.count("out of memory") == 1
    for name in NAMES:
        assert apart(weights(whole[name].path), weights(halved[name].path)) < SAME


def test_a_loss_that_is_no_number_ends_the_run(train: Train, sd1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tamis.training import stack_training

    errors = stack_training.errors
    calls = iter(range(100))

    def failing(predicted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        broken = torch.tensor([0.0, float("nan") if next(calls) == 2 else 0.0])
        return errors(predicted, wanted) + broken

    monkeypatch.setattr(stack_training, "errors", failing)
    with pytest.raises(ArithmeticError, match=r"adapter 'b': the loss is not finite at step 3 of 5"):
        train({"a": rows(1), "b": rows(2)}, settings(sd1, adapters_at_once=2, max_train_steps=5))


def test_gradients_are_clipped_for_each_adapter_by_itself(sd1: Path) -> None:
    from tamis.training.diffusion_models import load
    from tamis.training.stacked_lora import LoraStack

    targets = denoiser_targets(load(str(sd1), "").unet, "attention")
    stack = LoraStack(["a", "b"], targets, rank=2, alpha=1, seed=0, device=torch.device("cpu"))
    stack.gradients.normal_()
    stack.gradients[1] *= 1e-6
    before = stack.gradients.clone()
    stack.clip(1.0)
    assert stack.gradients[0].norm() == pytest.approx(1.0, abs=1e-4)
    assert torch.equal(stack.gradients[1], before[1])


def test_gradient_checkpointing_changes_nothing(train: Train, sd1: Path) -> None:
    plain = train({"a": rows(1, 2)}, settings(sd1), "plain")["a"]
    spare = train({"a": rows(1, 2)}, settings(sd1, gradient_checkpointing=True), "spare")["a"]
    assert apart(weights(plain.path), weights(spare.path)) < SAME


def test_a_tracker_that_takes_pictures_gets_them(sd1: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = Run(tmp_path, report_to=["tensorboard"])
    train_diffusion_loras({"t/a": rows(1)}, settings(sd1, sample_every=3), run, captions=captions("t/a"))
    run.accelerator.end_training()
    run.close()
    shown = []
    for events in tmp_path.rglob("events.out.tfevents.*"):  # settings have a file of their own
        found = EventAccumulator(str(events))
        found.Reload()
        shown += found.Tags()["images"]
    assert shown == ["samples/t/a"]
    assert not list(tmp_path.rglob("*.png"))


def test_pictures_are_drawn_on_the_way(train: Train, sd1: Path, tmp_path: Path) -> None:
    train({"t/a": rows(1), "b": rows(2)}, settings(sd1, sample_every=2, max_train_steps=4, adapters_at_once=2))
    drawn = sorted(path.relative_to(tmp_path / "run" / "samples").as_posix() for path in tmp_path.rglob("*.png"))
    assert drawn == ["b/step-000002.png", "b/step-000004.png", "t/a/step-000002.png", "t/a/step-000004.png"]
