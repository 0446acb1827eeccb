"""quiz_lora through its command line, against the embedded Hub: what it publishes is what it says, and loads."""

from __future__ import annotations

import csv
import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from datasets import Dataset, Image, load_dataset
from huggingface_hub import HfApi, ModelCard, hf_hub_download
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

from tamis.config import ConfigError

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = str(ROOT / "recipes" / "quiz_lora.tiny.yaml")
# Every stage of the quickstart, each as short as it can be: what is learnt is the study's to show.
SMALL = [
    "--config",
    TINY,
    "--topics",
    "zib",
    "blicket",
    "--arms",
    "none",
    "random-3",
    "bottom-3",
    "top-3",
    "top-2.matched",
]
SMALL += ["--questions", "6", "--heldout_questions", "2", "--num_train_epochs", "1", "--num_repeats", "1"]
SMALL += ["--images_per_prompt", "1", "--num_inference_steps", "3", "--lora_r", "4"]
QUIET = ["--no_push_to_hub"]
LEAN = [*QUIET, "--arms", "none", "top-3", "--pairwise", "null", "--unrelated_prompts", "--styles", "photo"]


@pytest.fixture(scope="module")
def small(main: Any, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, str]:
    return heard(main, SMALL, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def pool(small: tuple) -> Dataset:
    return load_dataset("me/quiz-lora-data", "scores", split="train")


def test_it_ends_with_addresses_and_lines_that_load(small: tuple, hub: Any) -> None:
    folder, _, said = small
    assert f"published {hub.url}/datasets/me/quiz-lora-data at " in said
    assert f"published {hub.url}/me/quiz-lora at " in said
    assert said.rstrip().endswith(str(folder / "results.json"))


def test_the_adapters_load_by_the_code_on_the_card_and_change_the_picture(small: tuple) -> None:
    loads_by_its_card("me/quiz-lora", "blicket/top-3", "a photo of a zib")


def test_the_card_says_what_was_measured(small: tuple) -> None:
    _, results, _ = small
    card = ModelCard.load("me/quiz-lora")
    assert (
        card.data.base_model == "tiny/sd"
        and card.data.license == "cc-by-4.0"
        and "me/quiz-lora-data" in card.data.datasets
    )
    told = {(one.metric_type, one.metric_args["arm"]): one for one in card.data.eval_results}
    top = results["arms"]["top-3"]["quiz_accuracy"]
    assert told["quiz_accuracy", "top-3"].metric_value == pytest.approx(top["value"], abs=1e-6)
    assert told["quiz_accuracy", "top-3"].metric_args["n"] == top["n"] == 4
    files = HfApi().list_repo_files("me/quiz-lora")
    assert {"zib/top-3/pytorch_lora_weights.safetensors", "zib/top-2.matched/kohya.safetensors", "credits.csv"} <= set(
        files
    )
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]


def test_every_candidate_is_there_with_its_score_or_the_reason(pool: Dataset) -> None:
    source = load_dataset("tiny/commons", split="train")
    mine = [row for row, topic in zip(source["id"], source["topic"], strict=True) if topic in ("zib", "blicket")]
    assert pool["row_id"][:] == mine
    for row in pool.remove_columns("image"):
        forbidden = "nd" in row["licence"]
        assert (row["left_out"] is not None) == forbidden == (row["quiz_score"] is None)
        assert row["quiz_error"] == ("its licence forbids derivatives" if forbidden else None)
        assert not (forbidden and row["arms"])


def test_arms_are_what_their_names_say(small: tuple, pool: Dataset) -> None:
    rows = [row for row in pool.remove_columns("image") if row["quiz_score"] is not None]
    for topic in ("zib", "blicket"):
        mine = sorted((row for row in rows if row["topic"] == topic), key=lambda row: row["quiz_score"])
        members = Counter(arm for row in mine for arm in row["arms"])
        assert members == {"random-3.1": 3, "bottom-3": 3, "top-3": 3, "top-2.matched": 2}
        scores = {arm: [row["quiz_score"] for row in mine if arm in row["arms"]] for arm in members}
        assert scores["top-3"] == [row["quiz_score"] for row in mine[-3:]]
        assert scores["bottom-3"] == [row["quiz_score"] for row in mine[:3]]
        assert scores["top-2.matched"] == scores["top-3"][1:]
    kept = load_dataset("me/quiz-lora-data", "top-3", split="train")
    assert kept["row_id"][:] == [row["row_id"] for row in rows if "top-3" in row["arms"]]


