"""score_and_select through its command line, against the embedded Hub: what it publishes is what it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset, Features, Image, Value, load_dataset
from huggingface_hub import HfApi
from PIL import Image as Pictures
from test_rows import finevision

ROOT = Path(__file__).resolve().parent.parent.parent
TINY = str(ROOT / "recipes" / "score_and_select.tiny.yaml")
# A sixth of the tiny config's rows, with a reach at which some of them pass for near-duplicates.
SMALL = ["--config", TINY, "--limit", "200", "--duplicate_distance", "8"]


@pytest.fixture(scope="module")
def tiny(main: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, str]:
    """The tiny config's run, on a sixth of its rows."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("tiny")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        results = main([*SMALL, "--k", "50", "--output_dir", str(folder)])
    return folder, results, said.getvalue()


@pytest.fixture(scope="module")
def unpushed(main: Any, tiny: tuple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run in another folder, published nowhere."""
    folder = tmp_path_factory.mktemp("unpushed")
    main([*SMALL, "--k", "50", "--output_dir", str(folder), "--no_push_to_hub"])
    return folder


def published_files(output_dir: Path) -> dict[str, bytes]:
    folder = output_dir / "hub" / "datasets" / "me" / "commons-curated"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_ends_with_addresses_and_lines_that_load(tiny: tuple, hub: Any) -> None:
    folder, _, said = tiny
    assert f"published {hub.url}/datasets/me/commons-curated at " in said
    assert said.rstrip().endswith(str(folder / "results.json"))
    lines = "\n".join(line for line in said.splitlines() if line.startswith(("from datasets", "load_dataset(")))
    assert lines.count("load_dataset(") == 2
    names: dict[str, Any] = {}
    exec(lines.replace("\nload_dataset(", "\nrows = load_dataset("), names)
    assert len(names["rows"]) == 50


def test_the_pool_is_whole_and_the_subset_is_its_best(tiny: tuple) -> None:
    pool = load_dataset("me/commons-curated", "scores", split="train")
    kept = load_dataset("me/commons-curated", "top-50", split="train")
    source = load_dataset("tiny/commons", split="train").select(range(200))
    assert pool["row_id"][:] == source["id"][:] and pool["caption"][:] == source["caption"][:]
    assert [row for row, arms in zip(pool["row_id"], pool["arms"], strict=True) if "top-50" in arms] == kept["row_id"][
        :
    ]
    assert kept[0]["image"].size == source[0]["image"].size == (64, 64)
    groups = kept["near_duplicate_group"][:]
    assert len(set(groups)) == len(groups) and len(set(pool["near_duplicate_group"])) < len(pool) - 5
    assert np.mean(kept["clip_similarity"]) > np.mean(pool["clip_similarity"])


def test_the_kept_rows_show_their_kind_by_a_truth_that_nothing_read(tiny: tuple) -> None:
    """What the scores are for. Spoilt pictures of the right thing are no part of it: CLIP looks through defects."""
    assert "truth_" not in re.sub(r"(?m)#.*$", "", Path(TINY).read_text())
    pool = load_dataset("me/commons-curated", "scores", split="train")
    kept = load_dataset("me/commons-curated", "top-50", split="train")
    drawn = load_dataset("me/commons-curated", "random-50", split="train")
    typical = [np.mean(rows["truth_typical"]) for rows in (kept, drawn, pool)]
    assert typical[0] > max(typical[1:]) + 0.15
    other = {"partly", "lookalike", "two things", "unrelated"}
    share = [np.mean([source in other for source in rows["truth_source"]]) for rows in (kept, pool)]
    assert share[0] < share[1] / 3


def test_the_code_on_the_card_runs(tiny: tuple) -> None:
    card = Path(HfApi().hf_hub_download("me/commons-curated", "README.md", repo_type="dataset")).read_text()
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL).group(1)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["again"]["row_id"][:] == names["kept"]["row_id"][:]


def test_the_query_on_the_card_cuts_the_same_rows(tiny: tuple) -> None:
    folder, _, _ = tiny
    published = folder / "hub" / "datasets" / "me" / "commons-curated"
    card = (published / "README.md").read_text()
    query = re.search(r"```sql\n(.*?)```", card, re.DOTALL).group(1)
    query = query.replace("hf://datasets/me/commons-curated", str(published))  # DuckDB's hf:// knows the real Hub only
    found = {row for (row,) in duckdb.sql(query).fetchall()}
    assert found == set(load_dataset("me/commons-curated", "top-50", split="train")["row_id"])


def test_results_have_the_form_that_all_recipes_share(tiny: tuple) -> None:
    folder, results, _ = tiny
    written = json.loads((folder / "results.json").read_text())
    assert written == json.loads(json.dumps(results))
    assert set(written) >= {"recipe", "config", "sources", "arms", "comparisons", "nulls", "stages"}
    assert list(written["arms"]) == ["full", "top-50", "random-50", "bottom-50"]
    for column in ("clip_similarity", "image_quality_overall"):
        metric = written["arms"]["top-50"][column]
        assert set(metric) == {"value", "low", "high", "n", "nulls"} and metric["n"] == 50
        assert metric["low"] < metric["value"] < metric["high"]
    assert {"a", "b", "metric", "difference", "low", "high", "p", "n"} == set(written["comparisons"][0])
    assert [stage["name"] for stage in written["stages"]] == [
        "read", "score image_quality", "score duplicates", "score clip", "publish",
    ]  # fmt: skip
    assert written["sources"][0]["repo_id"] == "tiny/commons" and len(written["sources"][0]["revision"]) == 40


def test_no_secret_and_no_path_in_anything_written(tiny: tuple, hub: Any) -> None:
    folder, _, said = tiny
    texts = [path.read_text() for path in (folder / "hub").rglob("*") if path.suffix in (".md", ".html")]
    assert len(texts) == 2
    for text in [*texts, said]:
        assert hub.token not in text
    for text in texts:
        assert str(folder) not in text and str(Path.home()) + "/" not in text and str(ROOT) not in text


def test_the_report_is_one_file_without_scripts(tiny: tuple) -> None:
    page = (tiny[0] / "report.html").read_text()
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/") > 20 and "best kept" in page and "first dropped" in page


def test_without_a_push_the_same_bytes_land_in_a_folder(tiny: tuple, unpushed: Path) -> None:
    here, pushed = published_files(unpushed), published_files(tiny[0])
    assert here.keys() == pushed.keys()
    assert [name for name in here if here[name] != pushed[name]] == []
    revision = HfApi().dataset_info("me/commons-curated").sha
    for name, content in here.items():
        there = HfApi().hf_hub_download("me/commons-curated", name, repo_type="dataset", revision=revision)
        assert Path(there).read_bytes() == content


def test_a_second_run_scores_nothing_and_refreshes_the_card(main: Any, tiny: tuple, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(tiny[0], folder)
    results = main([*SMALL, "--k", "40", "--output_dir", str(folder)])
    scored = [stage for stage in results["stages"] if stage["name"].startswith("score ")]
    assert all(stage["chunks_computed"] == 0 for stage in scored)
    card = Path(HfApi().hf_hub_download("me/commons-curated", "README.md", repo_type="dataset")).read_text()
    assert "top-40" in card and "top-50" not in card
    files = HfApi().list_repo_files("me/commons-curated", repo_type="dataset")
    assert not any("top-50" in name for name in files)


def test_a_dry_run_measures_and_publishes_nothing(main: Any, hub: Any, tmp_path: Path, capsys: Any) -> None:
    before = len(hub.requests)
    main(["--config", TINY, "--output_dir", str(tmp_path), "--dry_run", "--hub_dataset_id", "me/never"])
    said = capsys.readouterr().out
    for name in ("rows", "time to score", "memory", "disk", "downloads"):
        assert re.search(rf"^  {name} ", said, re.MULTILINE), said
    assert re.search(r"rows +1,200\b", said)
    assert not HfApi().repo_exists("me/never", repo_type="dataset")
    assert all(request.method in ("GET", "HEAD") for request in hub.requests[before:])
    assert not (tmp_path / "hub").exists() and not (tmp_path / "journal").exists()


def test_a_dry_run_of_two_ranks(tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
    launch += [str(ROOT / "accelerate_configs" / "multi_gpu.yaml"), "--num_processes", "2"]
    recipe = [str(ROOT / "recipes" / "score_and_select.py"), "--config", TINY, "--dry_run"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    got = subprocess.run(
        [*launch, *recipe, "--output_dir", str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert got.returncode == 0, got.stderr[-3000:]
    assert "on 2 process(es)" in got.stdout


def _scores(folder: Path, rows: int = 60) -> Path:
    """A local dataset that comes with scores of its own: no scorer is needed to try a way of selecting."""
    draw = np.random.default_rng(0)
    folder.mkdir()
    Dataset.from_dict(
        {
            "text": [f"row {i}" for i in range(rows)],
            "quality": draw.random(rows).tolist(),
            "source": draw.choice(["a", "b"], rows).tolist(),
            "vector": draw.normal(size=(rows, 4)).tolist(),
        }
    ).to_parquet(str(folder / "train.parquet"))
    return folder


@pytest.mark.parametrize(
    ("way", "arm", "rows"),
    [
        (["--k", "7"], "top-7", 7),
        (["--fraction", "0.1", "--per", "source"], "top-10pct", 6),
        (["--threshold", "0.5"], "above-", None),
        (["--band", "0.5", "0.9"], "band-24", 24),
        (["--k", "7", "--diverse", "vector"], "diverse-7", 7),
    ],
)
def test_every_way_of_selecting(main: Any, tmp_path: Path, way: list, arm: str, rows: int | None) -> None:
    data = _scores(tmp_path / "set")
    out = tmp_path / "out"
    results = main(["--dataset", str(data), "--select_by", "quality", *way, "--output_dir", str(out)])
    name = list(results["arms"])[1]
    assert name.startswith(arm)
    published = out / "hub" / "datasets" / "your-name" / "set-curated"
    kept = Dataset.from_parquet(str(published / "data" / name / "train-00000-of-00001.parquet"))
    assert rows is None or len(kept) == rows
    assert rows is not None or min(kept["quality"]) >= 0.5
    card = (published / "README.md").read_text()
    assert ("no single query says" in card) == ("--diverse" in way)
    assert str(tmp_path) not in card and "local folder" in card and "license: unknown" in card


def test_weights_over_published_ratings(main: Any, tmp_path: Path) -> None:
    """FineVision's form: no scorer, no pixel; the mean of its four ratings selects within each source."""
    (tmp_path / "set").mkdir()
    finevision(40).to_parquet(str(tmp_path / "set" / "train.parquet"))
    config = str(ROOT / "recipes" / "score_and_select.finevision.yaml")
    arguments = ["--config", config, "--dataset", str(tmp_path / "set"), "--dataset_config", "default"]
    results = main([*arguments, "--output_dir", str(tmp_path / "out")])
    full, top = results["arms"]["full"], results["arms"]["top-10pct"]
    assert top["score"]["value"] > full["score"]["value"] and top["score"]["n"] == 4
    pool = next((tmp_path / "out" / "hub").rglob("data/scores/*.parquet"))
    assert "images" not in Dataset.from_parquet(str(pool)).column_names


def test_bad_rows_are_published_with_their_reasons(main: Any, tmp_path: Path) -> None:
    """A pool with every kind of bad image: all rows stay, each with a score or a reason, none of those is kept."""
    from io import BytesIO

    good = BytesIO()
    Pictures.effect_noise((64, 64), 60).convert("RGB").save(good, "JPEG")
    cells = [{"bytes": good.getvalue(), "path": None}] * 6 + [
        {"bytes": good.getvalue()[:300], "path": None},
        {"bytes": b"", "path": "zero.jpg"},
        {"bytes": b"no image", "path": None},
        {"bytes": None, "path": "https://example.org/cat.jpg"},
        {"bytes": None, "path": "/etc/hostname"},
        None,
    ]
    texts = ["a good picture"] * 6 + [None, "", "x" * 1_000_000, "صورة", "six", "seven"]
    (tmp_path / "set").mkdir()
    features = Features({"image": Image(decode=False), "caption": Value("string")})
    dataset = Dataset.from_dict({"image": cells, "caption": texts}, features=features)
    # to_parquet would go and ask example.org how large its cat is.
    pq.write_table(dataset.data.table, tmp_path / "set" / "train.parquet")
    arguments = ["--dataset", str(tmp_path / "set"), "--image_column", "image", "--text_column", "caption"]
    scoring = ["--scorers", "{scorer: image_quality}", "--select_by", "image_quality_sharpness", "--k", "4"]
    results = main([*arguments, *scoring, "--output_dir", str(tmp_path / "out")])
    reasons = results["nulls"]["image_quality_sharpness"]
    assert sum(reasons.values()) == 6 and len(reasons) == 6
    pool = Dataset.from_parquet(str(next((tmp_path / "out" / "hub").rglob("data/scores/*.parquet"))))
    pool = pool.cast_column("image", Image(decode=False))
    assert len(pool) == 12
    assert all((row["image_quality_sharpness"] is None) == bool(row["image_quality_error"]) for row in pool)
    card = next((tmp_path / "out" / "hub").rglob("README.md")).read_text()
    assert all(reason.split(";")[0] in card.replace("\\", "") for reason in reasons)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dataset", "tiny/commons", "--k", "3"], "select_by, weights: give one of them"),
        (["--dataset", "tiny/commons", "--select_by", "x"], "k, fraction, threshold, band: give one of them"),
        (["--dataset", "tiny/commons", "--select_by", "x", "--k", "3", "--per", "a", "--diverse", "v"], "diverse:"),
        (["--config", TINY, "--hub_dataset_id", "null"], "hub_dataset_id: needed"),
        (["--config", TINY, "--hub_dataset_id", "tiny/commons"], "is the source"),
        (["--config", TINY, "--hub_dataset_id", "tiny/other", "--k", "5"], "tiny/other: the Hub refused (403)"),
        (["--config", TINY, "--select_by", "image_quality_overal"], "did you mean 'image_quality_overall'?"),
        (["--config", TINY, "--per", "topik"], "per: no column 'topik'; did you mean 'topic'?"),
        (["--config", TINY, "--k", "-3"], "k: -3 is not accepted; expected 1 or more"),
        (["--config", TINY, "--k", "null", "--fraction", "2"], "fraction: 2.0 is not accepted; expected 1e-09 to 1"),
        (["--config", TINY, "--batch_size", "0"], "batch_size: 0 is not accepted"),
        (["--config", TINY, "--split", "train[:10]"], "split: 'train[:10]' is not accepted"),
        (["--config", TINY, "--image_column", "picture"], "column 'picture' is not in the dataset; it has: id, topic"),
        (["--config", TINY, "--k", "9000"], "k: 9000 rows were asked for, the dataset has 20"),
        (
            ["--config", TINY, "--k", "20", "--duplicate_distance", "16"],
            "k: 20 rows of 'clip_similarity' were asked for",
        ),
        (["--config", TINY, "--scorers", "{scorer: clipp}"], "'clipp' is not accepted; expected one of answerable, "),
        (
            ["--config", TINY, "--scorers", "{scorer: duplicates, size: 9}"],
            "scorers[0] (duplicates): unknown key 'size'",
        ),
        (["--config", TINY, "--split", "test"], "test"),
        (["--config", TINY, "--select_by", "caption"], "'caption' is string, not a number"),
    ],
)
def test_wrong_settings_end_in_one_line(tmp_path: Path, main: Any, capsys: Any, arguments: list, said: str) -> None:
    from tamis.config import plain_errors

    with pytest.raises(SystemExit) as stop, plain_errors():
        main([*arguments, "--limit", "20", "--output_dir", str(tmp_path)])
    assert stop.value.code in (1, 2)
    assert said in capsys.readouterr().err
    # The one that shows only when all is scored is the only one that finds anything scored.
    assert (tmp_path / "journal").exists() == ("'clip_similarity' were asked for" in said)


