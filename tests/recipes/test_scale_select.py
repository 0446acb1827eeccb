"""scale_select through its command line, against the embedded Hub: what it publishes is what it says, and loads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import load_dataset
from huggingface_hub import HfApi, ModelCard
from whole_runs import (
    ROOT,
    code_of,
    heard,
    killed_at_each,
    nothing_told_of_here,
    on_two_ranks,
    same_but_for_speed,
)

from tamis.config import plain_errors

pytestmark = pytest.mark.usefixtures("one_thread")
# Every stage of the embedded world's settings, each as short as it can be: what is learnt is the study's to show.
TINY = ["--config", str(ROOT / "recipes" / "scale_select.tiny.yaml")]
EXAM = "{name: tiny, dataset: tiny/benchmark, split: test, id_column: index, limit: 14}"
SHORT = ["--max_train_steps", "2", "--benchmarks", EXAM, "--replies", "2", "--reply_tokens", "8"]
ARMS = ["base", "full", "random-10pct", "scale-10pct", "scale-10pct.per-source", "mm-10pct"]
SMALL = [*TINY, *SHORT, "--limit", "10", "--arms", *ARMS, "--random_draws", "2"]
SMALL += ["--other_seeds", "5", "--other_seeds_arms", "random-10pct", "scale-10pct", "--learning_rate", "5e-3"]
# Less of it, one process, not pushed: what other ways to run are held against.
SOURCES = [f"{{source: {name}, dataset: tiny/pool, dataset_config: {name}}}" for name in ("AS-V2", "A-OKVQA")]
LEAN = [*TINY, *SHORT, "--limit", "10", "--sources", *SOURCES, "--random_draws", "1", "--no_push_to_hub"]
LEAN += ["--arms", "base", "random-20pct", "scale-20pct"]
ROWS, TENTH = 80, 8


@pytest.fixture(scope="module")
def small(main: Any, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, str]:
    return heard(main, SMALL, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def pool(small: tuple) -> Any:
    return load_dataset("me/scale-select", "scores", split="train")


@pytest.fixture(scope="module")
def lean(main: Any, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lean") / "out"
    main([*LEAN, "--output_dir", str(folder)])
    return folder


def test_it_ends_with_addresses_and_says_whether_the_claim_holds(small: tuple, hub: Any) -> None:
    folder, _, said = small
    assert f"published {hub.url}/datasets/me/scale-select at " in said
    assert f"published {hub.url}/me/scale-select-lora at " in said
    assert said.rstrip().endswith(str(folder / "results.json"))
    assert f"{ROWS} rows of 8 sources" in said and "tiny: 14 questions" in said
    assert "better than on as many rows" in said or "other than on as many rows" in said or "worse than on" in said
    assert said.count(" on as many rows drawn at random: ") == 1


def test_every_row_has_its_scores_or_a_reason(pool: Any) -> None:
    assert len(pool) == ROWS and len(set(pool["row_id"])) == ROWS
    columns = ["rated_image_level", "text_quality_overall", "multimodal_overall"]
    for row in pool.remove_columns("image"):
        for column in columns:
            reason = row[f"{column.rpartition('_')[0]}_error"]
            assert (row[column] is None) == (reason is not None), (column, row["row_id"])
            assert row[column] is None or 1 <= row[column] <= 5
        whole = [row[column] for column in columns]
        expected = None if None in whole else np.mean(whole)
        assert row["scale_score"] == (None if expected is None else pytest.approx(expected, abs=1e-6))
        assert (row["task_subtask"] is None) == (row["task_error"] is not None)
        assert row["language"] in ("en", "unknown")


def test_arms_are_as_large_as_each_other_and_named_in_the_pool(pool: Any, small: tuple) -> None:
    _, results, _ = small
    inside = {
        arm: {row["row_id"] for row in pool.remove_columns("image") if arm in row["arms"]}
        for arm in results["training"]
    }
    main_seed = {arm: rows for arm, rows in inside.items() if ".seed-" not in arm}
    assert len(main_seed.pop("full")) == ROWS
    assert set(main_seed) == {"random-10pct.1", "random-10pct.2", "scale-10pct", "scale-10pct.per-source", "mm-10pct"}
    assert {len(rows) for rows in main_seed.values()} == {TENTH}
    scores = dict(zip(pool["row_id"], pool["scale_score"], strict=True))
    kept = main_seed["scale-10pct"]
    lowest = min(scores[row] for row in kept)
    assert all(score is None or score <= lowest for row, score in scores.items() if row not in kept)
    selected = load_dataset("me/scale-select", "scale-10pct", split="train")
    assert set(selected["row_id"]) == kept
    other = load_dataset("me/scale-select", "random-10pct.1.seed-5.rows", split="train")["row_id"]
    assert set(other) == inside["random-10pct.1.seed-5"] != main_seed["random-10pct.1"]
    ids = load_dataset("me/scale-select", "random-10pct.1.rows", split="train")
    assert set(ids["row_id"]) == main_seed["random-10pct.1"] and "image" not in ids.column_names


def test_the_query_on_the_card_selects_the_same_rows(small: tuple, pool: Any) -> None:
    import duckdb

    folder, _, _ = small
    card = (folder / "hub" / "datasets" / "me" / "scale-select" / "README.md").read_text()
    published = folder / "hub" / "datasets" / "me" / "scale-select" / "data" / "scores" / "*.parquet"
    query = code_of(card, "sql").replace("hf://datasets/me/scale-select/data/scores/*.parquet", str(published))
    found = {row_id for (row_id,) in duckdb.sql(query).fetchall()}
    assert found == set(load_dataset("me/scale-select", "scale-10pct", split="train")["row_id"])


def test_everyone_answers_every_question_once(small: tuple) -> None:
    answers = load_dataset("me/scale-select", "answers", split="train")
    by: dict[tuple[str, int], list[str]] = {}
    for row in answers:
        by.setdefault((row["arm"], row["seed"]), []).append(row["row_id"])
    assert all(len(ids) == len(set(ids)) == 14 for ids in by.values())
    assert {arm for arm, seed in by if seed == 5} == {"random-10pct.1", "scale-10pct"}
    assert all(row["benchmark_answer"] and 0 <= row["benchmark_probability"] <= 1 for row in answers)
    replies = load_dataset("me/scale-select", "replies", split="train")
    assert len(replies) == 2 and all(row["base"] and row["question"] for row in replies)


def test_the_adapter_loads_by_the_code_on_the_card_and_is_no_other_model(small: tuple) -> None:
    import torch

    names: dict[str, Any] = {}
    exec(code_of(ModelCard.load("me/scale-select-lora").text, "python"), names)
    model = names["model"]
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        worn = model(input_ids=ids).logits
        model.disable_adapters()
        bare = model(input_ids=ids).logits
    assert (worn - bare).abs().max() > 1e-3


def test_results_have_the_form_that_all_recipes_share(small: tuple) -> None:
    folder, _, _ = small
    written = json.loads((folder / "results.json").read_text())
    assert set(written["arms"]) == {"base", "full", "random-10pct", "scale-10pct", "scale-10pct.per-source", "mm-10pct"}
    assert written["arms"]["random-10pct"]["benchmark_accuracy"]["n"] == 14 * 3  # two draws, and another seed's
    told = {(one["a"], one["b"]) for one in written["comparisons"]}
    assert ("scale-10pct", "random-10pct") in told and ("mm-10pct", "full") in told
    assert set(written["draws"]["benchmark_accuracy"]["scale-10pct"]["each"]) == {
        "scale-10pct, seed 0",
        "scale-10pct, seed 5",
    }
    assert written["relative"]["benchmark_words_accuracy"]["full"] == 1
    stages = [stage["name"] for stage in written["stages"]]
    order = ["score rated_image", "score text_quality", "score task", "score general_caption", "score task_caption"]
    assert [name for name in stages if name in (*order, "score multimodal")] == [*order, "score multimodal"]
    found = {(one["column"], one["fault"]): one for one in written["faults"]}
    assert found["rated_image_level", "blur"]["value"] is not None
    assert sum(source["taken"] for source in written["pool"].values()) == ROWS
    columns = {"source", "task_category", "task_subtask", "language", "reply_length"}
    assert {one["column"] for one in written["composition"]} == columns


def test_cards_tell_what_was_done_and_no_more(small: tuple) -> None:
    folder, results, _ = small
    cards = {
        kind: (folder / "hub" / kind / "me" / name / "README.md").read_text()
        for kind, name in (("models", "scale-select-lora"), ("datasets", "scale-select"))
    }
    verdict = re.search(r"\*\*(Tuned on .*?)\*\*", cards["models"]).group(1)
    assert "its draws and seeds, one by one: " in verdict and verdict.replace("\\", "")[:60] in cards[
        "datasets"
    ].replace("\\", "")
    assert "here it is the mean of `rated_image_level`, `text_quality_overall`, `multimodal_overall`" in cards["models"]
    assert "### By task" in cards["models"] and "### By benchmark" not in cards["models"]
    assert "None" not in [
        part.partition("=")[2] for told in results["arms"].values() for part in told if "@task=" in part
    ]
    assert results["nulls"]["scale_score"] == {} or set(results["nulls"]["scale_score"]) == {
        "a column it weighs is null"
    }


def test_no_path_in_anything_published(small: tuple, hub: Any) -> None:
    folder, _, _ = small
    nothing_told_of_here(folder, hub.environment["HF_TOKEN"], least=6)
    assert not [name for name in HfApi().list_repo_files("me/scale-select-lora") if name.endswith((".bin", ".pt"))]


def test_a_stage_runs_alone_and_is_found_by_the_whole_run(lean: Path, main: Any, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "staged"
    for stage in ("text", "multimodal"):
        results = main([*LEAN, "--stage", stage, "--output_dir", str(out)])
        assert results["arms"] == {} and not (out / "adapters").exists() and not (out / "hub").exists()
        assert (out / f"results.{stage}.json").is_file() and not (out / "results.json").exists()
    named = {stage["name"] for stage in results["stages"]}
    assert {"score task", "score general_caption", "score task_caption", "score multimodal"} <= named
    assert not {"score rated_image", "score text_quality"} & named
    main([*LEAN, "--output_dir", str(out)])
    assert same_but_for_speed(lean, out)
    stages = {stage["name"]: stage for stage in json.loads((out / "results.json").read_text())["stages"]}
    for name in ("score text_quality", "score multimodal"):
        assert stages[name]["chunks_reused"] and not stages[name].get("chunks"), stages[name]
        assert stages[name]["seconds"] < 2


def test_two_ranks_publish_what_one_publishes(lean: Path, tmp_path: Path) -> None:
    said = on_two_ranks("scale_select", [*LEAN, "--output_dir", str(tmp_path / "two")])
    assert said.count("results.json") == 1  # one rank speaks
    results = [json.loads((folder / "results.json").read_text()) for folder in (lean, tmp_path / "two")]
    assert all(stage["ranks"] == 2 for stage in results[1]["stages"] if stage["name"].startswith("score "))
    assert results[0]["pool"] == results[1]["pool"] and results[0]["ties"].keys() == results[1]["ties"].keys()
    for arm, metrics in results[0]["arms"].items():
        told = metrics["benchmark_probability"]["value"]
        assert results[1]["arms"][arm]["benchmark_probability"]["value"] == pytest.approx(told, abs=0.01), arm


def test_killed_in_any_act_it_goes_on_to_the_same(lean: Path, main: Any, tmp_path: Path) -> None:
    """kill -9 while it reads, in each stage, while it trains, answers and publishes; then to the end."""
    out = tmp_path / "killed"
    moments = [lambda: any((out / "pool").glob("*.arrow"))]
    stages = ("image_quality", "rated_image", "text_quality", "task", "general_caption", "task_caption", "multimodal")
    for name in stages:
        moments.append(lambda name=name: any((out / "journal" / name).glob("*.arrow")))
    moments += [
        lambda: any((out / "adapters").rglob("training.json")),
        lambda: any((out / "journal" / "benchmark").glob("*.arrow")),
        lambda: any((out / "hub").rglob("*.parquet")),
    ]
    killed_at_each(moments, main, [*LEAN, "--output_dir", str(out)])
    assert same_but_for_speed(lean, out)


def test_the_language_model_is_tuned_whole_and_published_to_load(lean: Path, main: Any, tmp_path: Path) -> None:
    out = tmp_path / "whole"
    results = main([*LEAN, "--tuning", "language_model", "--learning_rate", "1e-3", "--output_dir", str(out)])
    from transformers import AutoModelForImageTextToText

    published = next((out / "hub" / "models").glob("*/*"))
    model = AutoModelForImageTextToText.from_pretrained(published / "scale-20pct")
    base = AutoModelForImageTextToText.from_pretrained("tiny/vlm")
    pairs = zip(model.named_parameters(), base.parameters(), strict=True)
    moved = {name for (name, one), two in pairs if (one != two).any()}
    assert moved and not any("vision_tower" in name for name in moved)
    assert (published / "scale-20pct" / "chat_template.jinja").is_file()
    told, before = (one["arms"]["scale-20pct"]["benchmark_probability"]["value"] for one in (results, _results(lean)))
    assert told != pytest.approx(before, abs=1e-5)
    card = (published / "README.md").read_text()
    assert "base_model_relation: finetune" in card and 'subfolder="scale-20pct"' in code_of(card, "python")
    assert not [
        one["repo_id"] for one in results["sources"] if "20pct" in one["repo_id"]
    ]  # its own models are no sources


def _results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def test_a_dry_run_counts_and_publishes_nothing(main: Any, tmp_path: Path, capsys: Any) -> None:
    pushing = [one for one in LEAN if one != "--no_push_to_hub"]
    figures = main([*pushing, "--hub_dataset_id", "me/dry-pool", "--dry_run", "--output_dir", str(tmp_path / "dry")])
    told = figures["dry_run"]
    assert told["pool"] == "20 rows of 2 sources"
    assert told["benchmark"].startswith("42 answers") and told["training"].startswith("2 models of 4 steps in all")
    assert "stage multimodal" in told and "downloads" in capsys.readouterr().out
    assert not HfApi().repo_exists("me/dry-pool", repo_type="dataset")
    assert not (tmp_path / "dry" / "adapters").exists() and not (tmp_path / "dry" / "hub").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--arms", "base", "scale-10pct"], "no random arm of its size"),
        (["--arms", "scale-10pct", "random-10pct"], "arms: base is not among them"),
        (["--arms", "base", "random-10pct", "best-10pct"], "arms: 'best-10pct' is not accepted"),
        (["--rankings", "{scale: {no_such_score: 1}}"], "rankings: scale: no_such_score: no column 'no_such_score'"),
        (["--sources", "{source: Nowhere}"], "source: 'Nowhere' is not known"),
        (
            ["--benchmarks", "{dataset: tiny/benchmark, part: test}"],
            "benchmarks[0]: unknown key 'part'; accepted: dataset, name,",
        ),
        (["--composition", "text_quality_overall"], "expected texts, whole numbers, or true and false"),
        (["--rankings", "{scale: {task_subtask: 1}}"], "not a number"),
        (["--keep_columns", "language"], "is the name of a column that is made here"),
        (["--arms", "base", "scale-10pct", "random-15pct", "random-10pct.per-source"], "no random arm of its size"),
        (["--composition", "colour"], "composition: colour: no column 'colour'"),
        (["--fault_column", "fault"], "fault_column: no column 'fault'"),
        (["--stage", "all"], "stage: 'all'"),
        (["--arms", "base", "random-500", "scale-500"], "500 rows are asked for"),
    ],
)
def test_wrong_settings_end_in_one_line(main: Any, tmp_path: Path, capsys: Any, settings: list, said: str) -> None:
    with pytest.raises(SystemExit) as ended, plain_errors():
        main([*LEAN, *settings, "--output_dir", str(tmp_path / "out")])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and said in told.strip().splitlines()[-1]
    assert not (tmp_path / "out" / "adapters").exists()