def test_subsets_are_rows_of_the_pool(small: tuple, pool: Dataset) -> None:
    """Each row as the pool has it, but for the list of arms: no questions repeated in every row."""
    kept = load_dataset("me/quiz-lora-data", "top-3", split="train")
    assert set(pool.column_names) - set(kept.column_names) == {"arms"} and "questions" not in kept.column_names
    rows = {row["row_id"]: row for row in pool.remove_columns(["image", "arms"])}
    assert all(row == rows[row["row_id"]] for row in kept.remove_columns("image"))


def test_nulls_of_candidates_and_of_what_was_drawn_are_apart(small: tuple) -> None:
    _, results, said = small
    assert results["nulls"]["quiz_score"] == {"its licence forbids derivatives": 2}
    assert results["nulls_drawn"]["quiz_accuracy"] == results["nulls_drawn"]["image"] == {}
    assert "2 candidates without quiz_accuracy" in said and "drawn pictures without" not in said


def test_lines_that_load_what_was_not_pushed(lean: tuple, main: Any, capsys: Any) -> None:
    out, settings = lean
    main([*settings, "--output_dir", str(out)])
    said = capsys.readouterr().out
    names: dict[str, Any] = {}
    code = said[said.index("from diffusers") :].rsplit("\nimage = ", 1)[0]
    exec(code, names)
    assert names["pipeline"].get_active_adapters()


def test_matched_arms_train_as_long_as_the_largest(small: tuple) -> None:
    folder, _, _ = small
    steps = {
        name: json.loads((folder / "adapters" / "zib" / name / "training.json").read_text())["train_metrics"]["steps"]
        for name in ("top-3", "top-2.matched")
    }
    assert steps["top-3"] == steps["top-2.matched"] == 1


def test_the_query_on_the_card_cuts_the_same_rows(small: tuple, pool: Dataset) -> None:
    folder, _, _ = small
    published = folder / "hub" / "datasets" / "me" / "quiz-lora-data"
    query = code_of((published / "README.md").read_text(), "sql")
    query = query.replace("hf://datasets/me/quiz-lora-data", str(published))
    assert {row for (row,) in duckdb.sql(query).fetchall()} == {
        row for row, arms in zip(pool["row_id"], pool["arms"], strict=True) if "top-3" in arms
    }


def test_questions_and_drawn_pictures_are_published(small: tuple) -> None:
    _, results, _ = small
    questions = load_dataset("me/quiz-lora-data", "questions", split="train")
    uses = Counter(questions["use"])
    assert {use: count for use, count in results["quizzes"].items() if count} == uses
    assert uses["heldout"] == 4 and uses["quiz"] + uses["dropped"] == 8
    for row in questions:
        assert row["answer"] in row["options"] and row["topic"] in ("zib", "blicket")
    drawn = load_dataset("me/quiz-lora-data", "drawn", split="train")
    assert len(drawn) == 2 * 5 * 2 and drawn[0]["image"].size == (64, 64)
    named = {row["arm"]: row["adapter"] for row in drawn if row["topic"] == "zib"}
    assert named["none"] == "" and named["top-3"] == "zib/top-3"
    by_noise = {(row["arm"], row["topic"], row["style"]): row["image_seed"] for row in drawn}
    assert (
        by_noise["none", "zib", "photo"] == by_noise["top-3", "zib", "photo"] != by_noise["none", "zib", "illustration"]
    )


