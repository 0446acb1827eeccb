"""self_reward_lora through its command line, against the embedded Hub: what it publishes is what it says, and loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from datasets import Dataset, load_dataset
from huggingface_hub import HfApi, ModelCard
from safetensors.torch import load_file, save_file
from whole_runs import (
    ROOT,
    code_of,
    heard,
    killed_at_each,
    loads_by_its_card,
    nothing_told_of_here,
    on_two_ranks,
    other_files,
)

import tamis.tiny
from tamis.config import ConfigError, plain_errors

pytestmark = pytest.mark.usefixtures("one_thread")
# Every stage of the embedded world's settings, each as short as it can be: what is learnt is the study's to show.
TINY = ["--config", str(ROOT / "recipes" / "self_reward_lora.tiny.yaml")]
EASY = "{model: tiny/detector, query: 'a {}', threshold: 2e-2}"  # pictures of three steps are hardly any
SHORT = ["--limit", "2", "--candidates_per_prompt", "3", "--num_inference_steps", "3", "--num_train_epochs", "1"]
SHORT += ["--lora_r", "4", "--detector", EASY]
ARMS = ["--arms", "none", "random-1", "bottom-1", "top-1", "top-1.dpo"]
SMALL = [
    *TINY,
    *SHORT,
    "--limit",
    "1",
    *ARMS,
    "--rounds",
    "2",
    "--most_diversity_lost",
    "1",
    "--images_per_prompt",
    "2",
]
# The prompts written by tiny/llm, one process, not pushed: what other ways to run are held against.
WRITTEN = ["--dataset", "null", "--writer", "{model: tiny/llm}", "--prompts_per_class", "2", "--heldout_prompts", "1"]
WRITTEN += ["--complex_prompts", "0"]
LEAN = [*TINY, *SHORT, *WRITTEN, "--no_push_to_hub", "--pairwise", "null", "--unrelated_prompts"]
LEAN += ["--images_per_prompt", "1"]


@pytest.fixture(scope="module")
def small(main: Any, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, str]:
    return heard(main, SMALL, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def pool(small: tuple) -> list[dict[str, Any]]:
    return list(load_dataset("me/self-reward-pictures", "scores", split="train").remove_columns("image"))


@pytest.fixture(scope="module")
def lean(main: Any, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lean") / "out"
    main([*LEAN, "--output_dir", str(folder)])
    return folder


def config_of(name: str) -> list[dict[str, Any]]:
    return list(load_dataset("me/self-reward-pictures", name, split="train").remove_columns("image"))


def test_it_ends_with_addresses_and_says_what_happened_in_each_round(small: tuple, hub: Any) -> None:
    folder, results, said = small
    assert f"published {hub.url}/datasets/me/self-reward-pictures at " in said
    assert f"published {hub.url}/me/self-reward-lora at " in said
    assert said.rstrip().endswith(str(folder / "results.json"))
    assert "prompts: 2 train, plain, 2 heldout, plain, 2 heldout, complex" in said
    assert "12 not used: complex: none is trained on" in said
    for told in results["rounds"]:
        assert f"round {told['round']}: {told['passing']} of 6 pictures pass" in said


def test_the_adapter_loads_by_the_code_on_the_card_and_changes_the_picture(small: tuple) -> None:
    loads_by_its_card("me/self-reward-lora", "top-1", "a photo of a moon")
    files = set(HfApi().list_repo_files("me/self-reward-lora"))
    arms = ("random-1.1", "bottom-1", "top-1", "top-1.dpo", "top-1.round-2")
    assert {f"{arm}/pytorch_lora_weights.safetensors" for arm in arms} <= files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]


def test_the_card_tells_the_win_rate_beside_both_claims_of_the_paper(small: tuple) -> None:
    _, results, _ = small
    card = ModelCard.load("me/self-reward-lora")
    assert card.data.base_model == "tiny/sd" and "me/self-reward-pictures" in card.data.datasets
    told = {(one.metric_type, one.metric_args["arm"]): one for one in card.data.eval_results}
    mean = results["arms"]["top-1"]["clip_similarity"]
    assert told["clip_similarity", "top-1"].metric_value == pytest.approx(mean["value"], abs=1e-6)
    [won] = [
        one
        for one in results["comparisons"]
        if (one["a"], one["b"], one["metric"], one["clustered_by"])
        == ("top-1", "none", "clip_similarity_win_rate", "prompt_id")
    ]
    assert f"in {0.5 + won['difference']:.1%} [" in card.text and won["n"] == 8
    assert "70 % for two classes, its abstract at least 60 %" in card.text
    assert "It is the judge that chose the training pictures" in card.text


def test_every_generated_picture_is_there_with_scores_rank_and_round(small: tuple, pool: list[dict[str, Any]]) -> None:
    prompts = {row["prompt_id"]: row for row in config_of_prompts()}
    train = [name for name, row in prompts.items() if row["use"] == "train"]
    wanted = [f"{name}-round-{number}-{turn}" for number in (1, 2) for name in train for turn in range(3)]
    assert [row["row_id"] for row in pool] == wanted
    for row in pool:
        own = prompts[row["prompt_id"]]
        assert (row["prompt"], row["class"]) == (own["prompt"], own["class"])  # each prompt keeps its own text
        assert row["complexity"] == "plain" and row["self_reward_score"] is not None and row["caption_text"]
        assert (row["reward_rank"] is None) == (row["detection_confidence"] < 0.02)
    noise = {number: [row["image_seed"] for row in pool if row["round"] == f"round-{number}"] for number in (1, 2)}
    assert len(set(noise[1])) == 6 and noise[1] == noise[2]
    assert {row["adapter"] for row in pool if row["round"] == "round-1"} == {""}
    assert {row["adapter"] for row in pool if row["round"] == "round-2"} == {"top-1"}


def config_of_prompts() -> list[dict[str, Any]]:
    return list(load_dataset("me/self-reward-pictures", "prompts", split="train"))


def test_arms_are_what_their_names_say(small: tuple, pool: list[dict[str, Any]]) -> None:
    for prompt in {row["prompt_id"] for row in pool}:
        for number, arm in ((1, "top-1"), (2, "top-1.round-2")):
            mine = [row for row in pool if row["prompt_id"] == prompt and row["round"] == f"round-{number}"]
            passing = [row for row in mine if row["reward_rank"] is not None]
            chosen = [row["reward_rank"] for row in mine if arm in row["arms"]]
            assert chosen == [max(row["reward_rank"] for row in passing)] * bool(passing)
        first = [row for row in pool if row["prompt_id"] == prompt and row["round"] == "round-1"]
        worst = [row["self_reward_score"] for row in first if "bottom-1" in row["arms"]]
        assert worst == [min(row["self_reward_score"] for row in first)]
        assert sum("random-1.1" in row["arms"] for row in first) == 1
    kept = {row["row_id"]: row for row in config_of("top-1")}
    assert set(kept) == {row["row_id"] for row in pool if "top-1" in row["arms"]}


def test_what_is_held_out_is_never_generated_from_and_drawn_by_all_from_the_same_noise(small: tuple) -> None:
    prompts = {row["prompt_id"]: row["use"] for row in config_of_prompts()}
    drawn = config_of("drawn")
    assert {prompts[row["prompt_id"]] for row in drawn} == {"heldout"}
    assert {row["complexity"] for row in drawn} == {"plain", "complex"}
    noise: dict[str, list[Any]] = {}
    for row in drawn:
        noise.setdefault(row["arm"], []).append((row["prompt_id"], row["turn"], row["image_seed"]))
        assert row["adapter"] == ("" if row["arm"] == "none" else row["arm"])
    assert set(noise) == {"none", "random-1.1", "bottom-1", "top-1", "top-1.dpo", "top-1.round-2"}
    assert all(sorted(told) == sorted(noise["none"]) and len(told) == 8 for told in noise.values())


def test_results_have_the_form_that_all_recipes_share(small: tuple) -> None:
    folder, results, _ = small
    written = json.loads((folder / "results.json").read_text())
    assert list(written["arms"]) == ["none", "random-1", "bottom-1", "top-1", "top-1.dpo", "top-1.round-2"]
    for arm, metrics in written["arms"].items():
        assert {"clip_similarity", "detection_found", "oracle_accuracy", "diversity"} <= set(metrics)
        assert {"clip_similarity@complexity=plain", "clip_similarity@class=moon"} <= set(metrics)
        assert ("retention" in metrics) == (arm != "none")
    compared = {(one["a"], one["b"], one["metric"]) for one in written["comparisons"]}
    for metric in ("clip_similarity", "clip_similarity_win_rate@complexity=complex", "pairwise_win_rate"):
        assert {("top-1", rival, metric) for rival in ("none", "random-1", "bottom-1", "top-1.round-2")} <= compared
    assert not [metric for _, _, metric in compared if metric.startswith("detection_") and "win_rate" in metric]
    assert [one["round"] for one in written["rounds"]] == [1, 2] and written["ended"] is None
    assert all(0 < one["diversity"] < 2 and sum(one["decided_by"].values()) == 2 for one in written["rounds"])
    sources = {source["repo_id"] for source in written["sources"]}
    assert sources >= {"tiny/prompts", "tiny/sd", "tiny/vlm", "tiny/detector", "tiny/clip"}


def test_the_query_on_the_card_cuts_the_same_rows(small: tuple, pool: list[dict[str, Any]]) -> None:
    folder, _, _ = small
    published = folder / "hub" / "datasets" / "me" / "self-reward-pictures"
    query = code_of((published / "README.md").read_text(), "sql")
    query = query.replace("hf://datasets/me/self-reward-pictures", str(published))
    assert {row for (row,) in duckdb.sql(query).fetchall()} == {row["row_id"] for row in pool if "top-1" in row["arms"]}


def test_all_arms_train_for_as_many_steps(small: tuple) -> None:
    folder, _, _ = small
    records = [json.loads(path.read_text()) for path in (folder / "adapters").rglob("training.json")]
    assert len(records) == 5 and {record["train_metrics"]["steps"] for record in records} == {1}


def test_no_path_in_anything_published(small: tuple, hub: Any) -> None:
    folder, _, _ = small
    nothing_told_of_here(folder, hub.environment["HF_TOKEN"], least=4)
    for name in ("scores", "drawn", "top-1.round-2"):
        assert str(folder) not in json.dumps(config_of(name))


def test_written_prompts_are_split_before_anything_is_drawn(lean: Path) -> None:
    told = json.loads((lean / "results.json").read_text())
    assert told["prompts"] == {"train, plain": 4, "heldout, plain": 2}
    card = next((lean / "hub" / "datasets").glob("*/*/README.md")).read_text()
    assert "written by the judge in the settings below" in card and "tiny/llm" in card
    prompts = load_dataset("parquet", data_files=str(next((lean / "hub").rglob("data/prompts/*.parquet"))))["train"]
    assert len(set(prompts["prompt"])) == 6
    assert all(row["class"] in row["prompt"] for row in prompts)


def test_two_ranks_publish_what_one_publishes(lean: Path, tmp_path: Path) -> None:
    said = on_two_ranks("self_reward_lora", [*LEAN, "--output_dir", str(tmp_path / "two")])
    assert said.count("results.json") == 1  # one rank speaks
    results = json.loads((tmp_path / "two" / "results.json").read_text())
    assert all(stage["ranks"] == 2 for stage in results["stages"] if stage["name"].startswith("score "))
    assert other_files(lean, tmp_path / "two") == []


def test_killed_in_any_act_it_goes_on_to_the_same(lean: Path, main: Any, tmp_path: Path) -> None:
    """kill -9 while it reads (prompts are written), generates, scores, trains, draws and publishes; then to the end."""
    out = tmp_path / "killed"
    drawn_first = len(list((lean / "journal" / "image").glob("*.arrow")))
    moments = [
        lambda: any((out / "journal" / "prompt_writer").glob("*.arrow")),
        lambda: any((out / "journal" / "image").glob("*.arrow")),
        lambda: any((out / "journal" / "self_reward").glob("*.arrow")),
        lambda: any((out / "adapters").rglob("training.json")),
        lambda: len(list((out / "journal" / "image").glob("*.arrow"))) >= drawn_first - 1,
        lambda: any((out / "hub").rglob("*.parquet")),
    ]
    killed_at_each(moments, main, [*LEAN, "--output_dir", str(out)])
    results = json.loads((out / "results.json").read_text())
    assert results["arms"] == json.loads((lean / "results.json").read_text())["arms"]
    reused = {stage["name"] for stage in results["stages"] if stage.get("chunks_reused")}
    assert {"score prompt_writer", "score image", "score self_reward"} <= reused
    assert [stage["adapters_reused"] for stage in results["stages"] if stage["name"] == "train"] == [2]
    assert other_files(lean, out) == []


def test_a_lora_for_each_class(lean: Path, main: Any, tmp_path: Path) -> None:
    """In the same folder: what is known is not computed again, and nothing of the run before is published."""
    again = tmp_path / "again"
    shutil.copytree(lean, again)
    results = main([*LEAN, "--output_dir", str(again), "--per_class", "--arms", "none", "top-1"])
    assert list(results["arms"]) == ["none", "top-1"]
    models = next((again / "hub" / "models").glob("*/*"))
    saved = {str(path.parent.relative_to(models)) for path in models.rglob("kohya.safetensors")}
    assert saved == {"moon/top-1", "arrow/top-1"}
    assert 'subfolder="moon/top-1"' in (models / "README.md").read_text()
    drawn = load_dataset("parquet", data_files=str(next((again / "hub").rglob("data/drawn/*.parquet"))))["train"]
    worn = {(row["class"], row["adapter"]) for row in drawn if row["arm"] == "top-1"}
    assert worn == {("moon", "moon/top-1"), ("arrow", "arrow/top-1")}
    generated = next(stage for stage in results["stages"] if stage["name"] == "score image")
    assert generated["chunks_computed"] == 0


def test_a_dry_run_counts_and_publishes_nothing(main: Any, tmp_path: Path, capsys: Any) -> None:
    """Of prompts that are still to be written: a few of one class are."""
    settings = ["--classes", "moon", "arrow", "star", "--heldout_prompts", "1", "--prompts_per_class", "50"]
    settings += ["--limit", "9", *ARMS, "--rounds", "2", "--hub_dataset_id", "me/dry-pictures"]
    pushing = [one for one in LEAN if one != "--no_push_to_hub"]
    figures = main([*pushing, *settings, "--dry_run", "--output_dir", str(tmp_path / "dry")])["dry_run"]
    assert figures["prompts"] == "27 to train on, 3 held out" and figures["writing them"].startswith("about ")
    assert figures["generating"].startswith("162 pictures") and "downloads" in capsys.readouterr().out
    assert figures["training"].startswith("at most 5 adapters, 35 steps")
    assert not HfApi().repo_exists("me/dry-pictures", repo_type="dataset")
    assert [path.name for path in (tmp_path / "dry").iterdir()] == [".lock"]  # and nothing that a run would use


# ---- bad input -------------------------------------------------------------------------------------------------------


def prompts_in(folder: Path, *told: tuple[str, str, str]) -> list[str]:
    """Settings for prompts of one's own: (split, class, prompt)."""
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        rows = [{"id": f"{split}-{n}", "class": c, "prompt": p} for n, (s, c, p) in enumerate(told) if s == split]
        Dataset.from_list(rows).to_parquet(str(folder / f"{split}.parquet"))
    own = ["--dataset", str(folder), "--complexity_column", "null", "--heldout_split", "test"]
    own += ["--classes", *dict.fromkeys(c for _, c, _ in told)]
    others = LEAN[len(TINY) + len(SHORT) + len(WRITTEN) :]
    return [*TINY, *SHORT, *own, *others, "--arms", "none", "top-1", "--output_dir", str(folder.parent / "out")]


