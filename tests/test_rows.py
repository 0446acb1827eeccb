"""Rows from the Hub and from folders: stable ids, the commit they came from, images as they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Image, Value, load_dataset
from PIL import Image as Pictures

from tamis import rows, sources
from tamis.config import ConfigError
from tamis.images import Unscorable, decode_image
from tamis.run import Run


def test_a_hub_dataset_at_its_commit(run: Run, hub: Any) -> None:
    from huggingface_hub import HfApi

    dataset, source = rows.read_rows("tiny/commons", run=run, limit=20, id_column="id", needs=("image", "caption"))
    assert dataset["row_id"][:2] == ["modi-00", "rooch-16"]
    assert dataset.column_names[0] == "row_id" and len(dataset) == 20
    assert source == sources.Source("tiny/commons", "dataset", HfApi().dataset_info("tiny/commons").sha, "cc0-1.0")
    assert dataset._indices is None  # nothing that scoring would have to flatten
    assert isinstance(dataset[0]["image"], dict)  # undecoded
    assert decode_image(dataset[0]["image"]).size == (64, 64)
    assert run.sources[0]["rows"] == 20


def test_streamed_rows_equal_downloaded_ones(run: Run) -> None:
    streamed, _ = rows.read_rows("tiny/commons", run=run, limit=30, streaming=True)
    downloaded, _ = rows.read_rows("tiny/commons", run=run, limit=30)
    assert streamed.to_dict() == downloaded.to_dict()
    assert streamed["row_id"][:2] == ["train-0", "train-1"]
    again, _ = rows.read_rows("tiny/commons", run=run, limit=30, streaming=True)
    assert again._fingerprint == streamed._fingerprint  # a restart finds its journal


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("request_", ["GET /api/datasets/tiny/commons", "GET .*parquet", "HEAD .*README"])
@pytest.mark.parametrize("status", [429, 500, None])
def test_a_busy_or_failing_hub_is_read_all_the_same(
    run: Run, hub: Any, monkeypatch: pytest.MonkeyPatch, streaming: bool, request_: str, status: int | None
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", run.output_dir / "datasets")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(run.output_dir / "cache"))
    sources.forget()
    if status:
        hub.faults.fail(request_, status, times=2)
    else:
        hub.faults.drop(request_, times=2)
    dataset, _ = rows.read_rows("tiny/commons", run=run, limit=20, streaming=streaming)
    assert len(dataset) == 20
    assert hub.faults.pending == 0  # they were met, not passed by in a cache


def test_a_hub_that_stays_down_is_one_clear_error(
    run: Run, hub: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from tamis.config import plain_errors

    monkeypatch.setattr("time.sleep", lambda seconds: None)
    sources.forget()
    hub.faults.fail("GET /api/datasets/tiny/commons", 503, times=1000)
    with pytest.raises(SystemExit) as stop, plain_errors():
        rows.read_rows("tiny/commons", run=run)
    assert stop.value.code == 1
    assert "error: tiny/commons: gave up after 7 tries (HTTP 503" in capsys.readouterr().err


def test_no_network_and_no_token_are_told_soon(run: Run, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi

    from tamis.retries import HubError, patiently

    waited: list[float] = []
    monkeypatch.setattr("tamis.retries.time.sleep", waited.append)
    nobody = HfApi(endpoint="http://127.0.0.1:9")
    with pytest.raises(HubError, match="no Hub can be reached.*python -m tamis.localhub run"):
        patiently(lambda: nobody.dataset_info("me/x"), "me/x")
    assert sum(waited) < 5
    with pytest.raises(HubError, match="no token, or one the Hub does not know"):
        patiently(lambda: HfApi(endpoint=hub.url, token="hf_wrong").whoami(), "me/x")


def test_a_file_and_a_missing_folder_are_told_apart(run: Run, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("text\na\n")
    for path, said in (
        (str(tmp_path / "texts.csv"), "is a file; give the folder that holds it"),
        (str(tmp_path / "nothing"), "no such folder"),
        ("./nothing", "no such folder"),
        ("a b/c", "no such folder, and no name that a Hub repo could have"),
    ):
        with pytest.raises(ConfigError, match=said):
            rows.read_rows(path, run=run)
    with pytest.raises(ConfigError, match="image_column: 'caption' is string, not images"):
        rows.refuse_non_images(rows.read_rows("tiny/commons", run=run, limit=1)[0].features, "caption")


def test_columns_read_only_these(run: Run) -> None:
    for streaming in (False, True):
        dataset, _ = rows.read_rows("tiny/commons", run=run, limit=5, columns=["topic", "caption"], streaming=streaming)
        assert dataset.column_names == ["row_id", "topic", "caption"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"path": "tiny/nothing"}, "'tiny/nothing': no such folder here and no such repo"),
        ({"path": "tiny/commons", "split": "validation"}, "validation"),
        ({"path": "tiny/commons", "config_name": "other"}, "other"),
        ({"path": "tiny/commons", "revision": "v9"}, "no revision 'v9'"),
        ({"path": "tiny/commons", "needs": ("picture",)}, "column 'picture' is not in the dataset; it has: id, topic"),
        ({"path": "tiny/commons", "id_column": "uid"}, "column 'uid' is not in the dataset"),
        ({"path": "tiny/commons", "id_column": "topic"}, "id_column: 'topic' holds 'modi' more than once"),
        ({"path": "tiny/commons", "limit": 0}, "no rows"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(run: Run, arguments: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        rows.read_rows(run=run, **arguments)


def test_tiny_repos_are_refused_on_another_hub(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://huggingface.co")
    with pytest.raises(ConfigError, match="python -m tamis.localhub run -- "):
        rows.read_rows("tiny/commons", run=run)


def test_a_local_image_folder(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "sea").mkdir(parents=True)
    for index in range(6):
        Pictures.effect_noise((20, 20), index).convert("RGB").save(folder / "sea" / f"{index}.png")
    dataset, source = rows.read_rows(str(folder), run=run)
    assert source.local and source.repo_id == "holiday" and str(tmp_path) not in str(source)
    assert len(dataset) == 6
    assert decode_image(dataset[2]["image"]).size == (20, 20)
    before = source.revision
    Pictures.new("RGB", (5, 5)).save(folder / "sea" / "6.png")
    sources.forget()
    assert rows.read_rows(str(folder), run=run)[1].revision != before


def test_a_dataset_cannot_name_files_of_this_machine(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Pictures.new("RGB", (5, 5), "red").save(secret)
    folder = tmp_path / "set"
    folder.mkdir()
    features = Features({"image": Image(decode=False)})
    Dataset.from_dict({"image": [{"bytes": None, "path": str(secret)}]}, features=features).to_parquet(
        str(folder / "train.parquet")
    )
    dataset, _ = rows.read_rows(str(folder), run=run)
    with pytest.raises(Unscorable, match="not the dataset's own"):
        decode_image(dataset[0]["image"])


def test_null_and_duplicate_ids() -> None:
    with pytest.raises(ConfigError, match="'uid' is null in row 1"):
        rows.with_row_id(Dataset.from_dict({"uid": ["a", None]}), "train", "uid")
    with pytest.raises(ConfigError, match="holds '7' more than once"):
        rows.with_row_id(Dataset.from_dict({"uid": [7, 8, 7]}), "train", "uid")
    numbered = rows.with_row_id(Dataset.from_dict({"uid": [7, 8]}), "train", "uid")
    assert numbered["row_id"][:] == ["7", "8"] and "uid" in numbered.column_names
    own = rows.with_row_id(Dataset.from_dict({"row_id": ["x", "y"]}), "train", None)
    assert own["row_id"][:] == ["x", "y"] and own.column_names == ["row_id"]
    assert own.features["row_id"] == Value("string")


def test_fingerprints_of_ids_differ_with_what_made_them() -> None:
    dataset = Dataset.from_dict({"uid": ["a", "b"], "other": ["c", "d"]})
    ways = (("train", None), ("test", None), ("train", "uid"), ("train", "other"))
    made = [rows.with_row_id(dataset, split, column) for split, column in ways]
    assert len({one._fingerprint for one in made}) == 4
    assert rows.with_row_id(dataset, "train", "uid")._fingerprint == made[2]._fingerprint


def test_extent_is_told_without_reading(tmp_path: Path) -> None:
    source = sources.pin("tiny/commons", "dataset")
    told = rows.extent("tiny/commons", source, config_name=None, split="train")
    assert told.rows == 1200 and 4_000_000 < told.download_bytes < 7_000_000
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        Pictures.new("RGB", (5, 5)).save(folder / f"{index}.png")
    local = rows.extent(str(folder), sources.pin(str(folder), "dataset"), config_name=None, split="train")
    assert (local.rows, local.download_bytes) == (3, 0)


def test_finevision_rows_without_pixels(run: Run, tmp_path: Path, recipes: Path) -> None:
    """The schema of HuggingFaceM4/FineVision, made small: only the columns its YAML names are read."""
    import yaml

    config = yaml.safe_load((recipes / "score_and_select.finevision.yaml").read_text())
    finevision(8).to_parquet(str(tmp_path / "train.parquet"))
    dataset, _ = rows.read_rows(str(tmp_path), run=run, columns=config["columns"], streaming=True)
    assert dataset.column_names == ["row_id", *config["columns"]]
    assert set(config["weights"]) < set(dataset.column_names)
    assert "images" in load_dataset(str(tmp_path), split="train").column_names


def finevision(count: int) -> Dataset:
    """Rows as that dataset has them: images, turns, and four ratings from 1 to 5 a turn with their minimum."""
    from datasets import List

    axes = ("relevance", "image_correspondence", "visual_dependency", "formatting")
    features = Features(
        {
            "images": List(Image()),
            "texts": List({"user": Value("string"), "assistant": Value("string")}),
            "source": Value("string"),
            **{f"{axis}_{kind}": List(Value("int64")) if kind == "ratings" else Value("int64")
               for axis in axes for kind in ("ratings", "min")},
        }
    )  # fmt: skip
    made = []
    for index in range(count):
        turns = 1 + index % 3
        row: dict[str, Any] = {
            "images": [Pictures.new("RGB", (8, 8), (index * 3 % 255, 90, 90))],
            "texts": [{"user": f"question {turn}?", "assistant": f"answer {index}"} for turn in range(turns)],
            "source": ("aokvqa", "vqav2")[index % 2],
        }
        for place, axis in enumerate(axes):
            ratings = [1 + (index * 7 + turn * 3 + place) % 5 for turn in range(turns)]
            row |= {f"{axis}_ratings": ratings, f"{axis}_min": min(ratings)}
        made.append(row)
    return Dataset.from_list(made, features=features)