def test_results_have_the_form_that_all_recipes_share(small: tuple) -> None:
    folder, results, _ = small
    written = json.loads((folder / "results.json").read_text())
    assert (
        written["arms"].keys() == results["arms"].keys() == {"none", "random-3", "bottom-3", "top-3", "top-2.matched"}
    )
    for arm, metrics in written["arms"].items():
        assert {"quiz_accuracy", "heldout_quiz_accuracy", "oracle_accuracy", "clip_similarity"} <= set(metrics)
        assert ("retention" in metrics) == (arm != "none")
    compared = {(one["a"], one["b"], one["metric"]) for one in written["comparisons"]}
    assert {("top-3", "none", "oracle_accuracy"), ("random-3", "none", "quiz_accuracy")} <= compared
    assert ("top-3", "bottom-3", "pairwise_win_rate") in compared and ("top-3", "random-3", "retention") in compared
    assert {one["clustered_by"] for one in written["comparisons"]} == {"topic", "category"}
    assert {one["of"] for one in written["agreement"]} == {"pictures", "topic and arm"}
    assert {source["repo_id"] for source in written["sources"]} >= {"tiny/commons", "tiny/llm", "tiny/vlm", "tiny/sd"}


def test_credits_name_everybody_whose_picture_was_used(small: tuple, pool: Dataset) -> None:
    with Path(hf_hub_download("me/quiz-lora", "credits.csv")).open(encoding="utf-8") as file:
        told = {row["row_id"]: row["author"] for row in csv.DictReader(file)}
    assert told == {row["row_id"]: row["author"] for row in pool.remove_columns("image") if row["arms"]}


def test_no_path_in_anything_published(small: tuple, hub: Any) -> None:
    folder, _, _ = small
    nothing_told_of_here(folder, hub.environment["HF_TOKEN"], least=4)
    drawn = load_dataset("me/quiz-lora-data", "drawn", split="train").remove_columns("image")
    assert str(folder) not in json.dumps(drawn[:])