KNOWN = [
    ("train", "star", "a red plain star on white ground"),
    ("test", "star", "a blue striped star on black ground"),
]


def test_a_class_that_the_detector_does_not_know_is_left_out_and_said(main: Any, tmp_path: Path, capsys: Any) -> None:
    """And a prompt longer than the encoder reads is kept, and told."""
    long = "a zeppelin over a town " * 20
    strange = [("train", "zeppelin", long), ("test", "zeppelin", "a zeppelin at night")]
    settings = prompts_in(tmp_path / "set", *KNOWN, *strange)
    sure = "{model: tiny/detector, query: 'a {}', threshold: 0.5}"
    results = main([*settings, "--detector", sure, "--num_inference_steps", "15", "--candidates_per_prompt", "4"])
    assert results["refused"] == {"zeppelin": "none of its 4 pictures passes"}
    said = capsys.readouterr().out
    assert "left out: zeppelin: none of its 4 pictures passes" in said
    assert "1 longer than the 32 tokens that the model's text encoder reads: cut there" in said
    assert results["cut"] == {"prompts": 1, "tokens": 32}
    assert results["prompts"] == {"train, plain": 2, "heldout, plain": 2}  # all of them are published
    assert not [metric for metric in results["arms"]["top-1"] if "zeppelin" in metric]
    pool = load_dataset("parquet", data_files=str(next((tmp_path / "out").rglob("data/scores/*.parquet"))))["train"]
    assert pool["class"][:] == ["star"] * 4 + ["zeppelin"] * 4 and pool["prompt"][-1] == long


