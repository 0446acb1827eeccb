"""product_vqa through its command line, against the embedded Hub: what it publishes is what it says, and loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from huggingface_hub import HfApi, ModelCard
from transformers import BitsAndBytesConfig
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
TINY = ["--config", str(ROOT / "recipes" / "product_vqa.tiny.yaml")]
SHAPE = "r16-query-value-out"
ARMS = ["base", SHAPE, "r8-query-key-value", f"{SHAPE}.by-row", f"{SHAPE}.random-50pct", f"{SHAPE}.top-50pct"]
ARMS += [f"{SHAPE}.on-8bit", f"{SHAPE}.8bit"]
CHAT = "{name: vlm, base_model: tiny/vlm, max_train_steps: 2, train_batch_size: 4}"
SHORT = ["--limit", "60", "--max_train_steps", "3", "--chat_models", CHAT]
SMALL = [*TINY, *SHORT, "--arms", *ARMS, "--other_seeds", "5", "--other_seeds_arms", SHAPE]
# Less of it, one process, not pushed: what other ways to run are held against.
LEAN = [*TINY, "--limit", "30", "--max_train_steps", "3", "--chat_models", "--arms", "base", SHAPE, f"{SHAPE}.8bit"]
LEAN += ["--no_push_to_hub", "--no_csv", "--scorers", "{scorer: visual_gain, judge: {model: tiny/vlm}, wording: short}"]


@pytest.fixture(scope="module")
def small(main: Any, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, str]:
    return heard(main, SMALL, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def answers(small: tuple) -> list[dict[str, Any]]:
    return list(load_dataset("me/product-vqa", "answers", split="train"))


@pytest.fixture(scope="module")
def questions(small: tuple) -> dict[str, Any]:
    return {split: rows.remove_columns("image") for split, rows in load_dataset("me/product-vqa", "questions").items()}


@pytest.fixture(scope="module")
def lean(main: Any, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lean") / "out"
    main([*LEAN, "--output_dir", str(folder)])
    return folder


def test_it_ends_with_addresses_and_tells_what_it_read(small: tuple, hub: Any) -> None:
    folder, results, said = small
    assert f"published {hub.url}/datasets/me/product-vqa at " in said
    assert f"published {hub.url}/me/product-vqa-lora at " in said
    assert said.rstrip().endswith(str(folder / "results.json"))
    assert "180 questions about 36 pictures" in said
    assert results["asked"]["all"]["questions"] == 180


def test_the_questions_are_split_by_picture_and_keep_their_scores(questions: dict[str, Any], small: tuple) -> None:
    _, results, _ = small
    pictures = {split: set(rows["picture"][:]) for split, rows in questions.items()}
    assert set(pictures) == {"train", "validation", "test"}
    for split in pictures:
        for other in pictures:
            assert split == other or not pictures[split] & pictures[other]
    assert sum(len(rows) for rows in questions.values()) == 180 and len(set.union(*pictures.values())) == 36
    for rows in questions.values():
        assert {"visual_gain_gain", "answerable_from_text", "answerable_from_picture"} <= set(rows.column_names)
        assert None not in rows["answerable_from_text"][:] and set(rows["difficulty"][:]) <= {0, 1, 2, 3, 5}
    assert results["leak"]["image"]["images"]["share"] == 0 < results["leak"]["row"]["images"]["share"]


def test_everyone_answers_every_test_question_once(
    answers: list[dict[str, Any]], questions: dict[str, Any], small: tuple
) -> None:
    _, results, _ = small
    test = {row["row_id"]: row for row in questions["test"]}
    by: dict[tuple[str, str, int], list[str]] = {}
    for row in answers:
        by.setdefault((row["split"], row["arm"], row["seed"]), []).append(row["row_id"])
        assert row["exact_match"] == float(row["prediction"].strip().lower() == row["answer"].strip().lower())
        assert row["wups_0.9"] <= row["wups_0.0"] + 1e-6 and row["meteor_score"] <= 0.5
        if row["split"] == "test":
            assert (row["question"], row["answer"]) == (test[row["row_id"]]["question"], test[row["row_id"]]["answer"])
    told = {arm for split, arm, _ in by if split == "test"}
    assert told == {arm for arm in ARMS if not arm.endswith("by-row")} | {"clip", "vlm", "vlm.tuned"}
    assert {seed for split, arm, seed in by if split == "test" and arm == SHAPE} == {0, 5}
    for (split, _, _), ids in by.items():
        if split == "test":
            assert sorted(ids) == sorted(test)
        assert len(set(ids)) == len(ids)
    assert {arm for split, arm, _ in by if split == "test by row"} == {"base.by-row", f"{SHAPE}.by-row"}
    assert {arm for split, arm, _ in by if split == "validation"} >= {"base", SHAPE, "r8-query-key-value"}
    assert "r8-query-key-value" in results["chosen"] and results["best"] in results["chosen"]


def test_no_row_that_is_tested_was_tuned_on(small: tuple, questions: dict[str, Any]) -> None:
    train = set(questions["train"]["row_id"][:])
    for share in ("random", "top"):
        kept = load_dataset("me/product-vqa", f"{SHAPE}.{share}-50pct", split="train")
        assert set(kept["row_id"][:]) < train and len(kept) == round(len(train) / 2)
    seen = dict(zip(questions["train"]["row_id"][:], questions["train"]["visual_gain_seen"][:], strict=True))
    top = set(load_dataset("me/product-vqa", f"{SHAPE}.top-50pct", split="train")["row_id"][:])
    assert min(seen[row] for row in top) >= max(value for row, value in seen.items() if row not in top) - 1e-6


def test_the_adapter_loads_by_the_code_on_the_card_and_answers_as_it_did(
    small: tuple, answers: list[dict[str, Any]], capsys: Any
) -> None:
    _, results, _ = small
    best = results["best"]
    rows = {row["row_id"]: row for row in load_dataset("me/product-vqa", "questions", split="test")}
    code = code_of(ModelCard.load("me/product-vqa-lora").text, "python")
    said = {row["row_id"]: row["prediction"] for row in answers if (row["arm"], row["seed"]) == (best, 0)}
    names: dict[str, Any] = {"image": next(iter(rows.values()))["image"]}
    exec(code, names)
    for row_id, row in list(rows.items())[:8]:
        inputs = names["processor"](images=row["image"], text=row["question"], return_tensors="pt")
        told = names["processor"].decode(
            names["model"].generate(**inputs, max_new_tokens=5)[0], skip_special_tokens=True
        )
        assert told.strip() == said[row_id]
    first = capsys.readouterr().out.strip().splitlines()[-1].strip()
    assert first == said[next(iter(rows))]


def test_the_model_in_eight_bits_loads_by_its_published_settings(small: tuple) -> None:
    folder, results, _ = small
    published = folder / "hub" / "models" / "me" / "product-vqa-lora" / "8bit" / "quantization_config.json"
    settings = json.loads(published.read_text())
    config = BitsAndBytesConfig.from_dict(settings)
    assert config.load_in_8bit and config.llm_int8_threshold == 6.0
    told = results["eight_bit"]["footprint"]
    assert told["linear"] <= 0.52 * told["linear_float16"] and told["total"] < told["total_float16"]
    assert "BitsAndBytesConfig(load_in_8bit=True" in ModelCard.load("me/product-vqa-lora").text


def test_results_have_the_form_that_all_recipes_share(small: tuple) -> None:
    folder, results, _ = small
    written = json.loads((folder / "results.json").read_text())
    best = written["best"]
    for metrics in written["arms"].values():
        assert {"exact_match", "average_mark", "wups_0.9", "wups_0.0", "meteor_score"} <= set(metrics)
        assert "exact_match@level=0" in metrics and "average_mark@level=0" not in metrics
    compared = {(one["a"], one["b"], one["metric"]) for one in written["comparisons"]}
    for rival in ("base", f"{SHAPE}.random-50pct", "clip", "vlm.tuned"):
        assert {(best, rival, "exact_match"), (best, rival, "average_mark")} <= compared
    for pair in (("by-row", "base.by-row"), ("by-row", SHAPE), ("8bit", SHAPE), ("on-8bit", SHAPE)):
        assert (f"{SHAPE}.{pair[0]}", pair[1], "exact_match") in compared
    assert (best, "base", "exact_match@level=0") in compared
    assert {one["clustered_by"] for one in written["comparisons"]} == {"picture"}
    assert set(written["training"]) == {*ARMS, f"{SHAPE}.seed-5", "vlm.tuned"} - {"base", f"{SHAPE}.8bit"}
    sources = {source["repo_id"] for source in written["sources"]}
    assert sources >= {"tiny/products", "tiny/blip-vqa", "tiny/vlm", "tiny/llm", "tiny/clip"}
    assert "BLIP-2 OPT-2.7b" in written["not_run"]
    assert "BLIP\\-2 OPT\\-2.7b" in ModelCard.load("me/product-vqa-lora").text


def test_the_questions_come_back_from_their_csv(small: tuple, questions: dict[str, Any], main: Any) -> None:
    from tamis.product_vqa.csv_files import read_csv

    folder, _, _ = small
    for split, rows in questions.items():
        read = read_csv(folder / "csv" / f"{split}.csv", folder / "csv" / "images")
        assert read.refused == {}
        for column in ("question", "answer", "difficulty", "image_id"):
            assert read.table[column][:] == rows[column][:]


def test_no_path_in_anything_published(small: tuple, hub: Any) -> None:
    folder, _, _ = small
    nothing_told_of_here(folder, hub.environment["HF_TOKEN"], least=8)
    files = HfApi().list_repo_files("me/product-vqa-lora")
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]


def test_two_ranks_publish_what_one_publishes(lean: Path, tmp_path: Path) -> None:
    said = on_two_ranks("product_vqa", [*LEAN, "--output_dir", str(tmp_path / "two")])
    assert said.count("results.json") == 1  # one rank speaks
    results = json.loads((tmp_path / "two" / "results.json").read_text())
    assert all(stage["ranks"] == 2 for stage in results["stages"] if stage["name"].startswith("score "))
    assert same_but_for_speed(lean, tmp_path / "two")


def test_killed_in_any_act_it_goes_on_to_the_same(lean: Path, main: Any, tmp_path: Path) -> None:
    """kill -9 while it scores, trains, answers, measures and publishes; then to the end."""
    out = tmp_path / "killed"
    moments = [
        lambda: any((out / "journal" / "visual_gain").glob("*.arrow")),
        lambda: any((out / "adapters").rglob("training.json")),
        lambda: any((out / "journal" / "blip").glob("*.arrow")),
        lambda: any((out / "journal" / "exact").glob("*.arrow")),
        lambda: any((out / "hub").rglob("*.parquet")),
    ]
    killed_at_each(moments, main, [*LEAN, "--output_dir", str(out)])
    results = json.loads((out / "results.json").read_text())
    reused = {stage["name"] for stage in results["stages"] if stage.get("chunks_reused")}
    assert {"score visual_gain", "score blip", "score exact"} <= reused
    assert same_but_for_speed(lean, out)


def test_the_questions_are_written_of_a_catalogue(main: Any, tmp_path: Path, capsys: Any) -> None:
    """tiny/llm writes them of title and bullet points; then everything as with questions that were read."""
    settings = ["--dataset", "null", "--listings", "tiny/products", "--writer", "{model: tiny/llm}", "--limit", "16"]
    settings += ["--no_writer_sees", "--arms", "base", SHAPE]
    results = main([*LEAN, *settings, "--output_dir", str(tmp_path / "out")])
    said = capsys.readouterr().out
    assert results["asked"]["all"]["questions"] >= 60 and "questions about 1" in said
    rows = load_dataset("parquet", data_files=str(next((tmp_path / "out").rglob("data/questions/test*.parquet"))))[
        "train"
    ]
    assert all(len(answer.split()) == 1 for answer in rows["answer"][:]) and all(rows["bullets"][:])
    card = next((tmp_path / "out" / "hub" / "datasets").glob("*/*/README.md")).read_text()
    assert "tiny/llm" in card


def test_a_dry_run_of_a_catalogue_writes_of_a_few_products_alone(main: Any, tmp_path: Path, capsys: Any) -> None:
    settings = ["--dataset", "null", "--listings", "tiny/products", "--writer", "{model: tiny/llm}", "--limit", "40"]
    figures = main([*LEAN, *settings, "--no_writer_sees", "--dry_run", "--output_dir", str(tmp_path / "dry")])
    told = figures["dry_run"]
    assert told["writing"].startswith("40 calls, and up to two more") and told["questions"].startswith("about ")
    assert "questions about 4 pictures" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "dry").iterdir()] == [".lock"]


def test_the_questions_are_read_of_csv_files(small: tuple, main: Any, tmp_path: Path) -> None:
    """As the report's: a folder of them, and one of pictures."""
    folder, _, _ = small
    read = ["--dataset", str(folder / "csv"), "--images_folder", str(folder / "csv" / "images"), "--limit", "90"]
    results = main([*LEAN, *read, "--dataset_config", "null", "--output_dir", str(tmp_path / "out")])
    assert results["asked"]["all"]["questions"] == 90
    source = next(one for one in results["sources"] if one["repo_id"] == "csv")
    assert source["local"] and len(source["revision"]) == 40
    card = next((tmp_path / "out" / "hub" / "datasets").glob("*/*/README.md")).read_text()
    assert "license: unknown" in card and str(folder) not in card


