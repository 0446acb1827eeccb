"""score_and_explain through its command line, against the embedded Hub: it publishes what it says, and that loads."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

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
from tamis.training.adapter import weights_hash

pytestmark = pytest.mark.usefixtures("one_thread")
# Every stage of the embedded world's settings, each as short as it can be: what is learnt is the study's to show.
TINY = ["--config", str(ROOT / "recipes" / "score_and_explain.tiny.yaml")]
ARMS = ["base", "scoring", "merged", "sft", "merged.exact"]
SHORT = ["--limit", "24", "--max_train_steps", "2", "--pictures_per_iteration", "16", "--guessed_rows", "10"]
SMALL = [*TINY, *SHORT, "--arms", *ARMS, "--other_seeds", "5", "--other_seeds_arms", "merged"]
SMALL += ["--learning_rate", "5e-3"]  # two steps are to be seen in what it writes
# Less of it, one process, not pushed: what other ways to run are held against.
LEAN = [*TINY, "--limit", "16", "--max_train_steps", "2", "--arms", "base", "merged", "--no_push_to_hub"]


@pytest.fixture(scope="module")
def small(main: Any, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, str]:
    return heard(main, SMALL, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def replies(small: tuple) -> list[dict[str, Any]]:
    return list(load_dataset("me/score-and-explain", "replies", split="train"))


@pytest.fixture(scope="module")
def lean(main: Any, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lean") / "out"
    main([*LEAN, "--output_dir", str(folder)])
    return folder


def at(*iterations: int, arms: list[str] = ARMS) -> set[str]:
    return {f"{arm}.iteration-{number}" for arm in arms if arm != "base" for number in iterations}


def test_it_ends_with_addresses_and_says_first_what_there_is_to_learn_from(small: tuple, hub: Any) -> None:
    folder, _, said = small
    assert f"published {hub.url}/datasets/me/score-and-explain at " in said
    assert f"published {hub.url}/me/score-and-explain-lora at " in said
    assert said.rstrip().endswith(str(folder / "results.json"))
    assert "72 pictures (24 train, 24 validation, 24 test)" in said
    assert re.search(r"iteration 1: the model argues for \d+% of the wrong scores, \d+% of the right ones; ", said)


def test_pairs_are_what_they_say(small: tuple) -> None:
    sets = {kind: load_dataset("me/score-and-explain", kind) for kind in ("scoring", "consistency")}
    for split in ("iteration_1", "iteration_2"):
        scoring, consistency = sets["scoring"][split], sets["consistency"][split]
        assert 8 < len(scoring) <= 16 and scoring["row_id"][:] == consistency["row_id"][:]
        for one, other in zip(scoring, consistency, strict=True):
            chosen, rejected = one["chosen"][0]["content"], one["rejected"][0]["content"]
            assert chosen == f"#Score: {one['score']}\n#Explanation: {one['explanation_true']}"
            assert rejected == f"#Score: {one['wrong_score']}\n#Explanation: {one['explanation_wrong']}"
            assert abs(one["score"] - one["wrong_score"]) >= 2
            assert other["chosen"] == one["chosen"]
            held = f"#Score: {one['score']}\n#Explanation: {one['explanation_wrong']}"
            assert other["rejected"][0]["content"] == held
            assert one["image"].size == (64, 64)
    written = load_dataset("me/score-and-explain", "explanations", split="train")
    told = zip(written["iteration"][:], written["left_out"][:], strict=True)
    assert len(written) == 32 and len(sets["scoring"]["iteration_1"]) == sum(told == (1, None) for told in told)


def test_every_arm_replies_to_every_test_picture_once(replies: list[dict[str, Any]], small: tuple) -> None:
    test = set(load_dataset("tiny/aesthetics", split="test").select(range(24))["image_id"])
    by: dict[tuple[str, int], list[str]] = {}
    for row in replies:
        by.setdefault((row["arm"], row["seed"]), []).append(row["row_id"])
    assert {arm for arm, seed in by if seed == 0} == {"base"} | at(1, 2)
    assert {arm for arm, seed in by if seed == 5} == at(1, 2, arms=["merged"])
    assert all(len(ids) == len(set(ids)) == 24 and set(ids) == test for ids in by.values())
    read = [row["row_id"] for row in replies if row["guess_llm_error"] != "not drawn to be read by judges"]
    assert len(set(read)) == 10 and len(read) == 10 * len(by)
    trained = set(load_dataset("me/score-and-explain", "explanations", split="train")["row_id"])
    assert not trained & test


def test_every_adapter_goes_onto_the_base_and_replies_as_it_did(small: tuple, replies: list[dict[str, Any]]) -> None:
    """By the code on the card, the last merged one; then others of iteration 2, trained beside a merged one."""
    _, results, _ = small
    code = code_of(ModelCard.load("me/score-and-explain-lora").text, "python")
    rows = load_dataset("tiny/aesthetics", split="test").select(range(6))
    base = {row["row_id"]: row["explained_score_reply"] for row in replies if row["arm"] == "base"}
    assert results["last"] == "merged.iteration-2" and '"merged.iteration-2"' in code
    for arm in ("merged.iteration-2", "scoring.iteration-2", "sft.iteration-2"):
        said = {row["row_id"]: row["explained_score_reply"] for row in replies if (row["arm"], row["seed"]) == (arm, 0)}
        assert said != base
        for row in rows:
            names: dict[str, Any] = {"image": row["image"]}
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(code.replace("merged.iteration-2", arm), names)
            assert printed.getvalue().strip() == said[row["image_id"]].strip()


def test_three_lines_of_stock_transformers_score_a_picture(
    small: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, results, _ = small
    card = ModelCard.load("me/score-and-explain-lora").text
    code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[1]
    assert len(code.strip().splitlines()) == 3 and "tamis" not in code
    row = load_dataset("tiny/aesthetics", split="test")[0]
    row["image"].save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert 1 <= float(printed.getvalue()) <= 10
    assert results["decision"]["fitted_on"] == 10 and results["decision"]["after"]["n"] == 24


def test_results_have_the_form_that_all_recipes_share(small: tuple) -> None:
    folder, _, _ = small
    written = json.loads((folder / "results.json").read_text())
    assert set(written["arms"]) == {"base"} | at(1, 2)
    wanted = {"spearman", "pearson", "spearman_expected", "pearson_expected", "consistency_spearman", "wellformed"}
    wanted |= {"consistency_spearman@judge=llm", "consistency_spearman@judge=vlm", "true_remarks_share", "mode_share"}
    assert all(wanted <= set(metrics) for metrics in written["arms"].values())
    compared = {(one["a"], one["b"], one["metric"]) for one in written["comparisons"]}
    for rival in ("base", "scoring.iteration-2", "sft.iteration-2", "merged.exact.iteration-2"):
        assert ("merged.iteration-2", rival, "spearman") in compared
    assert ("scoring.iteration-1", "base", "consistency_spearman") in compared
    assert [(one["seed"], one["iteration"]) for one in written["iterations"]] == [(0, 1), (0, 2), (5, 1), (5, 2)]
    for one in written["iterations"]:
        assert one["pictures"] == 16 == one["usable"] + sum(one["left_out"].values())
    assert set(written["training"]) == {
        *at(1, 2, arms=["scoring", "consistency", "sft"]),
        *(f"{name}.seed-5" for name in at(1, 2, arms=["scoring", "consistency"])),
    }
    assert 0 < written["merging"]["merged.iteration-1"] < 1
    # Trained on the base, beside what was merged before, and merged for it: nothing is folded but to be measured.
    for arm in ("scoring", "consistency", "sft"):
        worn = [
            json.loads((folder / "adapters" / name / "training.json").read_text())
            for name in sorted(at(1, 2, arms=[arm]))
        ]
        assert [one["base_model"] for one in worn] == ["tiny/vlm"] * 2
        assert [one["worn"] for one in worn] == ["", weights_hash(folder / "chains" / "merged.iteration-1")]
    assert {path.name for path in (folder / "models").iterdir()} == at(1, 2, arms=["merged.exact"])
    assert {source["repo_id"] for source in written["sources"]} == {"tiny/aesthetics", "tiny/vlm", "tiny/llm"}
    files = set(HfApi().list_repo_files("me/score-and-explain-lora"))
    named = {*at(1, 2), *(f"{name}.seed-5" for name in at(1, 2, arms=["merged"]))}
    named -= at(1, 2, arms=["merged.exact"])  # no adapter: it is measured, to tell what a rank loses
    assert {name.split("/")[0] for name in files if name.endswith("adapter_model.safetensors")} == named


def test_no_path_in_anything_published(small: tuple, hub: Any) -> None:
    folder, _, _ = small
    nothing_told_of_here(folder, hub.environment["HF_TOKEN"], least=8)
    assert not [name for name in HfApi().list_repo_files("me/score-and-explain-lora") if name.endswith((".bin", ".pt"))]


def test_two_ranks_publish_what_one_publishes(lean: Path, tmp_path: Path) -> None:
    said = on_two_ranks("score_and_explain", [*LEAN, "--output_dir", str(tmp_path / "two")])
    assert said.count("results.json") == 1  # one rank speaks
    results = [json.loads((folder / "results.json").read_text()) for folder in (lean, tmp_path / "two")]
    assert all(stage["ranks"] == 2 for stage in results[1]["stages"] if stage["name"].startswith("score "))
    assert [one["iterations"] for one in results] == [results[0]["iterations"]] * 2  # the same words were written
    for arm, metrics in results[0]["arms"].items():
        for metric, told in metrics.items():
            assert results[1]["arms"][arm][metric]["value"] == pytest.approx(told["value"], abs=0.02), (arm, metric)


def test_killed_in_any_act_it_goes_on_to_the_same(lean: Path, main: Any, tmp_path: Path) -> None:
    """kill -9 while it explains, trains, merges, replies and publishes; then to the end."""
    out = tmp_path / "killed"
    moments = [
        lambda: any((out / "journal" / "self_explanation").glob("*.arrow")),
        lambda: any((out / "adapters").rglob("training.json")),
        lambda: any((out / "chains").rglob("training.json")),
        lambda: (out / "adapters" / "scoring.iteration-2" / "training.json").is_file(),  # beside what was merged
        lambda: any((out / "journal" / "guess_llm").glob("*.arrow")),
        lambda: any((out / "hub").rglob("*.parquet")),
    ]
    killed_at_each(moments, main, [*LEAN, "--output_dir", str(out)])
    results = [json.loads((folder / "results.json").read_text()) for folder in (lean, out)]
    assert results[0]["iterations"] == results[1]["iterations"]
    assert same_but_for_speed(lean, out)
    stages = results[1]["stages"]
    assert any(stage.get("adapters_reused") for stage in stages)
    assert {"score self_explanation", "score explained_score"} <= {
        stage["name"] for stage in stages if stage.get("chunks_reused")
    }


def test_pictures_whose_licence_is_not_known_are_not_published(main: Any, tmp_path: Path) -> None:
    """A folder of AADB as handed out, which states none."""
    rows = load_dataset("tiny/aesthetics", split="train").select(range(28))
    folder = tmp_path / "AADB"
    for split, at in (("Train", range(16)), ("Validation", range(16, 22)), ("TestNew", range(22, 28))):
        images = folder / ("AADB_newtest_originalSize" if split == "TestNew" else "datasetImages_originalSize")
        images.mkdir(parents=True, exist_ok=True)
        (folder / "imgListFiles_label").mkdir(exist_ok=True)
        for number in at:
            rows[number]["image"].convert("RGB").save(images / f"{number}.jpg")
        lines = [f"{number}.jpg {(rows[number]['mean_score'] - 1) / 9:.4f}" for number in at]
        (folder / "imgListFiles_label" / f"imgList{split}Regression_score.txt").write_text("\n".join(lines))
    own = ["--dataset", str(folder), "--kind", "aadb", "--votes_column", "null", "--keep_columns", "--grading"]
    own += ["--id_column", "null", "--iterations", "1"]
    results = main([*LEAN, *own, "--output_dir", str(tmp_path / "out")])
    assert results["arms"]["base"]["spearman"]["n"] == 6
    published = tmp_path / "out" / "hub" / "datasets"
    card = next(published.glob("*/*/README.md")).read_text()
    assert "Pictures are not among them" in card and "license: unknown" in card and "pairs.png" not in card
    pairs = load_dataset("parquet", data_files=str(next(published.rglob("data/scoring/*.parquet"))), split="train")
    assert "image" not in pairs.column_names and set(pairs["row_id"]) <= {f"{number}.jpg" for number in range(16)}
    assert {path.name for path in (tmp_path / "out" / "hub").rglob("*.png")} == {"curves.png"}


def test_it_stops_where_a_model_collapses_and_says_so(main: Any, tmp_path: Path, capsys: Any) -> None:
    """At a rate that breaks the form of its replies: the next iteration is not begun, what there is is published."""
    broken = ["--learning_rate", "0.3", "--max_train_steps", "6", "--no_decision", "--iterations", "3"]
    results = main([*LEAN, *broken, "--output_dir", str(tmp_path / "out")])
    assert re.match(r"seed 0, iteration 1: .* the limit is ", results["ended"]["0"])
    assert "no further iteration: seed 0, iteration 1: " in capsys.readouterr().out
    assert set(results["arms"]) == {"base", "merged.iteration-1"} and results["last"] == "merged.iteration-1"
    card = next((tmp_path / "out" / "hub" / "models").glob("*/*/README.md")).read_text()
    assert "**It ended early**: seed 0, iteration 1: " in card


def test_a_model_that_cannot_follow_the_form_ends_it_with_a_sample(main: Any, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended, plain_errors():
        main([*LEAN, "--max_new_tokens", "2", "--output_dir", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "least_usable: 0 of 16 pictures" in said and "Among what was written: " in said
    assert not (tmp_path / "out" / "adapters").exists()


def test_a_dry_run_counts_and_publishes_nothing(main: Any, tmp_path: Path, capsys: Any) -> None:
    pushing = [one for one in LEAN if one != "--no_push_to_hub"]
    figures = main([*pushing, "--hub_dataset_id", "me/dry-pairs", "--dry_run", "--output_dir", str(tmp_path / "dry")])
    told = figures["dry_run"]
    assert told["pictures"] == "16 train, 16 validation, 16 test"
    assert told["training"].startswith("4 adapters of 2 steps")
    assert told["explained_score"].startswith("96 replies")  # base, and merged twice, to both splits
    assert "downloads" in capsys.readouterr().out
    assert not HfApi().repo_exists("me/dry-pairs", repo_type="dataset")
    assert [path.name for path in (tmp_path / "dry").iterdir()] == [".lock"]  # and nothing that a run would use


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--arms", "base"], "merged is not among them"),
        (["--arms", "merged"], "base is not among them"),
        (["--arms", "base", "merged", "merged.ties"], "'merged.ties' is not accepted"),
        (["--arms", "base", "merged", "merged.linear-0.5"], "is not accepted"),
        (["--arms", "base", "merged", "sft", "--other_seeds", "4", "--other_seeds_arms", "sft"], "every seed goes on"),
        (["--score_column", "score"], "give one of them"),
        (["--votes_column", "null"], "give one of them"),
        (["--votes_column", "votes"], "column 'votes' is not in the dataset"),
        (["--kind", "ava"], "votes_column"),
        (["--guessers", "{}"], "guessers: none"),
        (["--guessers", "{../llm: {model: tiny/llm}}"], "'../llm' is not accepted"),
        (["--exclusion_radius", "6"], "exclusion_radius: 6 is not accepted"),
        (["--merge_density", "0"], "density: 0.0 is not accepted"),
        (["--keep_columns", "truth_traits"], "truth_defect"),
        (["--iterations", "0"], "iterations: 0 is not accepted"),
        (["--most_one_score", "1.5"], "most_one_score: 1.5 is not accepted"),
        (["--load_in_4bit", "--arms", "base", "merged", "sft"], "sft"),
        (["--learning_rate", "-1"], "learning_rate: -1.0 is not accepted"),
        (["--base_model", "tiny/vlmm"], "'tiny/vlmm'"),
        (["--read_splits", "train", "test"], "no picture is in validation"),
    ],
)
def test_wrong_settings_end_in_one_line(main: Any, tmp_path: Path, capsys: Any, settings: list, said: str) -> None:
    with pytest.raises(SystemExit) as ended, plain_errors():
        main([*LEAN, "--output_dir", str(tmp_path / "out"), *settings])
    assert ended.value.code == 2 and said in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("journal/*/*.arrow"))  # before anything was asked or trained