def test_two_ranks_publish_what_one_publishes(unpushed: Path, tmp_path: Path) -> None:
    """The real launcher, two processes on the CPU, against the bytes of the one-process run."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
    launch += [str(ROOT / "accelerate_configs" / "multi_gpu.yaml"), "--num_processes", "2"]
    recipe = [str(ROOT / "recipes" / "score_and_select.py"), *SMALL, "--k", "50"]
    options = ["--output_dir", str(tmp_path), "--no_push_to_hub"]
    # As many threads as the one process had: sums of floats depend on how they are shared out.
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    got = subprocess.run([*launch, *recipe, *options], env=environment, capture_output=True, text=True, check=False)
    assert got.returncode == 0, got.stderr[-3000:]
    assert got.stdout.count("results.json") == 1  # one rank speaks
    results = json.loads((tmp_path / "results.json").read_text())
    assert all(stage["ranks"] == 2 for stage in results["stages"] if stage["name"].startswith("score "))
    one, two = published_files(unpushed), published_files(tmp_path)
    assert [name for name in one if one[name] != two[name]] == []


def _queried(published: Path) -> set[str]:
    """Row ids that the query on a card finds, in the files published beside it."""
    query = re.search(r"```sql\n(.*?)```", (published / "README.md").read_text(), re.DOTALL).group(1)
    address = f"hf://datasets/{published.parent.name}/{published.name}"
    return {row for (row,) in duckdb.sql(query.replace(address, str(published))).fetchall()}


def _published(out: Path, arm: str) -> tuple[Path, Dataset]:
    published = next((out / "hub").rglob("README.md")).parent
    return published, Dataset.from_parquet(str(next(published.rglob(f"data/{arm}/*.parquet"))))


def test_the_published_pool_can_be_cut_again(main: Any, unpushed: Path, tmp_path: Path) -> None:
    """What the recipe published is a dataset like any other: its arms and groups make room for the new ones."""
    before = load_dataset(str(unpushed / "hub" / "datasets" / "me" / "commons-curated"), "scores", split="train")
    arguments = [
        "--dataset",
        str(unpushed / "hub" / "datasets" / "me" / "commons-curated"),
        "--dataset_config",
        "scores",
    ]
    cut = ["--select_by", "image_quality_sharpness", "--k", "20", "--per", "topic", "--deduplicate", "duplicates_hash"]
    main([*arguments, *cut, "--image_column", "image", "--output_dir", str(tmp_path)])
    published, pool = _published(tmp_path, "scores")
    _, kept = _published(tmp_path, "top-20")
    assert pool["row_id"][:] == before["row_id"][:] and sorted(pool.column_names) == sorted(before.column_names)
    assert {arm for names in pool["arms"] for arm in names} == {"top-20", "random-20", "bottom-20"}
    assert _queried(published) == set(kept["row_id"]) and len(kept) == 20


def test_a_pool_with_a_weighted_score_is_cut_by_it_and_never_written_over(main: Any, tmp_path: Path) -> None:
    from tamis.config import ConfigError

    data = _scores(tmp_path / "set")
    weighted = ["--weights", "{quality: 1}", "--fraction", "0.1"]
    main(["--dataset", str(data), *weighted, "--output_dir", str(tmp_path / "first")])
    published, _ = _published(tmp_path / "first", "top-10pct")
    again = ["--dataset", str(published), "--dataset_config", "scores", "--output_dir", str(tmp_path / "second")]
    results = main([*again, "--select_by", "score", "--k", "9"])
    assert results["arms"]["top-9"]["score"]["n"] == 9
    # Other weights for a pool of ours: its score makes way. A score of somebody else's does not.
    results = main([*again, "--weights", "{quality: 2}", "--k", "9"])
    assert results["arms"]["top-9"]["score"]["n"] == 9
    with pytest.raises(ConfigError, match="weights: score: no column 'score'"):  # it is going to be replaced
        main([*again, "--weights", "{score: 1}", "--k", "9"])
    for name, columns in {
        "theirs": {"score": [0.1, 0.2], "quality": [0.3, 0.4]},
        "other arms": {"score": [0.1, 0.2], "quality": [0.3, 0.4], "arms": [2, 4]},
    }.items():
        (tmp_path / name).mkdir()
        Dataset.from_dict(columns).to_parquet(str(tmp_path / name / "train.parquet"))
        out = ["--output_dir", str(tmp_path / f"{name} out")]
        with pytest.raises(ConfigError, match="the column 'score', which the dataset has already"):
            main(["--dataset", str(tmp_path / name), "--weights", "{quality: 2}", "--k", "1", *out])


@pytest.mark.parametrize("column", ["label", "good", "level", "hole", "rows_kept"])
def test_the_mixture_of_any_column_is_kept_and_queried(main: Any, tmp_path: Path, column: str) -> None:
    draw = np.random.default_rng(0)
    (tmp_path / "set").mkdir()
    columns = {
        "quality": draw.integers(0, 9, 80).astype(np.float32),
        "label": draw.choice(["a", "b"], 80),
        "good": draw.random(80) > 0.7,
        "level": draw.integers(1, 4, 80),
        "hole": [[None, "null", "it's"][place] for place in draw.integers(0, 3, 80)],
        "rows_kept": draw.choice(["x", "y"], 80),
    }
    Dataset.from_dict(columns).to_parquet(str(tmp_path / "set" / "train.parquet"))
    cut = ["--select_by", "quality", "--k", "30", "--per", column]
    main(["--dataset", str(tmp_path / "set"), *cut, "--output_dir", str(tmp_path / "out")])
    published, kept = _published(tmp_path / "out", "top-30")
    assert _queried(published) == set(kept["row_id"]) and len(kept) == 30


def test_a_stored_number_reaches_its_own_threshold(main: Any, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    values = np.asarray([0.7, 0.5] * 10, dtype=np.float32)
    Dataset.from_dict({"quality": values}).to_parquet(str(tmp_path / "set" / "train.parquet"))
    arguments = ["--dataset", str(tmp_path / "set"), "--select_by", "quality", "--output_dir", str(tmp_path / "out")]
    main([*arguments, "--threshold", "0.7"])
    published, kept = _published(tmp_path / "out", "above-10")
    assert _queried(published) == set(kept["row_id"]) and len(kept) == 10


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--select_by", "quality", "--threshold", "7"], "no row of 'quality' reaches 7"),
        (["--select_by", "quality", "--band", "0.5", "0.501"], "no row of 'quality' lies in [0.5, 0.501]"),
        (["--select_by", "digits", "--k", "3"], "'digits' is string, not a number"),
        (["--select_by", "quality", "--k", "3", "--per", "quality"], "'quality' is double: rows are grouped by"),
        (["--select_by", "quality", "--k", "3", "--diverse", "ragged"], "'ragged' holds vectors of 1 to 2 numbers"),
        (
            ["--select_by", "quality", "--fraction", "0.5", "--deduplicate", "hash"],
            "(0.5 of 30) were asked for, 5 have",
        ),
        (
            ["--select_by", "quality", "--k", "3", "--deduplicate", "quality"],
            "deduplicate: column 'quality' is float64",
        ),
    ],
)
def test_settings_that_the_data_cannot_meet_end_in_one_line(
    main: Any, tmp_path: Path, capsys: Any, settings: list, said: str
) -> None:
    from tamis.config import plain_errors

    (tmp_path / "set").mkdir()
    rows = range(30)
    columns = {
        "quality": [i / 30 for i in rows],
        "digits": [str(i) for i in rows],
        "ragged": [[1.0] * (1 + i % 2) for i in rows],
        "hash": [f"{0x1111111111111111 * (i % 5):016x}" for i in rows],
    }
    Dataset.from_dict(columns).to_parquet(str(tmp_path / "set" / "train.parquet"))
    with pytest.raises(SystemExit), plain_errors():
        main(["--dataset", str(tmp_path / "set"), *settings, "--output_dir", str(tmp_path / "out")])
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "hub").exists()


def test_true_and_false_select_too_and_nulls_of_the_source_are_counted(main: Any, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    columns = {"good": [True, None, False, True] * 10, "other": [1.0, None, 2.0, None] * 10}
    Dataset.from_dict(columns).to_parquet(str(tmp_path / "set" / "train.parquet"))
    arguments = ["--dataset", str(tmp_path / "set"), "--k", "5"]
    results = main([*arguments, "--select_by", "good", "--output_dir", str(tmp_path / "one")])
    assert results["arms"]["top-5"]["good"]["value"] == 1.0 and results["arms"]["full"]["good"]["nulls"] == 10
    published, kept = _published(tmp_path / "one", "top-5")
    assert _queried(published) == set(kept["row_id"])
    assert "null in the source" in (published / "README.md").read_text()
    results = main([*arguments, "--weights", "{good: 1, other: 1}", "--output_dir", str(tmp_path / "two")])
    assert results["nulls"] == {
        "good": {"null in the source": 10},
        "other": {"null in the source": 20},
        "score": {"a column it weighs is null": 20},
    }