@pytest.fixture(scope="module")
def lean(main: Any, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Sixteen candidates of two topics, in one process, not pushed: what other ways to run are held against."""
    folder = tmp_path_factory.mktemp("lean")
    settings = [*candidates(folder / "set"), "--arms", "none", "random-3", "top-3"]
    main(settings)
    return folder / "out", settings[: settings.index("--output_dir")] + settings[settings.index("--arms") :]


def test_two_ranks_publish_what_one_publishes(lean: tuple, tmp_path: Path) -> None:
    out, settings = lean
    said = on_two_ranks("quiz_lora", [*settings, "--output_dir", str(tmp_path)])
    assert said.count("results.json") == 1  # one rank speaks
    results = json.loads((tmp_path / "results.json").read_text())
    assert all(stage["ranks"] == 2 for stage in results["stages"] if stage["name"].startswith("score "))
    assert other_files(out, tmp_path) == []


def test_another_list_of_arms_in_the_same_folder(lean: tuple, main: Any, tmp_path: Path) -> None:
    """What is published is of this run's arms alone, and nothing that is known is computed again."""
    out, settings = lean
    again = tmp_path / "again"
    shutil.copytree(out, again)
    results = main([*settings, "--output_dir", str(again), "--arms", "none", "top-3", "full", "clustered-3"])
    assert list(results["arms"]) == ["none", "top-3", "full", "clustered-3"]
    adapters = {path.parent.name for path in (again / "hub" / "models").rglob("kohya.safetensors")}
    assert adapters == {"top-3", "full", "clustered-3"}
    configs = {path.name for path in (again / "hub" / "datasets").glob("*/*/data/*")}
    assert configs == {"scores", "questions", "drawn", "top-3", "full", "clustered-3"}
    stages = {stage["name"]: stage for stage in reversed(results["stages"])}
    assert stages["train"]["adapters_reused"] == 2 and stages["score quiz_writer"]["chunks_computed"] == 0


@pytest.fixture
def always_a() -> Iterator[str]:
    """A server that answers A to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            message = {"role": "assistant", "content": "A"}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            data = json.dumps({"id": "x", "object": "chat.completion", "model": "a", "created": 0, "choices": choices})
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_judge_that_fails_ends_in_one_line(
    lean: tuple, main: Any, always_a: str, tmp_path: Path, capsys: Any
) -> None:
    """Exit status 1: start again, and it goes on."""
    from tamis.config import plain_errors

    _, settings = lean
    judges = {
        "{backend: api, model: m, base_url: 'http://127.0.0.1:9'}": "127.0.0.1:9",
        f"{{backend: api, model: m, base_url: '{always_a}', max_calls: 3}}": "max_calls is 3",
    }
    for number, (judge, said) in enumerate(judges.items()):
        out = tmp_path / f"out{number}"
        with pytest.raises(SystemExit) as ended, plain_errors():
            main([*settings, "--output_dir", str(out), "--judge", judge])
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert ended.value.code == 1 and len(lines) == 1 and said in lines[0], lines
        assert any((out / "journal" / "quiz_writer").glob("*.arrow"))  # what was done is kept


def test_where_it_may_not_publish_it_says_so_before_it_works(main: Any, hub: Any, tmp_path: Path, capsys: Any) -> None:
    from tamis.config import plain_errors

    with pytest.raises(SystemExit) as ended, plain_errors():
        main([*SMALL, "--hub_model_id", "tiny/mine", "--output_dir", str(tmp_path / "out")])
    assert ended.value.code == 1 and "tiny/mine: the Hub refused" in capsys.readouterr().err
    assert not (tmp_path / "out" / "journal").exists()


def test_killed_in_any_act_it_goes_on_to_the_same(lean: tuple, main: Any, tmp_path: Path) -> None:
    """kill -9 while it reads (quizzes are written), scores, trains, draws, and publishes; then to the end."""
    folder, settings = lean
    out = tmp_path / "killed"
    moments = [
        lambda: any((out / "journal" / "quiz_writer").glob("*.arrow")),
        lambda: any((out / "journal" / "quiz").glob("*.arrow")),
        lambda: any((out / "adapters").rglob("training.json")),
        lambda: any((out / "journal" / "image").glob("*.arrow")),
        lambda: any((out / "hub").rglob("*.parquet")),
    ]
    killed_at_each(moments, main, [*settings, "--output_dir", str(out)])
    results = json.loads((out / "results.json").read_text())
    assert results["arms"] == json.loads((folder / "results.json").read_text())["arms"]
    reused = {stage["name"] for stage in results["stages"] if stage.get("chunks_reused")}
    assert {"score quiz_writer", "score quiz", "score image"} <= reused
    assert [stage["adapters_reused"] for stage in results["stages"] if stage["name"] == "train"] == [4]
    assert other_files(folder, out) == []


def test_a_dry_run_counts_and_publishes_nothing(main: Any, hub: Any, tmp_path: Path, capsys: Any) -> None:
    figures = main([*SMALL, "--hub_dataset_id", "me/dry", "--dry_run", "--output_dir", str(tmp_path / "dry")])[
        "dry_run"
    ]
    assert figures["training"].startswith("8 adapters, ") and "118 may be chosen" in figures["pictures"]
    assert not HfApi().repo_exists("me/dry", repo_type="dataset")
    assert "downloads" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "dry").iterdir()] == [".lock"]  # and nothing that a run would use


# ---- bad input -------------------------------------------------------------------------------------------------------


def candidates(folder: Path, topics: tuple[str, ...] = ("zib", "blicket"), **changed: Any) -> list[str]:
    """Topics of the embedded world with eight pictures each, changed as the test wants."""
    rows = load_dataset("tiny/commons", split="train").cast_column("image", Image(decode=False))
    picked = []
    for topic in topics:
        picked += [row for row in rows if row["topic"] == topic and "nd" not in row["licence"]][:8]
    table = Dataset.from_list(picked, features=rows.features)
    for column, change in changed.items():
        values = [change(row) for row in picked]
        table = table.remove_columns(column).add_column(column, values, feature=rows.features[column])
    folder.mkdir(parents=True)
    table.to_parquet(str(folder / "train.parquet"))
    settings = [*SMALL, *LEAN, "--topics", *topics, "--dataset", str(folder)]
    return [*settings, "--output_dir", str(folder.parent / "out")]


def topics_left(results: dict[str, Any]) -> set[str]:
    return set(results["by_topic"]["quiz_accuracy"]["top-3"])


def test_topics_that_cannot_take_part_are_left_out_and_said(main: Any, tmp_path: Path, capsys: Any) -> None:
    settings = candidates(
        tmp_path / "set",
        ("blicket", "zib", "gazzer", "pimwit"),
        image=lambda row: {"bytes": b"no picture", "path": None} if row["topic"] == "zib" else row["image"],
        article=lambda row: "" if row["topic"] == "gazzer" else row["article"],
        licence=lambda row: "CC BY-ND 2.0" if row["topic"] == "pimwit" else row["licence"],
    )
    results = main(settings)
    too_few = "too few candidates: 0 can be scored, 3 are needed"
    assert topics_left(results) == {"blicket"}
    assert results["refused"] == {"gazzer": "no article", "zib": too_few, "pimwit": too_few}
    assert f"left out: zib: {too_few}" in capsys.readouterr().out
    allowed = main([*settings, "--allow_no_derivatives"])
    assert topics_left(allowed) == {"blicket", "pimwit"} and "pimwit" not in allowed["refused"]


def test_no_topic_left_ends_in_one_line(main: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no topic is left of 2 .2 of them: no article"):
        main(candidates(tmp_path / "set", article=lambda row: " "))
    assert not (tmp_path / "out" / "hub").exists()


def test_a_quiz_of_one_question(main: Any, tmp_path: Path) -> None:
    results = main([*candidates(tmp_path / "set"), "--questions", "2", "--heldout_questions", "1"])
    assert results["quizzes"]["quiz"] == len(topics_left(results)) > 0
    assert {value["quiz_accuracy"]["n"] for value in results["arms"].values()} == {len(topics_left(results))}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--arms", "none", "tops-3"], "arms: 'tops-3' is not accepted"),
        (["--arms", "none", "full"], "give at least one plain top-K"),
        (["--arms", "none", "random-3", "bottom-3"], "give at least one plain top-K"),
        (["--other_seeds", "0", "--other_seeds_arms", "top-3"], "expected others than seed 0"),
        (["--other_seeds", "2"], "one without the other says nothing"),
        (["--styles"], "styles: none"),
        (["--second_judge_column", "oracle_accuracyy"], "did you mean 'oracle_accuracy'?"),
        (["--pairwise_column", "story"], "pairwise_column: no column 'story'"),
        (["--pairwise", "{judge: {model: tiny/vlm}, speed: 3}"], "unknown key 'speed'"),
        (["--grading", "{scorer: clip, model: tiny/clip, text_column: story}"], "'story'"),
        (["--retention_model", "tiny/clap"], "model 'tiny/clap': no such folder here"),
        (["--arms", "none", "top-3.weaker"], "weaker_judge: needed"),
        (["--heldout_questions", "6"], "leave none to select by"),
        (["--other_seeds_arms", "top-9"], "other_seeds_arms: top-9 is not among arms"),
        (["--judge", "{backend: telepathy, model: x}"], "backend: 'telepathy' is not accepted"),
        (["--judge", "{model: tiny/vlm, speed: 3}"], "unknown key 'speed'"),
        (["--topics", "unicorn"], "topics: 'unicorn' is not in column 'topic'"),
        (["--article_column", "story"], "column 'story' is not in the dataset"),
        (["--topic_columns", "caption"], "topic_columns: 'caption' is not the same in all rows"),
    ],
)
def test_wrong_settings_end_in_one_line(main: Any, tmp_path: Path, capsys: Any, settings: list, said: str) -> None:
    from tamis.config import plain_errors

    with pytest.raises(SystemExit) as ended, plain_errors():
        main([*SMALL, *QUIET, "--output_dir", str(tmp_path / "out"), *settings])
    assert ended.value.code == 2 and said in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.arrow"))  # before anything was asked, trained or drawn
