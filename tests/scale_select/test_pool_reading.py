"""LLaVA's form as it is handed out, a JSON file and a folder of pictures, and chats of any dataset; draws by seed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Image, List, Value

from tamis.config import ConfigError
from tamis.images import decode_image
from tamis.named_files import LEAVES, MISSING
from tamis.run import Run
from tamis.scale_select.conversations import NO_PICTURE, NOT_MARKED, SEVERAL, UNANSWERED
from tamis.scale_select.drawing import ID_TWICE, NO_ID, PICTURE_LACKS, TEXT_ONLY
from tamis.scale_select.json_files import NO_ROW
from tamis.scale_select.pictures import NO_FOLDER, NO_NAME
from tamis.scale_select.reading import read
from tamis.scale_select.source_rows import pool_features


def png(colour: int = 0) -> bytes:
    import io

    from PIL import Image as Pictures

    file = io.BytesIO()
    Pictures.new("RGB", (8, 8), (colour % 256, 80, 200)).save(file, "PNG")
    return file.getvalue()


def turns(question: str = "<image>\nwhat is it?", answer: str = "a cat.") -> list[dict[str, str]]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures as COCO's, beside them what no row may name."""
    made = tmp_path / "images"
    (made / "coco" / "train2017").mkdir(parents=True)
    for number in range(3):
        (made / "coco" / "train2017" / f"{number}.png").write_bytes(png(number))
    (made / "empty.png").touch()
    (tmp_path / "secret.png").write_bytes(png())
    (made / "link.png").symlink_to(tmp_path / "secret.png")
    (made / "outside").symlink_to(tmp_path)
    (made / "inside.png").symlink_to(made / "coco" / "train2017" / "0.png")
    return made


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A source: these rows as the JSON file of a folder."""

    def write(rows: list[Any], **more: Any) -> dict[str, Any]:
        place = tmp_path / "set"
        place.mkdir(exist_ok=True)
        (place / "mix.json").write_text(json.dumps(rows))
        return {"source": "LLaVA-1.5-mix", "dataset": str(place), "files": ["mix.json"], **more}

    return write


def test_a_json_file_with_a_folder_of_pictures(run: Run, folder: Path, listed: Callable[..., Any]) -> None:
    good = ["coco/train2017/0.png", "coco/train2017/1.png", "inside.png", "./coco/train2017/2.png"]
    leaving = [
        "../secret.png",
        "/etc/passwd",
        "coco/../../secret.png",
        "link.png",
        "outside/secret.png",
        "a\\b",
        "a\0b",
    ]
    leaving += ["http://example.org/a.png", "hf://datasets/me/x/a.png", str(folder / "coco" / "train2017" / "0.png")]
    missing = ["coco/train2017/9.png", "empty.png", "coco", "coco/train2017/0.png/x", "x" * 4000, "\ud83d.png", " "]
    rows = [{"id": name, "image": name, "conversations": turns()} for name in [*good, *leaving, *missing]]
    rows += [
        {"id": 7, "conversations": turns("who?", "me."), "model": ""},  # as ShareGPT's rows in LLaVA's file
        {"id": "e", "image": "", "conversations": turns("who?", "me.")},
        {"id": 33471, "image": good[0], "conversations": turns("what is it?")},
        {"image": good[0], "conversations": turns() + turns("so?")[:1]},
        {"image": [good[0]], "conversations": turns()},
        {"image": [good[0], good[1]], "conversations": turns("<image><image>q")},
        {"image": 12, "conversations": turns()},
        {"image": [[good[0]]], "conversations": turns()},
        {"conversations": turns()},
        "no row",
        None,
    ]
    source = listed(rows, image_folder=str(folder))
    pool = read([source], run=run, keep_columns=["id", "model"])
    refused = {LEAVES: len(leaving), MISSING: len(missing), SEVERAL: 1, NO_NAME: 2, NO_PICTURE: 1, NO_ROW: 2}
    assert pool.refused == {"LLaVA-1.5-mix": refused}
    assert pool.repaired == {"LLaVA-1.5-mix": {NOT_MARKED: 1, UNANSWERED: 1}}
    assert pool.composition["LLaVA-1.5-mix"] == {"wanted": None, "taken": 9, "there": 9, "read": len(rows)}
    assert sum(refused.values()) + 9 == len(rows)
    paths = [None if one is None else Path(one["path"]) for one in pool.rows["image"][:]]
    assert paths == [*(folder / name for name in good), None, None, *[folder / good[0]] * 3]
    assert all(one is None or one["bytes"] is None for one in pool.rows["image"][:])  # they stay where they are
    assert decode_image(pool.rows[2]["image"]).size == (8, 8)
    assert pool.rows["id"][:][4:7] == ["7", "e", "33471"] and pool.rows["model"][:][3:6] == [None, "", None]
    assert pool.rows["row_id"][0] == "LLaVA-1.5-mix/train-0"
    [cited] = run.sources
    assert cited["local"] and cited["repo_id"] == "set" and cited["rows"] == len(rows)
    assert str(folder.parent) not in json.dumps(run.sources)
    told = "\n".join(pool.said())
    assert f"LLaVA-1.5-mix: 9 of 9 usable rows, {len(rows)} read" in told and f"7 not used: {MISSING}" in told


def test_a_picture_that_came_later_is_found(run: Run, folder: Path, listed: Callable[..., Any]) -> None:
    rows = [{"image": f"coco/train2017/{number}.png", "conversations": turns()} for number in range(5)]
    source = listed(rows, image_folder=str(folder))
    assert read([source], run=run).refused["LLaVA-1.5-mix"] == {MISSING: 2}
    (folder / "coco" / "train2017" / "3.png").write_bytes(png())
    assert read([source], run=run).refused["LLaVA-1.5-mix"] == {MISSING: 1}
    listed([*rows, {"conversations": turns("who?")}])
    assert len(read([source], run=run).rows) == 5


def test_pictures_that_are_only_named_need_a_folder(run: Run, folder: Path, listed: Callable[..., Any]) -> None:
    rows = [{"image": "coco/train2017/0.png", "conversations": turns()}, {"conversations": turns("who?")}]
    assert read([listed(rows)], run=run).refused["LLaVA-1.5-mix"] == {NO_FOLDER: 1}
    with pytest.raises(
        ConfigError, match="no row can be used, of 2 read; 1 not used: .*image_folder.*; 1 not used: no"
    ):
        read([listed(rows)], run=run, text_only="refuse")
    pool = read([listed(rows, image_folder=str(folder))], run=run, text_only="refuse")
    assert pool.refused["LLaVA-1.5-mix"] == {TEXT_ONLY: 1} and len(pool.rows) == 1


def test_ids_that_stand_twice(run: Run, listed: Callable[..., Any]) -> None:
    ids = ["a", "b", "a", 7, "7", None, " ", ["a"], "\ud83d", "c"]
    rows = [{"id": one, "conversations": turns("who?", f"{at}")} for at, one in enumerate(ids)]
    assert len(read([listed(rows)], run=run).rows) == len(rows)  # rows are named by their place
    pool = read([listed(rows, id_column="id")], run=run)
    assert pool.rows["row_id"][:] == [f"LLaVA-1.5-mix/{one}" for one in ("a", "b", "7", "c")]
    assert pool.rows["answer"][:] == ["0", "1", "3", "9"]  # the first of each
    assert pool.refused["LLaVA-1.5-mix"] == {ID_TWICE: 2, NO_ID: 4}


def test_so_many_are_drawn_by_seed_of_rows_that_can_be_used(run: Run, listed: Callable[..., Any]) -> None:
    rows = [{"id": f"r{at}", "conversations": turns("who?", "me." if at % 3 else "")} for at in range(300)]
    source = listed(rows, id_column="id")
    drawn = {
        (seed, count): read([source | {"rows": count}], run=run, seed=seed).rows["row_id"][:]
        for seed in (0, 1)
        for count in (1, 40, 80, 199, 200)
    }
    assert {key: len(ids) for key, ids in drawn.items()} == {(seed, count): count for seed, count in drawn}
    for (seed, _), ids in drawn.items():
        numbers = [int(one.rpartition("r")[2]) for one in ids]
        assert numbers == sorted(set(numbers)) and all(number % 3 for number in numbers)  # their order, usable ones
        assert set(drawn[seed, 1]) <= set(drawn[seed, 40]) <= set(drawn[seed, 80])  # a smaller draw is part of it
    assert len(set(drawn[0, 80]) & set(drawn[1, 80])) < 60  # expected 32
    assert abs(sum(int(one.rpartition("r")[2]) for one in drawn[0, 80]) / 80 - 150) < 40  # from everywhere
    turned = read([listed(rows[::-1], id_column="id") | {"rows": 40}], run=run).rows["row_id"][:]
    assert turned[::-1] == drawn[0, 40]  # wherever the rows stand
    with pytest.raises(
        ConfigError,
        match="LLaVA-1.5-mix: rows: 201 wanted, 200 can be used, of 300 read; 100 not used: an empty turn; ask for",
    ):
        read([source | {"rows": 201}], run=run)
    pool = read([source | {"rows": 201, "at_most": True}], run=run)
    assert pool.composition["LLaVA-1.5-mix"] == {"wanted": 201, "taken": 200, "there": 200, "read": 300}
    assert len(read([source | {"rows": 201}], run=run, limit=30).rows) == 20  # of the first rows what there is


def test_files_of_a_hub_repo_fetched_whole_or_in_part(run: Run, hub: Any, folder: Path) -> None:
    from huggingface_hub import HfApi

    HfApi().create_repo("me/talks", repo_type="dataset", exist_ok=True)
    parts = [[{"conversations": turns("who?", f"{part}-{at}")} for at in range(60)] for part in range(2)]
    contents = {"a.json": json.dumps(parts[0]), "b.jsonl": "\n".join(json.dumps(row) for row in parts[1])}
    for name, content in contents.items():
        HfApi().upload_file(
            path_or_fileobj=content.encode(), path_in_repo=name, repo_id="me/talks", repo_type="dataset"
        )
    source = {"source": "conversations", "dataset": "me/talks", "files": list(contents), "name": "talks"}
    pool = read([source], run=run)
    assert pool.rows["answer"][:] == [f"{part}-{at}" for part in range(2) for at in range(60)]
    assert pool.sources[0].revision == HfApi().dataset_info("me/talks").sha and run.sources[0]["rows"] == 120
    streamed = read([source], run=run, limit=70, streaming=True)
    assert streamed.rows["row_id"][:] == [f"talks/train-{at}" for at in range(70)]
    assert streamed.rows["answer"][:] == pool.rows["answer"][:70]
    for streaming in (False, True):
        with pytest.raises(ConfigError, match="no file 'c.json'"):
            read([source | {"files": ["c.json"]}], run=run, limit=5, streaming=streaming)
    with pytest.raises(ConfigError, match="dataset 'images': no file 'c.json'"):
        read([source | {"dataset": str(folder), "files": ["c.json"]}], run=run)


@pytest.mark.parametrize("streaming", [False, True])
def test_chats_of_any_dataset_with_lists_of_pictures(run: Run, tmp_path: Path, streaming: bool) -> None:
    def cell(number: int) -> dict[str, Any]:
        return {"bytes": png(number), "path": None}

    said = [{"role": "user", "content": "what?"}, {"role": "assistant", "content": "that."}]
    images = [[cell(0)], [cell(1), cell(2)], [], None, [None, cell(3)], [{"bytes": None, "path": "/etc/hostname"}]]
    kinds = {"images": List(Image()), "messages": List({"role": Value("string"), "content": Value("string")})}
    rows = Dataset.from_dict({"images": images, "messages": [said] * 6}, features=Features(kinds))
    (tmp_path / "chats").mkdir()
    rows.to_parquet(str(tmp_path / "chats" / "train.parquet"))
    source = {"source": "conversations", "dataset": str(tmp_path / "chats"), "name": "own"}
    limit = 6 if streaming else None
    pool = read([source], run=run, streaming=streaming, limit=limit)
    assert pool.rows["row_id"][:] == ["own/train-0", "own/train-2", "own/train-3", "own/train-4"]
    assert [one and one["bytes"] for one in pool.rows["image"][:]] == [png(0), None, None, png(3)]
    assert pool.refused["own"] == {SEVERAL: 1, NO_FOLDER: 1} and not pool.repaired["own"]
    with pytest.raises(ConfigError, match="no column conversations or messages; it has: row_id, images"):
        rows.remove_columns("messages").to_parquet(str(tmp_path / "chats" / "train.parquet"))
        read([source], run=run, streaming=streaming, limit=limit and 5)


def test_columns_of_names_and_of_bytes(run: Run, tmp_path: Path, folder: Path) -> None:
    place = tmp_path / "set"
    place.mkdir()
    told = {"query": ["q"] * 4, "label": [["a"]] * 4}
    source = {"source": "ChartQA", "dataset": str(place), "image_folder": str(folder)}
    names = ["coco/train2017/0.png", "../secret.png", None, "no.png"]
    Dataset.from_dict(told | {"image": names}).to_parquet(str(place / "train.parquet"))
    pool = read([source], run=run)
    assert pool.rows["image"][:] == [{"bytes": None, "path": str(folder / names[0])}]
    assert pool.refused["ChartQA"] == {LEAVES: 1, PICTURE_LACKS: 1, MISSING: 1}
    features = Features({"query": Value("string"), "label": List(Value("string")), "image": Value("binary")})
    rows = Dataset.from_dict(told | {"image": [png(), None, png(1), png(2)]}, features=features)
    rows.to_parquet(str(place / "train.parquet"))
    from tamis import sources

    sources.forget()
    pool = read([source], run=run)
    assert [one["bytes"] for one in pool.rows["image"][:]] == [png(), png(1), png(2)]
    with pytest.raises(ConfigError, match="column 'question', 'answers' is not in the dataset"):
        read([source | {"source": "DocVQA"}], run=run)


def test_kept_columns(run: Run, listed: Callable[..., Any]) -> None:
    embedded = {"source": "ChartQA", "dataset": "tiny/pool", "dataset_config": "ChartQA"}
    other = embedded | {"source": "A-OKVQA", "dataset_config": "A-OKVQA"}
    told = [{"conversations": turns("who?"), "question_id": value} for value in ("x", 7, None, {"a": 1}, "\ud83d")]
    pool = read(
        [embedded, other, listed(told)], run=run, keep_columns=["rationales", "question_id", "human_or_machine"]
    )
    assert pool.rows.column_names == [*pool_features(), "rationales", "question_id", "human_or_machine"]
    first, second, third = pool.rows[0], pool.rows[36], pool.rows[62]
    assert (first["rationales"], first["question_id"], first["human_or_machine"]) == (None, None, 0)
    assert len(second["rationales"]) == 2 and second["human_or_machine"] is None
    assert (third["rationales"], third["question_id"]) == (None, "x")
    assert pool.rows["question_id"][:][-5:] == ["x", "7", None, '{"a": 1}', "?"]
    for keep, said in (
        ("text", "'text' is the name of a column that is made here"),
        ("texts", "no source has 'texts'"),
        ("human_or_machine", "'human_or_machine' is ClassLabel.* here and Value.* there"),
    ):
        with pytest.raises(ConfigError, match=f"keep_columns: {said}"):
            read(
                [embedded, listed([{"conversations": turns("?"), "human_or_machine": 0}])], run=run, keep_columns=[keep]
            )
    with pytest.raises(ConfigError, match="most_turns: 1 is not accepted"):
        read([embedded], run=run, most_turns=1)


def test_a_killed_write_leaves_nothing_that_is_read(
    run: Run, listed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tamis.scale_select import reading

    source = listed([{"conversations": turns("who?", f"{at}")} for at in range(50)]) | {"rows": 20}
    expected = read([source], run=run).rows.to_dict()
    for file in (run.output_dir / "pool").iterdir():
        file.unlink()

    def killed(written: Path, target: Path) -> None:
        written.write_bytes(written.read_bytes()[:100])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(reading, "rename_durably", killed)
        read([source], run=run)
    assert read([source], run=run).rows.to_dict() == expected
