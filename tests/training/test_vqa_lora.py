"""train_vqa_loras(): what is learnt, from what, and that it is what was saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_blip import ASKED, files, of_cells, pixels, questions, row, settings, tokens, wanted, weights
from small_diffusion import SAME, apart, equal, picture

from tamis.config import ConfigError
from tamis.training import vision_cache, vqa_sweep
from tamis.training.lora_shapes import REPORTED
from tamis.training.vqa_model import VqaModel, load
from tamis.training.vqa_training import VqaTraining

Train = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("shape", REPORTED)
def test_every_weight_moves(vqa: Train, blip: Path, shape: str) -> None:
    shapes = {"a": wanted(questions(1, 2), shape)}
    before = weights(vqa(shapes, settings(blip, learning_rate=0.0), "still")["a"].path)
    made = vqa(shapes, settings(blip))["a"]
    after = weights(made.path)
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert made.train_metrics["trainable_parameters"] == sum(weight.numel() for weight in after.values())
    assert not [name for name in after if "vision_model" in name]


def test_what_is_saved_is_what_was_trained(vqa: Train, blip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its user loads it, and with its alpha."""
    from peft import PeftModel
    from transformers import BlipForQuestionAnswering

    fresh = load(str(blip), "")
    asked, written = tokens(fresh, list(ASKED), ["red", "star", "two", "ring", "striped"])
    found: dict[str, torch.Tensor] = {}
    write = vqa_sweep._written

    def looking(training: VqaTraining, *told: Any) -> Any:
        with torch.no_grad():
            model = training.model
            found[training.name] = model.losses(model.features(pixels([1] * 5)), asked, written)
        return write(training, *told)

    monkeypatch.setattr(vqa_sweep, "_written", looking)
    both = {"t/a": wanted(questions(1)), "b": wanted(questions(2), "r2-query-value-dense")}
    made = vqa(both, settings(blip, lora_alpha=7.0))
    with torch.no_grad():
        plain = fresh.losses(fresh.features(pixels([1] * 5)), asked, written)
    for name, adapter in made.items():
        worn = PeftModel.from_pretrained(BlipForQuestionAnswering.from_pretrained(blip), adapter.path)
        model = VqaModel(worn.get_base_model(), fresh.tokenizer, fresh.image_processor, dtype=torch.float32)
        with torch.no_grad():
            again = model.losses(model.features(pixels([1] * 5)), asked, written)
        assert torch.allclose(again, found[name], rtol=1e-5)
        assert (again - plain).abs().max() > 0.05
        config = json.loads((adapter.path / "adapter_config.json").read_text())
        assert (config["lora_alpha"], config["base_model_name_or_path"]) == (7.0, blip.name)
        assert str(blip.parent) not in json.dumps(config)
        assert config["target_modules"] == sorted(config["target_modules"])