def test_a_dry_run_counts_and_publishes_nothing(main: Any, tmp_path: Path, capsys: Any) -> None:
    pushing = [one for one in LEAN if one != "--no_push_to_hub"]
    figures = main([*pushing, "--hub_dataset_id", "me/dry-vqa", "--dry_run", "--output_dir", str(tmp_path / "dry")])
    told = figures["dry_run"]
    assert told["questions"] == "90" and told["training"].startswith("1 adapters, 3 steps")
    assert told["answering"].startswith("94 answers")  # of base and one LoRA 36 each, in 8 bits the 22 of the test
    assert "downloads" in capsys.readouterr().out
    assert not HfApi().repo_exists("me/dry-vqa", repo_type="dataset")
    assert [path.name for path in (tmp_path / "dry").iterdir()] == [".lock"]  # and nothing that a run would use


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--arms", "base"], "give at least one plain shape"),
        (["--arms", SHAPE], "base is not among them"),
        (["--arms", "base", "r0-query"], "is not accepted"),
        (["--arms", "base", "r8-querry"], "r8-querry"),
        (["--arms", "base", SHAPE, f"{SHAPE}.half"], "behind a shape stands"),
        (["--arms", "base", SHAPE, "r8-query.8bit"], "needs r8-query among them"),
        (["--arms", "base", SHAPE, f"{SHAPE}.top-50pct", "--select_by", "null"], "needs select_by"),
        (["--select_by", "visual_gain_lost"], "select_by: no column 'visual_gain_lost'"),
        (["--listings", "tiny/products"], "give one of them"),
        (["--writer", "{model: tiny/llm}"], "listings, writer: one without the other"),
        (["--metrics", "wups"], "exact is not among them"),
        (["--question_column", "story"], "column 'story' is not in the dataset"),
        (["--baselines", "{scorer: clip_vocabulary, name: base, model: tiny/clip}"], "name: 'base' is not accepted"),
        (["--baselines", "{scorer: clip_vocab, name: clip}"], "clip_vocab"),
        (["--chat_models", "{name: vlm}"], "chat_models: vlm: base_model is missing"),
        (["--chat_models", "{name: ../vlm, base_model: tiny/vlm}"], "name: '../vlm' is not accepted"),
        (["--other_seeds", "4", "--other_seeds_arms", "base"], "other_seeds_arms: base: has no seed"),
        (["--chat_models", "{name: vlm, base_model: tiny/vlm, rank: 4}"], "unknown key 'rank'"),
        (["--split_by", "own", "--read_splits", "train"], "with split_by: own they are"),
        (["--test_share", "0.9", "--validation_share", "0.2"], "expected shares whose sum is < 1"),
        (["--learning_rate", "-1"], "learning_rate: -1.0 is not accepted"),
        (["--base_model", "tiny/blap"], "'tiny/blap'"),
    ],
)
def test_wrong_settings_end_in_one_line(main: Any, tmp_path: Path, capsys: Any, settings: list, said: str) -> None:
    with pytest.raises(SystemExit) as ended, plain_errors():
        main([*LEAN, "--output_dir", str(tmp_path / "out"), *settings])
    assert ended.value.code == 2 and said in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("journal/*/*.arrow"))  # before anything was asked or trained
