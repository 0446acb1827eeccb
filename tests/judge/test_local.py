"""A judge by name: loaded as the library does, options in an order of its own that nobody sees."""

from __future__ import annotations

import itertools
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from judging import assert_alike, stirred
from peft import PeftModel
from transformers import AutoModelForCausalLM, pipeline
from transformers.decision import DecisionConfig

from tamis import models
from tamis.config import ConfigError
from tamis.journal import settings
from tamis.judge import LocalJudge, Request
from tamis.judge.asking import as_library, reordered
from tamis.tiny import questions, world
from tamis.tiny.zoo.exercises import ask
from tamis.tiny.zoo.skill import picture, scenes


@pytest.mark.parametrize("name", ("llm", "vlm"))
def test_a_packaged_model_answers_as_the_pipeline_by_its_name(name: str, folders, of_text, with_images) -> None:
    requests = of_text if name == "llm" else with_images
    requests = [request for request in requests if isinstance(request.state, str | dict)]
    decide = pipeline("decision", model=str(folders[name]))
    judge = LocalJudge(model=str(folders[name]), order_seed=None)
    assert_alike(judge.decide(requests), [decide(as_library(request, 10**6)) for request in requests])
    assert_alike(judge.decide(requests, batch_size=1), judge.decide(requests))
    assert judge.models == ((str(folders[name]), None),)


def test_options_are_asked_in_a_drawn_order_and_answered_in_the_given_one(folders, of_text) -> None:
    options = ["red", "blue", "green", "white", "black"]

    def asked(order: list[str]) -> list[Request]:
        question = {"type": "choice", "instructions": "Which?", "criteria": dict.fromkeys(order)}
        return [Request(request.state, {"it": question}) for request in of_text]

    folder = str(folders["llm"])
    given = LocalJudge(model=folder, order_seed=None).decide(asked(options))
    drawn = LocalJudge(model=folder, order_seed=3).decide(asked(options))
    assert [list(one["it"]["probabilities"]) for one in drawn] == [options] * len(of_text)
    order = list(reordered(asked(options)[0].questions, 3)["it"]["criteria"])
    assert order != options
    by_hand = LocalJudge(model=folder, order_seed=None).decide(asked(order))
    for ours, theirs, as_given in zip(drawn, by_hand, given, strict=True):
        assert ours["it"]["probabilities"] == pytest.approx(theirs["it"]["probabilities"], abs=1e-5)
        assert ours["it"]["probabilities"] != pytest.approx(as_given["it"]["probabilities"], abs=1e-3)
        best = max(ours["it"]["probabilities"], key=ours["it"]["probabilities"].get)
        assert ours["it"]["choice"] == best
    backwards = LocalJudge(model=folder, order_seed=3).decide(asked(options[::-1]))
    for ours, theirs in zip(drawn, backwards, strict=True):
        assert ours["it"]["probabilities"] == pytest.approx(theirs["it"]["probabilities"], abs=1e-5)


def test_every_order_is_drawn_and_levels_keep_theirs(questions) -> None:
    orders = {tuple(reordered(questions, seed)["colour"]["criteria"]) for seed in range(60)}
    assert orders == set(itertools.permutations(("red", "blue", "green")))
    drawn = reordered(questions, 7)
    assert drawn["quality"] == questions["quality"] and drawn["star"] == questions["star"]
    assert drawn["colour"]["criteria"] == questions["colour"]["criteria"]  # the same descriptions under the same names
    other = {"colour": questions["colour"] | {"instructions": "Which colour?"}}
    assert {tuple(reordered(other, seed)["colour"]["criteria"]) for seed in range(60)} == orders