def test_base_weights_stay_as_they_are(vqa: Train, blip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[VqaModel] = []
    monkeypatch.setattr(vqa_sweep, "load", lambda *told, **more: loaded.append(load(*told, **more)) or loaded[0])
    vqa({"a": wanted(questions(1)), "b": wanted(questions(2))}, settings(blip))
    now, then = loaded[0].blip.state_dict(), load(str(blip), "").blip.state_dict()
    assert now.keys() == then.keys()  # no adapter was left in it
    assert all(torch.equal(now[name], then[name]) for name in then)


def test_accumulated_batches_are_a_larger_batch(vqa: Train, blip: Path) -> None:
    asked = {"a": wanted(questions(1, 2, each=4))}
    at_once = vqa(asked, settings(blip, train_batch_size=8, lora_dropout=0.0), "at once")["a"]
    in_turn = settings(blip, train_batch_size=4, gradient_accumulation_steps=2, lora_dropout=0.0)
    in_turn = vqa(asked, in_turn, "in turn")["a"]
    assert apart(weights(at_once.path), weights(in_turn.path)) < SAME
    for metric in ("loss_first", "loss_last"):
        assert at_once.train_metrics[metric] == pytest.approx(in_turn.train_metrics[metric], rel=1e-4)


def test_shapes_of_one_seed_see_one_order_and_other_seeds_another(vqa: Train, blip: Path) -> None:
    rows = questions(1, 2, 3)
    asked = {"a": wanted(rows), "b": wanted(rows, "r4-query-value"), "c": wanted(rows, seed=1)}
    made = vqa(asked, settings(blip, max_train_steps=9))
    # Before the first step all LoRAs do nothing, whatever their shape: the first loss is of the first batch alone.
    first = {name: adapter.train_metrics["loss_first"] for name, adapter in made.items()}
    assert first["a"] == pytest.approx(first["b"], rel=1e-6)
    assert abs(first["c"] - first["a"]) > 1e-3


@pytest.mark.parametrize("gigabytes", [0.0, 1e-6])
def test_the_cache_changes_nothing(
    vqa: Train, blip: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, gigabytes: float
) -> None:
    """With room for every picture, for one, for none."""
    asked = {"a": wanted(questions(1, 2)), "b": wanted(questions(3), "r2-query-value")}
    seen: list[int] = []
    look = VqaModel.features
    monkeypatch.setattr(VqaModel, "features", lambda self, images: seen.append(len(images)) or look(self, images))
    cached = vqa(asked, settings(blip), "cached")
    assert sum(seen) == 3  # fifteen questions, six steps
    assert vqa.run.stages[-1]["images_encoded_again"] == 0
    assert not (vqa.run.output_dir / "training" / "features").exists()
    seen.clear()
    plain = vqa(asked, settings(blip, vision_cache_gb=gigabytes), "plain")
    assert sum(seen) > 5
    stage, room = vqa.run.stages[-2], int(bool(gigabytes))
    assert (stage["images"], stage["images_cached"], stage["images_encoded_at_every_use"]) == (3, room, 3 - room)
    assert ("holds 1 of 3 images" in capsys.readouterr().out) == bool(gigabytes)
    in_filling = 3 * room  # two of them for nothing: what a picture takes is known once it is encoded
    assert vqa.run.stages[-1]["images_encoded_again"] == sum(seen) - in_filling
    assert [plain[name].train_metrics["images_cached"] for name in "ab"] == [room, 0]
    for name in asked:
        assert apart(weights(cached[name].path), weights(plain[name].path)) < SAME
        for metric in ("loss_first", "loss_last"):
            expected = cached[name].train_metrics[metric]
            assert plain[name].train_metrics[metric] == pytest.approx(expected, rel=1e-5)


def test_features_of_other_pictures_are_never_taken(vqa: Train, blip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left by a run that was cut off: those of other pictures stand beside, and one that is short is an error."""
    with monkeypatch.context() as patched:
        patched.setattr(vision_cache, "remove", lambda folder: None)
        vqa({"a": wanted(questions(1))}, settings(blip), "run")
    folder = vqa.run.output_dir / "training" / "features"
    (left,) = folder.glob("*/*.features")
    (left.parent / ".x.features.partial").write_bytes(b"half")
    clean = vqa({"b": wanted(questions(2))}, settings(blip), "clean")["b"]
    with monkeypatch.context() as patched:
        patched.setattr(vision_cache, "remove", lambda folder: None)
        other = vqa({"b": wanted(questions(2))}, settings(blip), "run")["b"]
    (now,) = set(folder.glob("*/*.features")) - {left}
    assert files(other.path) == files(clean.path)
    assert list(folder.glob("*/.*.partial")) == []
    now.write_bytes(now.read_bytes()[:-4])
    with pytest.raises(OSError, match="not as it was written .*; delete it"):
        vqa({"b": wanted(questions(2), "r2-query")}, settings(blip), "run")


def test_gradient_checkpointing_changes_nothing(vqa: Train, blip: Path) -> None:
    asked = {"a": wanted(questions(1, 2), "r4-query-value-dense"), "b": wanted(questions(1))}
    plain = vqa(asked, settings(blip, lora_dropout=0.3), "plain")
    spare = vqa(asked, settings(blip, lora_dropout=0.3, gradient_checkpointing=True), "spare")
    for name in asked:
        assert apart(weights(plain[name].path), weights(spare[name].path)) < SAME


def test_dropout_drops(vqa: Train, blip: Path) -> None:
    asked = {"a": wanted(questions(1, 2))}
    none = vqa(asked, settings(blip, lora_dropout=0.0), "none")["a"]
    some = vqa(asked, settings(blip, lora_dropout=0.5), "some")["a"]
    assert apart(weights(none.path), weights(some.path)) > 0.1


def test_a_model_in_8_bits_is_trained_on(vqa: Train, blip: Path) -> None:
    asked = {"a": wanted(questions(1, 2), "r4-query-value-dense")}
    made = vqa(asked, settings(blip, load_in_8bit=True, max_train_steps=20))["a"]
    still = vqa(asked, settings(blip, load_in_8bit=True, max_train_steps=20, learning_rate=0.0), "still")["a"]
    before, after = weights(still.path), weights(made.path)
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert made.train_metrics["loss_last"] < 0.8 * made.train_metrics["loss_first"]
    full = vqa(asked, settings(blip, max_train_steps=20), "full")["a"]
    assert 0 < abs(full.train_metrics["loss_first"] - made.train_metrics["loss_first"]) < 0.05
    assert full.train_metrics["loss_last"] == pytest.approx(made.train_metrics["loss_last"], abs=0.3)
    assert json.loads((made.path / "training.json").read_text())["dtype"] == "int8"


def test_rows_that_cannot_be_learnt_from_are_left_out_counted_and_said(vqa: Train, blip: Path, capsys: Any) -> None:
    broken = {"bytes": picture(1)["bytes"][:60], "path": None}
    cells = [row(1, 0), row(1, 1, answer=None), row(1, 2, question=" "), row(2, 0, image=broken), row(3, 0, image=None)]
    cells += [row(1, 3), row(4, 0)]  # "None" is an answer
    made = vqa({"a": wanted(of_cells(cells))}, settings(blip))["a"]
    known = json.loads((made.path / "training.json").read_text())
    reasons = {"answer: null": 1, "question: empty": 1, "image: truncated or corrupt": 1, "image: null": 1}
    assert known["left_out"] == reasons == vqa.run.stages[-1]["rows_left_out"]
    assert (made.train_metrics["rows"], made.train_metrics["rows_left_out"], made.train_metrics["images"]) == (3, 4, 2)
    assert "a: 1 of 7 rows left out: answer: null" in capsys.readouterr().out
    whole = vqa({"a": wanted(of_cells([row(1, 0), row(1, 3), row(4, 0)]))}, settings(blip), "whole")["a"]
    assert files(made.path) == files(whole.path)


def test_what_is_cut_is_counted_and_said(vqa: Train, blip: Path, capsys: Any) -> None:
    rows = of_cells([row(1, 0), row(1, 1, answer="two red striped stars"), row(1, 2, question="what is " * 30)])
    made = vqa({"a": wanted(rows)}, settings(blip, question_tokens=16))["a"]
    assert (made.train_metrics["questions_cut"], made.train_metrics["answers_cut"]) == (1, 1)
    told = capsys.readouterr().out
    assert "a: 1 of 3 questions are longer than 16 tokens: cut" in told
    assert "a: 1 of 3 answers are longer than 5 tokens: cut" in told


def test_figures(vqa: Train, blip: Path) -> None:
    made = vqa({"a": wanted(questions(1, 2))}, settings(blip, max_train_steps=None, num_train_epochs=2))["a"]
    told = made.train_metrics
    assert (told["rows"], told["steps"], told["images"], told["images_cached"]) == (10, 2 * 3, 2, 2)
    assert told["rows_per_hour"] == pytest.approx(3600 * 20 / told["seconds"], rel=0.01)
    assert 0.05 < told["peak_memory_gb"] < 30
    assert told["loss_last"] < told["loss_first"]
    stage = vqa.run.stages[-1]
    assert (stage["name"], stage["adapters"], stage["steps"], stage["dtype"]) == ("train", 1, 6, "float32")
    assert settings(blip, max_train_steps=None, num_train_epochs=2).optimizer_steps(10) == 6
    assert vqa.run.sources[0]["revision"] == made.base_revision


def test_each_adapters_peak_of_memory_is_its_own(vqa: Train, blip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(vqa_sweep, "forget_peak", lambda device: told.append("forgotten"))
    monkeypatch.setattr(vqa_sweep, "peak_bytes", lambda device: told.append("told") or 10**9)
    vqa({"a": wanted(questions(1)), "b": wanted(questions(2))}, settings(blip))
    assert told == ["forgotten", "told"] * 2


@pytest.mark.parametrize(
    ("asked", "changed", "more", "message"),
    [
        ({"../a": wanted(questions(1))}, {}, {}, "'../a': not accepted"),
        ({"a": wanted(questions(1)), "a/b": wanted(questions(1))}, {}, {}, "would lie inside"),
        ({"a": wanted(questions(1).select([]))}, {}, {}, "no rows"),
        ({"a": wanted(questions(1))}, {}, {"answer_column": "reply"}, "column 'reply' is not among"),
        ({"a": wanted(of_cells([row(1, 0), row(2, 0, image_id="i1")]))}, {}, {}, "'i1' names two different pictures"),
        ({"t/a": wanted(of_cells([row(1, 0, answer="")]))}, {}, {}, r"'t/a': none of its rows .*1 x answer: empty"),
        ({"a": wanted(questions(1))}, {"base_model": "no/such/folder"}, {}, "no such folder"),
        ({"a": wanted(questions(1))}, {"base_model": "tiny/clip"}, {}, "is a clip model"),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    vqa: Train, blip: Path, asked: Any, changed: Any, more: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        vqa(asked, settings(**{"base_model": blip} | changed), **more)


@pytest.mark.parametrize(
    ("name", "value"), [("lora_alpha", 0), ("lora_dropout", 1.0), ("answer_tokens", 1), ("lr_warmup_ratio", 1.5)]
)
def test_settings_out_of_bounds_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name}: {value}"):
        settings("x", **{name: value})


def test_a_blip_without_answers_is_refused(vqa: Train, blip: Path, tmp_path: Path) -> None:
    from transformers import AutoProcessor, BlipConfig, BlipForConditionalGeneration

    BlipForConditionalGeneration(BlipConfig.from_pretrained(blip)).save_pretrained(tmp_path / "captions")
    AutoProcessor.from_pretrained(blip).save_pretrained(tmp_path / "captions")
    with pytest.raises(ConfigError, match="is no BlipForQuestionAnswering: it lacks"):
        vqa({"a": wanted(questions(1))}, settings(tmp_path / "captions"))


def test_a_step_that_does_not_fit_the_memory_is_repeated_in_halves(
    vqa: Train, blip: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    asked = {"a": wanted(questions(1, 2)), "b": wanted(questions(3))}
    whole = vqa(asked, settings(blip, lora_dropout=0.0), "whole")
    learn = VqaTraining._learn

    def learn_little(self: VqaTraining, some: list[Any], of: int) -> None:
        learn(self, some[:1], of)  # what was added up before the memory was full must not count twice
        if len(some) > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(VqaTraining, "_learn", learn_little)
    halved = vqa(asked, settings(blip, lora_dropout=0.0), "halved")
    assert vqa.run.stages[-1]["rows_per_forward"] == 1
    assert capsys.readouterr().out.count("out of memory") == 1
    for name in asked:
        assert apart(weights(whole[name].path), weights(halved[name].path)) < SAME


def test_a_loss_that_is_no_number_ends_the_run_and_leaves_its_checkpoint(
    vqa: Train, blip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(blip, max_train_steps=5, checkpoint_seconds=0.0)
    whole = vqa({"a": wanted(questions(1))}, config, "whole")["a"]
    losses, calls = VqaModel.losses, iter(range(100))
    with monkeypatch.context() as patched:
        broken = [0.0, 0.0, float("nan")]
        patched.setattr(VqaModel, "losses", lambda self, *told: losses(self, *told) + broken[next(calls)])
        with pytest.raises(ArithmeticError, match=r"adapter 'a': the loss is not finite at step 3 of 5"):
            vqa({"a": wanted(questions(1))}, config)
    assert list((vqa.run.output_dir / "training").glob("*.pt"))
    again = vqa({"a": wanted(questions(1))}, config)["a"]
    assert vqa.run.stages[-1]["steps"] == 3  # the checkpoint is of what was good
    assert equal(weights(whole.path), weights(again.path))
