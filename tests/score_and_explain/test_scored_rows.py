"""Scores of any dataset, of the embedded Hub and of folders: scales, votes, splits, and what is none of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, Image, List, Value, load_dataset

from tamis.config import ConfigError
from tamis.score_and_explain.ratings import (
    ELSEWHERE,
    NO_COUNTS,
    NO_NUMBER,
    NO_SCORE,
    NO_VOTES,
    OUTSIDE,
    look,
    rating_features,
)
from tamis.score_and_explain.scales import mean_of, whole
from tamis.score_and_explain.scored_rows import Columns, read_scored

SCORES, VOTES = Columns(score="mean_score"), Columns(votes="rating_counts")
OWN = ("train", "validation", "test")
NUMBERS = Value("float64")
STARS = Columns(image="photo", score="stars")


@pytest.fixture
def published(tmp_path: Path, jpeg: Callable[[int], bytes]) -> Callable[..., str]:
    """A dataset of scored pictures on disk, a parquet file a split; each row a picture of its own unless it is told."""

    def write(kind: Any = NUMBERS, name: str = "stars", **splits: list[Any]) -> str:
        folder = tmp_path / "set"
        folder.mkdir()
        number = 0
        for split, values in splits.items():
            photos = []
            for at, value in enumerate(values):
                number += 1
                photo = {"bytes": jpeg(number), "path": None}
                if isinstance(value, tuple):
                    values[at], photo = value
                photos.append(photo)
            features = Features({"photo": Image(), name: kind})
            Dataset.from_dict({"photo": photos, name: values}, features=features).to_parquet(
                str(folder / f"{split}.parquet")
            )
        return str(folder)

    return write


def test_the_embedded_worlds_pictures_are_read_with_their_votes_and_splits(hub, run) -> None:
    kept = ("truth_defect", "truth_merit")
    read = read_scored("tiny/aesthetics", run=run, columns=VOTES, splits=OWN, id_column="image_id", keep=kept)
    assert read.source.repo_id == "tiny/aesthetics" and read.source.licence and not read.source.local
    expected = {split: load_dataset("tiny/aesthetics", split=split) for split in OWN}
    assert sum(read.refused.values()) + len(read.table) == sum(map(len, expected.values())) == 1400
    assert set(read.refused) <= {ELSEWHERE} and len(read.table) > 1390
    assert read.table.column_names == [*rating_features(), *kept]
    theirs = {row["image_id"]: row for part in expected.values() for row in part.remove_columns("image")}
    for row in read.table.remove_columns("image"):
        own = theirs[row["row_id"]]
        assert row["votes"] == own["rating_counts"] and row["truth_defect"] == own["truth_defect"]
        assert row["mean"] == pytest.approx(own["mean_score"], abs=1e-6)
        assert row["score"] == own["score"] or row["mean"] == own["score"] + 0.5  # round() sends halves to the even
    contents = look(read.table)
    for split in OWN:
        inside = {one for one, where in zip(contents, read.table["split"][:], strict=True) if where == split}
        assert not inside & {one for one, where in zip(contents, read.table["split"][:], strict=True) if where != split}
    assert read.table[0]["image"]["bytes"].startswith(b"\x89PNG")


def test_a_score_column_says_the_same_as_the_votes_it_was_made_of(hub, run) -> None:
    by_score = read_scored("tiny/aesthetics", run=run, columns=SCORES, scale=[1, 10], limit=200)
    by_votes = read_scored("tiny/aesthetics", run=run, columns=VOTES, limit=200)
    assert by_score.table["votes"][:] == [None] * len(by_score.table)
    assert by_score.table["mean"][:] == pytest.approx(by_votes.table["mean"][:], abs=1e-6)
    assert by_score.table["split"][:] == by_votes.table["split"][:]
    assert by_score.table["row_id"][:2] == ["train-0", "train-1"]
    assert set(by_score.table["split"][:]) == set(OWN)  # of one split that was read


def test_a_stated_scale_is_mapped_to_1_and_10(run, published) -> None:
    path = published(train=[0.0, 5.0, 2.5, *np.linspace(0, 5, 97).tolist()])
    read = read_scored(path, run=run, columns=STARS, scale=[0, 5])
    means = read.table["mean"][:]
    assert means[:3] == [1.0, 10.0, 5.5] and read.table["score"][:3] == [1, 10, 6] and means[3:] == sorted(means[3:])
    assert read.table["score"][:] == [whole(mean) for mean in means] and read.refused == {}


def test_ends_of_a_scale_are_as_the_column_holds_them(run, published) -> None:
    """0.7 in 32 bits is above 0.7."""
    path = published(Value("float32"), train=[0.1, 0.7, *np.linspace(0.1, 0.7, 60).tolist()])
    read = read_scored(path, run=run, columns=STARS, scale=[0.1, 0.7])
    assert read.table["mean"][:2] == [1.0, 10.0] and read.refused == {}


def test_whole_numbers_are_scores_too(run, published) -> None:
    path = published(Value("int64"), train=[1, 5, 3, 9**18] + [1, 2, 3, 4, 5] * 12)
    read = read_scored(path, run=run, columns=STARS, scale=[1, 5])
    assert read.table["score"][:3] == [1, 10, 6] and read.refused == {OUTSIDE: 1}


def test_rows_that_are_none_are_counted(run, published, jpeg) -> None:
    bad = [None, float("nan"), float("inf"), -0.1, 5.1]
    broken = [(2.0, None), (2.0, {"bytes": b"<html>", "path": None}), (2.0, {"bytes": jpeg(3)[:-60], "path": None})]
    path = published(train=[*bad, *broken, *np.linspace(0, 5, 60).tolist()])
    read = read_scored(path, run=run, columns=STARS, scale=[0, 5])
    assert read.table["row_id"][:] == [f"train-{at}" for at in range(8, 68)]
    assert read.refused == {
        NO_NUMBER: 2,
        OUTSIDE: 2,
        NO_SCORE: 1,
        "image: null": 1,
        "image: not an image": 1,
        "image: truncated or corrupt": 1,
    }


def test_a_path_that_leaves_the_dataset_is_not_opened(run, published, tmp_path, jpeg) -> None:
    (tmp_path / "secret.jpg").write_bytes(jpeg(1))
    path = published(train=np.linspace(0, 5, 61).tolist())
    table = pq.read_table(f"{path}/train.parquet")
    photos = [{"bytes": None, "path": str(tmp_path / "secret.jpg")}, *table["photo"].to_pylist()[1:]]
    kind = table.schema.field("photo")
    pq.write_table(table.set_column(0, kind, pa.array(photos, kind.type)), f"{path}/train.parquet")
    read = read_scored(path, run=run, columns=STARS, scale=[0, 5])
    assert read.refused == {"image: a file that is missing, or not the dataset's own": 1}


def test_votes_that_are_none_are_counted(run, published) -> None:
    good = [[0] * at + [3] + [0] * (9 - at) for at in range(10)] * 6
    bad = [None, [], [1] * 9, [1] * 11, [1] * 9 + [-1], [1] * 9 + [None], [0] * 10]
    path = published(List(Value("int64")), "counts", train=[*bad, *good])
    read = read_scored(path, run=run, columns=Columns(image="photo", votes="counts"))
    assert read.refused == {NO_COUNTS: 5, NO_VOTES: 2}
    assert read.table["mean"][:] == [mean_of(votes) for votes in good] and read.table["votes"][:] == good


@pytest.mark.parametrize("kind", ["float16", "float32", "uint8", "int32"])
@pytest.mark.parametrize("photo", [Image(), Value("binary"), Value("large_binary")])
def test_numbers_and_pictures_of_every_kind_and_what_is_kept_stays_beside_them(
    run, tmp_path, jpeg, kind, photo
) -> None:
    count, content = 60, [jpeg(number) for number in range(60)]
    content[7] = b"<html>"
    told = {"photo": content, "stars": [at % 6 for at in range(count)], "at": list(range(count))}
    features = Features({"photo": photo, "stars": Value(kind), "at": Value("int64")})
    (tmp_path / "set").mkdir()
    Dataset.from_dict(told, features=features).to_parquet(str(tmp_path / "set" / "train.parquet"))
    read = read_scored(str(tmp_path / "set"), run=run, columns=STARS, scale=[0, 5], keep=["at", "stars"])
    assert read.table["at"][:] == [at for at in range(count) if at != 7] and read.refused == {"image: not an image": 1}
    for row in read.table:
        assert row["row_id"] == f"train-{row['at']}" and row["image"]["bytes"] == content[row["at"]]
        assert row["mean"] == [1.0, 2.8, 4.6, 6.4, 8.2, 10.0][row["at"] % 6] and row["stars"] == row["at"] % 6


def test_an_image_folder_is_read_as_it_lies(run, tmp_path, jpeg) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = ["file_name,stars"]
    for number in range(60):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
        lines.append(f"{number}.jpg,{number / 12}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    read = read_scored(str(folder), run=run, columns=Columns(score="stars"), scale=[0, 5])
    assert len(read.table) == 60 and read.source.local and set(read.table["split"][:]) == set(OWN)
    assert all(row["image"]["bytes"] is None for row in read.table)


def test_a_picture_in_two_published_splits_stays_in_the_last(run, published, jpeg) -> None:
    twin = {"bytes": jpeg(999), "path": None}
    path = published(train=[1.0, 2.0, (3.0, twin)], test=[4.0, (4.5, twin), 5.0])
    read = read_scored(path, run=run, columns=STARS, scale=[0, 5], splits=["train", "test"])
    assert read.table["row_id"][:] == ["train-0", "train-1", "test-0", "test-1", "test-2"]
    assert read.refused == {ELSEWHERE: 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": Columns(image="photo")}, "score_column, votes_column: name one of them"),
        ({"columns": Columns("photo", "stars", "stars")}, "score_column, votes_column: name one of them"),
        ({"scale": None}, "scale: not stated; expected the lowest and the highest 'stars' there can be"),
        ({"scale": [5, 0]}, "scale: .5, 0. is not accepted"),
        ({"scale": [0, 1e-60]}, "its ends are one"),
        ({"columns": Columns("photo", votes="stars")}, "scale: .0, 5. is not accepted; votes are from 1 to 10"),
        ({"columns": Columns("photo", votes="stars"), "scale": None}, "votes_column: 'stars' is float, not lists of"),
        ({"columns": Columns("photo", "grade")}, "column 'grade' is not in the dataset; it has: photo, stars"),
        ({"columns": Columns("stars", "stars")}, "image_column: 'stars' is float32, not images"),
        ({"columns": Columns("photo", "photo")}, "score_column: 'photo' is struct.*, not numbers"),
        ({"keep": ["score"]}, "keep: 'score' is the name of a column that is made here"),
        ({"splits": []}, "splits: .. is not accepted"),
        ({"splits": ["train", "train"]}, "splits: .* each once"),
        ({"limit": 2}, "no picture in split"),
        ({"shares": {"train": 0.5}}, "shares: .* is not accepted"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(run, published, settings, message) -> None:
    path = published(Value("float32"), train=[0.0, 5.0] * 30)
    with pytest.raises(ConfigError, match=message):
        read_scored(path, run=run, **({"columns": STARS, "scale": [0, 5]} | settings))


def test_texts_are_no_scores(run, published) -> None:
    path = published(Value("string"), train=["1", "2"] * 30)
    with pytest.raises(ConfigError, match="score_column: 'stars' is string, not numbers"):
        read_scored(path, run=run, columns=STARS, scale=[0, 5])


def test_scores_that_are_all_one_or_become_one_are_refused(run, published, tmp_path) -> None:
    with pytest.raises(ConfigError, match="'set': the score is 5.5 in all 60 rows; nothing is to be learnt"):
        read_scored(published(train=[2.5] * 60), run=run, columns=STARS, scale=[0, 5])
    (tmp_path / "set" / "train.parquet").unlink()
    (tmp_path / "set").rmdir()
    path = published(train=np.linspace(0, 5, 60).tolist())
    with pytest.raises(ConfigError, match="all become 1 when rounded; is the stated scale wider than the scores are"):
        read_scored(path, run=run, columns=STARS, scale=[0, 100])


def test_ids_that_stand_twice_are_refused(run, published) -> None:
    path = published(train=[1.0, 2.0] * 30)
    with pytest.raises(ConfigError, match="id_column: 'stars' holds '1.0' more than once"):
        read_scored(path, run=run, columns=STARS, scale=[0, 5], id_column="stars")


def test_ids_that_stand_in_two_splits_are_refused(run, published) -> None:
    path = published(train=[1.0, 2.0], test=[2.0, 3.0])
    with pytest.raises(ConfigError, match="row_id: '2.0' stands in more than one split"):
        read_scored(path, run=run, columns=STARS, scale=[0, 5], splits=["train", "test"], id_column="stars")
