"""What lmms-eval is handed says what the model with its adapter says; what it reports comes in the paper's scales."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from training.small_adapters import write

from tamis.config import ConfigError
from tamis.judge import Ask, LocalJudge
from tamis.scale_select import harness
from tamis.scale_select.harness import command, main, merged, read_results
from tamis.scale_select.paper_average import BENCHMARKS
from tamis.sources import pin

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.usefixtures("no_model_held")]
BASE = "tiny/vlm"
# As lmms-eval writes it (evaluation_tracker.py, save_results_aggregated; keys by evaluator_utils.py: METRIC,FILTER).
RESULTS: dict[str, Any] = {
    "results": {
        "mme": {
            "alias": "mme",
            "mme_perception_score,none": 1600.25,
            "mme_perception_score_stderr,none": "N/A",
            "mme_cognition_score,none": 649.75,
            "mme_cognition_score_stderr,none": "N/A",
        },
        "mmbench_en_dev_static": {"alias": "m", "gpt_eval_score,none": 82.9, "submission,none": None},
        "scienceqa_img": {"alias": "s", "exact_match,none": 0.883, "exact_match_stderr,none": 0.007},
        "seedbench": {"seed_image,none": 0.761, "seed_video,none": 0.5, "seed_all,none": 0.7, "samples": 18000},
        "crpe_relation": {"exact_match,flexible-extract": 0.762, "exact_match_stderr_clt,flexible-extract": 0.01},
        "llava_in_the_wild": {"gpt_eval_llava_all,none": None, "gpt_eval_llava_conv,none": float("nan")},
        "gqa": {"alias": "gqa", "exact_match,none": 0.6, "exact_match_stderr,none": 0.01},
    },
    "n-samples": {"mme": {"original": 2374, "effective": 2374}},
}


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> Path:
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(BASE)
    return write(model, pin(BASE, "model"), tmp_path_factory.mktemp("loras") / "scale", 0, ["q_proj", "down_proj"])


@pytest.fixture(scope="module")
def asks() -> list[Ask]:
    from datasets import load_dataset

    rows = load_dataset("tiny/benchmark", split="dev[:4]")
    return [Ask(row["question"], (row["image"].convert("RGB"),)) for row in rows]


def said(asks: list[Ask], model: str, **settings: Any) -> torch.Tensor:
    judge = LocalJudge(model, **settings)
    return torch.tensor(judge.likelihoods(asks, [["red", "a blue circle", "photo"]] * len(asks)))


def test_the_folder_says_what_the_model_says_with_its_adapter_on(adapter, asks, tmp_path) -> None:
    folder = merged(BASE, None, adapter, tmp_path / "model", dtype="float32").path
    worn, bare = said(asks, BASE, adapter=str(adapter)), said(asks, BASE)
    torch.testing.assert_close(said(asks, str(folder)), worn, atol=1e-4, rtol=1e-5)
    assert (worn - bare).abs().max() > 0.5


def test_the_command_line_writes_the_model_and_prints_the_command(adapter, asks, tmp_path, capsys) -> None:
    given = ["--base", BASE, "--adapter", str(adapter), "--output", str(tmp_path / "out put")]
    told = main([*given, "--tasks", "mme", "seedbench", "--batch_size", "4"])
    assert shlex.split(capsys.readouterr().out.splitlines()[-1]) == told
    folder = tmp_path / "out put" / "model"
    asked = dict(zip(told[3:-1:2], told[4:-1:2], strict=True))
    assert told[:3] == ["python", "-m", "lmms_eval"] and told[-1] == "--log_samples"
    assert asked == {
        "--model": "llava_hf",  # tiny/vlm is one
        "--model_args": f"pretrained={folder}",
        "--tasks": "mme,seedbench",
        "--batch_size": "4",
        "--output_path": str(tmp_path / "out put" / "results"),
    }
    from transformers import AutoModelForImageTextToText, AutoProcessor

    whole = AutoModelForImageTextToText.from_pretrained(folder)
    assert whole.dtype == torch.bfloat16 and AutoProcessor.from_pretrained(folder).chat_template
    kept = (folder / "model.safetensors").stat().st_mtime_ns
    assert main([*given, "--tasks", "mme", "seedbench", "--batch_size", "4"]) == told
    assert (folder / "model.safetensors").stat().st_mtime_ns == kept
    rounded = said(asks, str(folder)) - said(asks, BASE, adapter=str(adapter))
    assert rounded.abs().max() < 1.0  # of log-probabilities; in float32 by the test above


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"--adapter": "nowhere"}, "no adapter_config.json"),
        ({"--output": "a,b"}, "reads no path with commas, quotes or brackets"),
        ({"--tasks": "mme,gqa"}, "tasks: .* is not accepted"),
        ({"--base": "tiny/llm"}, "tiny/llm"),
    ],
)
def test_what_cannot_be_handed_over_is_refused_in_a_line(change, why, adapter, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"--base": BASE, "--adapter": str(adapter), "--output": str(tmp_path / "out")} | change
    with pytest.raises(SystemExit) as stopped:
        main([part for pair in given.items() for part in pair])
    assert stopped.value.code == 2 and re.search(why, capsys.readouterr().err)
    assert not (tmp_path / "out" / "model" / "config.json").exists()


@pytest.mark.parametrize(
    ("kind", "name"), [("qwen2_5_vl", "qwen2_5_vl"), ("llava_onevision", "llava_hf"), ("smolvlm", "huggingface")]
)
def test_models_are_called_what_lmms_eval_calls_them(kind: str, name: str, tmp_path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    assert harness.name_of(tmp_path) == name


def test_results_come_by_the_papers_names_and_in_its_scales(tmp_path) -> None:
    file = tmp_path / "vlm" / "20261101_120000_results.json"
    file.parent.mkdir()
    file.write_text(json.dumps(RESULTS))
    found = read_results(file)
    assert found == pytest.approx(
        {
            "mme": 2250.0,
            "mmbench_en": 82.9,
            "scienceqa": 88.3,
            "seedbench": 76.1,
            "crpe_relation": 76.2,
            "gqa/exact_match": 0.6,
        }
    )
    assert set(found) - {"gqa/exact_match"} < set(BENCHMARKS)
    older = tmp_path / "other" / "20261031_235959_results.json"
    older.parent.mkdir()
    older.write_text(json.dumps({"results": {"mme": {}}}))
    assert read_results(tmp_path) == found and read_results(older) == {}


def test_the_form_of_its_documentation_is_read_too(tmp_path) -> None:
    """docs/releases/lmms-eval-0.4.md: no filter behind the metric's name."""
    told = {"results": {"mme": {"mme_perception_score": 1245.5, "mme_cognition_score": 287.5}}, "config": {}}
    (tmp_path / "a_results.json").write_text(json.dumps(told))
    assert read_results(tmp_path) == {"mme": 1533.0}
    del told["results"]["mme"]["mme_cognition_score"]  # half of it is no MME
    (tmp_path / "a_results.json").write_text(json.dumps(told))
    assert read_results(tmp_path) == {}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"results": []}', '{"results": {"mme": 3}}', "\x00"])
def test_what_is_no_results_file_is_refused(content: str, tmp_path) -> None:
    (tmp_path / "x_results.json").write_text(content)
    with pytest.raises(ConfigError, match="no results of lmms-eval"):
        read_results(tmp_path / "x_results.json")
    with pytest.raises(ConfigError, match="no results of lmms-eval"):
        read_results(tmp_path / "missing.json")
    with pytest.raises(ConfigError, match="no file DATE_results.json"):
        (tmp_path / "empty").mkdir()
        read_results(tmp_path / "empty")


def test_one_benchmark_reported_twice_is_no_figure(tmp_path) -> None:
    twice = {"results": {name: {"gpt_eval_score,none": 80.0} for name in ("mmbench_en_dev", "mmbench_en_dev_static")}}
    (tmp_path / "x_results.json").write_text(json.dumps(twice))
    with pytest.raises(ConfigError, match="mmbench_en is reported by two tasks"):
        read_results(tmp_path)
    with pytest.raises(ConfigError, match=r"tasks: \[\] is not accepted"):
        command("model", tmp_path, (), name="huggingface")