def test_no_picture_that_passes_ends_in_one_line(main: Any, tmp_path: Path) -> None:
    sure = "{model: tiny/detector, query: 'a {}', threshold: 1.0}"
    with pytest.raises(ConfigError, match="no class is left of 1: .* another threshold, or another way to ask"):
        main([*prompts_in(tmp_path / "set", *KNOWN), "--detector", sure])
    assert not (tmp_path / "out" / "hub").exists()


def test_a_model_that_draws_nothing_finite_ends_in_one_line(main: Any, tmp_path: Path, capsys: Any) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(Path(tamis.tiny.__file__).parent / "weights" / "sd", broken)
    weights = next((broken / "vae").glob("*.safetensors"))
    save_file({name: value * float("nan") for name, value in load_file(weights).items()}, weights)
    with pytest.raises(ConfigError, match="no class is left of 1"):
        main([*prompts_in(tmp_path / "set", *KNOWN), "--base_model", str(broken)])
    assert "0 of 3 pictures pass, 1 prompts dropped (no picture could be drawn)" in capsys.readouterr().out


def test_rounds_end_where_the_model_draws_the_same_again(main: Any, lean: Path, tmp_path: Path, capsys: Any) -> None:
    again = tmp_path / "again"
    shutil.copytree(lean, again)
    settings = [*LEAN, "--output_dir", str(again), "--rounds", "3", "--learning_rate", "0.3", "--arms", "none", "top-1"]
    results = main([*settings, "--most_diversity_lost", "0.05"])  # a rate that destroys it: one picture for everything
    assert len(results["rounds"]) == 2 and "top-1.round-2" not in results["arms"]
    assert f"no further round is trained: {results['ended']}" in capsys.readouterr().out
    assert results["ended"] in next((again / "hub" / "models").glob("*/*/README.md")).read_text().replace("\\", "")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--arms", "none", "tops-1"], "arms: 'tops-1' is not accepted"),
        (["--arms", "none", "random-1"], "give at least one plain top-K"),
        (["--candidates_per_prompt", "1"], "candidates_per_prompt: 1 is not accepted; expected 2 or more"),
        (["--rounds", "0"], "rounds: 0 is not accepted"),
        (["--most_diversity_lost", "1.5"], "most_diversity_lost: 1.5 is not accepted; expected 0 to 1"),
        (["--writer", "{model: tiny/llm}"], "give one of them"),
        (["--classes", "unicorn"], "classes: 'unicorn' is not in column 'class'"),
        (["--prompt_column", "story"], "column 'story' is not in the dataset"),
        (["--heldout_split", "validation"], "validation"),
        (["--pairwise_column", "story"], "pairwise_column: no column 'story'"),
        (["--detector", "{model: tiny/detector, query: a}"], "query: 'a' is not accepted"),
        (["--detector", "{model: tiny/clap}"], "model 'tiny/clap': no such folder here"),
        (["--judge", "{model: tiny/vlm, speed: 3}"], "unknown key 'speed'"),
        (["--ranking", "best"], "ranking: 'best' is not accepted"),
        (["--detector", "{model: tiny/detector, name: owl}"], "detector: no column 'detection_confidence'"),
        (["--clip", "{model: tiny/clip, embedding: false}"], "clip: no column 'clip_embedding'"),
        (["--similarity", "{model: tiny/clip, name: likeness}"], "similarity: no column 'caption_similarity_cosine'"),
        (["--snr_gamma", "5"], "snr_gamma: pairs are not weighted by timestep; set it to null for top-1.dpo"),
        (["--arms", "none", "top-4"], "arms: top-4: there are 3 pictures a prompt"),
        (["--arms", "none", "top-1", "bottom-1.dpo"], "arms: bottom-1.dpo: the worst beside itself is no pair"),
    ],
)
def test_wrong_settings_end_in_one_line(main: Any, tmp_path: Path, capsys: Any, settings: list, said: str) -> None:
    with pytest.raises(SystemExit) as ended, plain_errors():
        main([*SMALL, "--no_push_to_hub", "--output_dir", str(tmp_path / "out"), *settings])
    assert ended.value.code == 2 and said in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.arrow"))  # before anything was asked, drawn or trained