def test_an_adapter_in_a_subfolder_is_loaded_as_the_library_does(folders, tmp_path: Path, of_text) -> None:
    from peft import LoraConfig, get_peft_model

    model = AutoModelForCausalLM.from_pretrained(folders["llm"])
    model.save_pretrained(tmp_path)
    for file in folders["llm"].iterdir():
        if file.name not in ("model.safetensors", "config.json", "decision.json"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj"], r=4))
    stirred(adapted)
    adapted.save_pretrained(tmp_path / "judge")
    config = DecisionConfig.from_pretrained(folders["llm"])
    config.adapter, config.temperature = "judge", {"noul": 2.0}
    config.save_pretrained(tmp_path)
    ask = pipeline("decision", model=str(tmp_path))
    answers = LocalJudge(model=str(tmp_path), order_seed=None).decide(of_text)
    assert_alike(answers, [ask(as_library(request, 10**6)) for request in of_text])
    plain = LocalJudge(model=str(folders["llm"]), order_seed=None).decide(of_text)
    assert answers[0]["quality"]["score"] != pytest.approx(plain[0]["quality"]["score"], abs=1e-3)


def test_one_model_is_held_and_settings_that_do_not_load_share_it(folders, of_text) -> None:
    folder = str(folders["llm"])
    held = LocalJudge(model=folder)._loaded()
    assert LocalJudge(model=folder, order_seed=4, max_tokens=99)._loaded() is held
    assert held.model.dtype == torch.float32
    models.release()
    assert LocalJudge(model=folder)._loaded() is not held


def test_bytes_of_eight_bits_answer_nearly_the_same(folders, of_text) -> None:
    plain = LocalJudge(model=str(folders["llm"])).decide(of_text)
    small = LocalJudge(model=str(folders["llm"]), quantization="8bit").decide(of_text)
    for ours, theirs in zip(small, plain, strict=True):
        assert ours["star"]["noul"] == pytest.approx(theirs["star"]["noul"], abs=0.2)
    with pytest.raises(ValueError, match="expected one of 8bit, 4bit or null"):
        LocalJudge(model="any", quantization="2bit")


def test_the_packaged_vlm_answers_as_the_pipeline_does_and_is_mostly_right() -> None:
    draw, requests, keys = random.Random(0), [], []
    for scene in scenes(12, start=640_000):
        asked = {name: questions.about_attribute(name, scene.value(name), draw) for name in world.ATTRIBUTES}
        keys.append({name: one.answer for name, one in asked.items()})
        typed = {
            name: {
                "type": "choice",
                "instructions": ask("quiz/question", question=one.text),
                "criteria": dict.fromkeys(one.options(draw)),
            }
            for name, one in asked.items()
        }
        requests.append(Request(picture(scene), typed))
    notes: Counter[str] = Counter()
    answers = LocalJudge("tiny/vlm", order_seed=None).decide(requests, notes=notes)
    assert notes == {"shared": len(requests)}
    decide = pipeline("decision", model="tiny/vlm")
    for request, found in zip(requests[:3], answers, strict=False):
        wanted = decide({"state": "<one>", "assets": {"<one>": request.state}, "questions": request.questions})
        assert_alike([found], [wanted])
    right = [found[name]["choice"] == own[name] for found, own in zip(answers, keys, strict=True) for name in own]
    assert sum(right) / len(right) > 0.9  # of 48; the card says 0.94 for any question about one thing


def test_a_judge_wears_a_lora_of_its_own(folders, tmp_path: Path, of_text) -> None:
    """As PEFT's own model answers; what the folder holds is in the key, where it lies is not."""
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(folders["llm"]), LoraConfig(target_modules=["q_proj", "v_proj"], r=4)
    )
    stirred(adapted)
    adapted.save_pretrained(tmp_path / "lora")
    shutil.copytree(tmp_path / "lora", tmp_path / "again")
    merged = tmp_path / "merged"
    shutil.copytree(folders["llm"], merged)
    base = AutoModelForCausalLM.from_pretrained(folders["llm"])
    PeftModel.from_pretrained(base, tmp_path / "lora").merge_and_unload().save_pretrained(merged)
    plain = LocalJudge(model=str(folders["llm"]), order_seed=None)
    worn = LocalJudge(model=str(folders["llm"]), order_seed=None, adapter=str(tmp_path / "lora"))
    without, told = plain.decide(of_text), worn.decide(of_text)
    assert_alike(told, LocalJudge(model=str(merged), order_seed=None).decide(of_text), within=1e-3)
    with pytest.raises(AssertionError):
        assert_alike(told, without, within=1e-2)
    assert_alike(plain.decide(of_text), without)  # it is taken off again
    again = LocalJudge(model=str(folders["llm"]), order_seed=None, adapter=str(tmp_path / "again"))
    assert settings(again) == settings(worn) != settings(plain)
    with pytest.raises(ConfigError, match="adapter 'none': no adapter_config.json, no adapter_model.safetensors"):
        LocalJudge(model="m", adapter=str(tmp_path / "none"))
