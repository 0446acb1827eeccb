"""Questions from a dataset, from CSV and of listings: what is none is counted, and what is one stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Image, List, Value, load_dataset
from hostile import HOSTILE

from tamis.config import ConfigError
from tamis.images import allow_folder
from tamis.product_vqa.answers import SEVERAL, VERDICT, difficulty_of, fault, same_form, written_fault
from tamis.product_vqa.csv_files import read_csv, write_csv
from tamis.product_vqa.listings import listing_features
from tamis.product_vqa.questions import (
    TWICE,
    UNKNOWN,
    Columns,
    pictures,
    question_features,
    read_questions,
    to_questions,
)
from tamis.same_picture import same_picture

TINY = Columns(image_id="image_id", product_id="product_id", bullets="bullets")


@pytest.fixture
def published(tmp_path, picture):
    """A dataset of questions on disk; rows tell what differs from a good one."""

    def write(*changes: dict[str, Any], features: dict[str, Any] | None = None) -> str:
        good = {
            "photo": {"bytes": picture("red"), "path": None},
            "asked": "what?",
            "word": "red",
            "level": 0,
            "id": "i",
        }
        told = [good | {"asked": f"what {number}?"} | change for number, change in enumerate(changes)]
        kinds = {"photo": Image(), "asked": Value("string"), "word": Value("string"), "level": Value("int64")}
        kinds |= {"id": Value("string")} | (features or {})
        (tmp_path / "set").mkdir()
        columns = {name: [row[name] for row in told] for name in kinds}
        Dataset.from_dict(columns, features=Features(kinds)).to_parquet(str(tmp_path / "set" / "train.parquet"))
        return str(tmp_path / "set")

    return write


NAMED = Columns("photo", "asked", "word", "level", image_id="id")


def test_the_embedded_worlds_questions_are_read_with_their_splits(run) -> None:
    splits = ("train", "validation", "test")
    settings = {"config_name": "questions", "splits": splits, "columns": TINY, "id_column": "id"}
    assert read_questions("tiny/products", run=run, **settings).refused == {TWICE: 2}  # two products, one picture
    read = read_questions("tiny/products", run=run, keep=(TWICE,), **settings)
    assert read.refused == {} and read.source.repo_id == "tiny/products"
    assert read.table.features == question_features()
    expected = {split: load_dataset("tiny/products", "questions", split=split) for split in splits}
    assert read.table["split"][:] == [split for split in splits for _ in range(len(expected[split]))]
    for name, theirs in (("row_id", "id"), ("answer", "answer"), ("difficulty", "difficulty"), ("bullets", "bullets")):
        assert read.table[name][:] == [value for split in splits for value in expected[split][theirs]]
    assert read.table[0]["image"]["bytes"].startswith(b"\x89PNG") and read.table["title"][0] is None
    one = read_questions(
        "tiny/products", run=run, config_name="questions", splits=("test",), columns=Columns(), limit=7
    )
    assert set(one.table["split"][:]) == {None} and one.table["row_id"][:2] == ["test-0", "test-1"]
    named = dict(zip(one.table["image_id"], [row["image"]["bytes"] for row in one.table], strict=True))
    assert len(set(named.values())) == len(named) == 2  # seven rows of five questions a picture


def test_what_is_no_question_is_counted_and_can_be_kept_where_that_has_a_reason(run, published) -> None:
    faults = [
        ({}, None),
        ({"word": "dark red"}, SEVERAL),
        ({"word": " Yes. "}, VERDICT),
        ({"asked": "WHAT  0?"}, TWICE),
        ({"level": 4}, UNKNOWN),
        ({"level": None}, UNKNOWN),
        ({"word": None}, "no answer"),
        ({"word": "  "}, "no answer"),
        ({"word": "-"}, "no answer"),
        ({"asked": None}, "no question"),
        ({"photo": None}, "image: null"),
        ({"photo": {"bytes": b"<html>", "path": None}}, "image: not an image"),
    ]
    path = published(*(change for change, _ in faults))
    read = read_questions(path, run=run, columns=NAMED)
    assert read.table["row_id"][:] == ["train-0"]
    counts: dict[str, int] = {}
    for _, reason in faults[1:]:
        counts[reason] = counts.get(reason, 0) + 1
    assert read.refused == counts
    kept = read_questions(path, run=run, columns=NAMED, keep=(SEVERAL, VERDICT, TWICE), difficulties=(0, 4))
    assert kept.table["answer"][:] == ["red", "dark red", "Yes.", "red", "red"]
    assert kept.table["row_id"][:] == [f"train-{at}" for at in range(5)]
    with pytest.raises(ConfigError, match="keep: 'no answer' is not accepted"):
        read_questions(path, run=run, columns=NAMED, keep=("no answer",))


def test_pictures_without_an_id_are_told_apart_by_their_content(run, published, tmp_path, picture) -> None:
    """Three without one are asked the same: two of them are one picture."""
    blue = {"bytes": picture("blue"), "path": None}
    none, same = {"id": None, "asked": "what?"}, {"photo": blue}
    hidden = {"photo": {"bytes": b"<html>", "path": None}}
    path = published(none, none | same, none, {"asked": "what?"}, none | hidden, {"id": " ", "photo": blue})
    read = read_questions(path, run=run, columns=NAMED)
    assert read.refused == {TWICE: 1, "image: not an image": 1}
    assert read.table["row_id"][:] == ["train-0", "train-1", "train-3", "train-5"]
    red, other, named, also = read.table["image_id"][:]
    assert [red, other] == pictures(read.table)[:2] and named == "i" and also == other
    assert read.table.features == question_features() and read.table.column_names == list(question_features())
    assert same_picture(read.table["image_id"][:], pictures(read.table)) == [min(red, "i"), other, min(red, "i"), other]

    (tmp_path / "images").mkdir()
    for name, colour in (("1.png", "red"), ("2.png", "blue"), ("again.png", "red")):
        (tmp_path / "images" / name).write_bytes(picture(colour))
    lines = [f",{name},what?,word,0\n" for name in ("1.png", "2.png", "again.png")]
    (tmp_path / "q.csv").write_text("image_id,path,question,answer,difficulty\n" + "".join(lines))
    read = read_csv(tmp_path / "q.csv", tmp_path / "images")
    assert read.table["image_id"][:] == [red, other] and read.refused == {TWICE: 1}


def test_two_pictures_under_one_id_are_one(run, published, picture) -> None:
    path = published({}, {"photo": {"bytes": picture("blue"), "path": None}})
    read = read_questions(path, run=run, columns=NAMED)
    assert same_picture(read.table["image_id"][:], pictures(read.table)) == ["i", "i"]


def test_nothing_usable_and_wrong_columns_are_errors(run, published) -> None:
    path = published({"word": None}, {"word": "no"})
    with pytest.raises(ConfigError, match="no question can be used"):
        read_questions(path, run=run, columns=NAMED)
    with pytest.raises(ConfigError, match="column 'picture' is not in the dataset"):
        read_questions(path, run=run, columns=Columns("picture", "asked", "word", "level"))
    with pytest.raises(ConfigError, match="question_column: 'level' is int64, not text"):
        read_questions(path, run=run, columns=Columns("photo", "level", "word", "level"))


@pytest.mark.parametrize(("value", "kind"), [(5, Value("int64")), ({"a": "b"}, {"a": Value("string")})])
def test_bullets_that_are_no_texts_are_refused_by_name(run, published, value, kind) -> None:
    path = published({"text": value}, features={"text": kind})
    with pytest.raises(ConfigError, match="bullets_column: 'text' is .*, not texts"):
        read_questions(path, run=run, columns=Columns("photo", "asked", "word", "level", bullets="text"))


def test_levels_and_bullets_are_read_as_datasets_hold_them(run, published) -> None:
    path = published({"level": "3", "text": "one\ntwo"}, {"level": "x"}, features={"level": Value("string")})
    read = read_questions(path, run=run, columns=Columns("photo", "asked", "word", "level", bullets="id"))
    assert read.table["difficulty"][:] == [3] and read.table["bullets"][:] == [["i"]] and read.refused == {UNKNOWN: 1}


def test_row_ids_that_stand_in_two_splits_are_refused(run, tmp_path, encoded_picture) -> None:
    rows = {"image": [{"bytes": encoded_picture, "path": None}], "question": ["q"], "answer": ["a"], "difficulty": [0]}
    made = Dataset.from_dict(rows | {"n": ["1"]}).cast_column("image", Image())
    for split in ("train", "test"):
        made.to_parquet(str(tmp_path / "two" / f"{split}.parquet"))
    with pytest.raises(ConfigError, match="row_id: '1' stands in more than one split"):
        read_questions(str(tmp_path / "two"), run=run, splits=("train", "test"), id_column="n")


ODD = [
    "None",
    "NA",
    "nan",
    "null",
    "NULL",
    "N/A",
    "0",
    "1.5",
    "TRUE-ish",
    "=1+1",
    "+cmd",
    "@x",
    "é",
    "黑色",
    '"',
    "a,b",
    "'",
]


def csv_rows(picture, answers: list[str], questions: list[str] | None = None) -> Dataset:
    rows = [
        {
            "row_id": f"{number}",
            "image": {"bytes": picture("red" if number % 2 else "blue"), "path": None},
            "image_id": "red" if number % 2 else "blue",
            "question": questions[number] if questions else f"what {number}?",
            "answer": answer,
            "difficulty": 5,
            "product_id": None,
            "title": None,
            "split": None,
            "bullets": None,
        }
        for number, answer in enumerate(answers)
    ]
    return Dataset.from_list(rows, features=question_features())


def test_csv_comes_back_as_it_went_out(tmp_path, picture) -> None:
    answers = [answer for answer in ODD if fault(answer) is None]
    assert {"None", "NA", "nan", "null", "=1+1"} <= set(answers)
    questions = [*HOSTILE, *[f"line\rone\nand {at}" for at in range(len(answers))]][: len(answers)]
    rows = csv_rows(picture, answers, questions)
    write_csv(rows, tmp_path / "q.csv", images=tmp_path / "images")
    read = read_csv(tmp_path / "q.csv", tmp_path / "images")
    assert read.refused == {}
    for name in ("question", "answer", "difficulty", "image_id"):
        assert read.table[name][:] == rows[name][:]
    assert read.table["row_id"][:2] == ["q-0", "q-1"]
    assert Path(read.table[0]["image"]["path"]).read_bytes() == picture("blue")
    assert len(list((tmp_path / "images").rglob("*.png"))) == 2
    write_csv(read.table, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "q.csv").read_bytes()


def test_csv_of_the_report_in_several_files(tmp_path, encoded_picture) -> None:
    (tmp_path / "images" / "aa").mkdir(parents=True)
    (tmp_path / "images" / "aa" / "1.png").write_bytes(encoded_picture)
    (tmp_path / "secret.png").write_bytes(encoded_picture)
    (tmp_path / "images" / "aa" / "out.png").symlink_to(tmp_path / "secret.png")
    header = "image_id,path,question,answer,difficulty\n"
    files = {
        "b.csv": header + 'i1,aa/1.png,"What, then?",NA,2\ni1,aa/1.png,What?,,0\ni1,../secret.png,Why?,x,0\n',
        "a.csv": "\ufeff" + header + "i1,aa/1.png,What?,None,0\r\ni1,aa/1.png,How?,steel,4\ni1,aa/9.png,Q?,x,0\n",
        "c.csv": header + "i1,aa/1.png,short\ni1,aa/1.png,what?,again,0\ni1,aa/out.png,Who?,x,0\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    read = read_csv(tmp_path, tmp_path / "images")
    assert read.table["row_id"][:] == ["a-0", "b-0"] and read.table["answer"][:] == ["None", "NA"]
    assert read.refused == {
        "its image's path leaves the folder": 2,
        "no answer": 2,
        UNKNOWN: 1,
        "its image file is missing": 1,
        TWICE: 1,
    }
    assert read_csv(tmp_path, tmp_path / "images", limit=1).table["row_id"][:] == ["a-0"]
    cases = {
        b"image_id,path,question\n": "no column answer, difficulty",
        header.encode() + b"i1,aa/1.png,What, then?,red,0\n": "line 2 has more cells",
        header.encode() + b"i1,aa/1.png,\xff,red,0\n": "cannot be read",
        header.encode() + b'i1,aa/1.png,"open,red,0\n': "cannot be read after line 1",
        header.encode(): "no question can be used",
    }
    for content, message in cases.items():
        (tmp_path / "one.csv").write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            read_csv(tmp_path / "one.csv", tmp_path / "images")
    for where in (tmp_path / "images" / "aa", tmp_path / "none.csv"):
        with pytest.raises(ConfigError, match="no CSV file"):
            read_csv(where, tmp_path / "images")
    with pytest.raises(ConfigError, match="images: 'nowhere' is no folder"):
        read_csv(tmp_path, tmp_path / "nowhere")


def test_listings_with_questions_become_a_row_a_question(tmp_path, encoded_picture) -> None:
    asked = [
        {"question": "What?", "answer": "red", "difficulty": 0},
        {"question": "How?", "answer": "so", "difficulty": 5},
    ]
    file = tmp_path / "1.png"
    allow_folder(tmp_path)
    file.write_bytes(encoded_picture)
    about = {"image": {"bytes": None, "path": str(file)}, "image_id": "i", "domain_name": "shop", "title": None}
    about |= {"locale": "en_US", "product_type": None, "bullets": ["b1", "b2"]}
    rows = [about | {"row_id": f"shop/{item}", "item_id": item} for item in "ABC"]
    kind = List({"question": Value("string"), "answer": Value("string"), "difficulty": Value("int64")})
    written = [asked, None, [asked[0], asked[1] | {"question": "Where?"}]]
    features = Features(listing_features() | {"w_questions": kind})
    columns = {name: [row[name] for row in rows] for name in listing_features()} | {"w_questions": written}
    made = to_questions(Dataset.from_dict(columns, features=features), "w")
    assert made.table.features == question_features() and made.refused == {TWICE: 1}  # C shows the picture of A
    assert made.table["row_id"][:] == ["shop/A-0", "shop/A-1", "shop/C-1"]
    assert made.table["product_id"][:] == ["A", "A", "C"] and made.table["answer"][:] == ["red", "so", "so"]
    assert made.table[2]["bullets"] == ["b1", "b2"] and made.table[2]["image"] == about["image"]
    file.write_bytes(b"<html>")  # nobody saw it, or who wrote did
    listed = Dataset.from_dict(columns, features=features)
    with pytest.raises(ConfigError, match=r"no question can be used \(image: not an image: 4\)"):
        to_questions(listed, "w")
    assert to_questions(listed, "w", readable=True).table.to_list() == made.table.to_list()
    file.write_bytes(encoded_picture)
    nameless = Dataset.from_dict(columns | {"image_id": [None] * 3}, features=features)
    for readable in (True, False):
        again = to_questions(nameless, "w", readable=readable)
        assert again.table["image_id"][:] == pictures(made.table) and again.refused == made.refused
    columns["w_questions"] = [None] * 3
    with pytest.raises(ConfigError, match="w_questions: no question was written"):
        to_questions(Dataset.from_dict(columns, features=features), "w")


@pytest.mark.parametrize(
    ("answer", "read", "written"),
    [
        ("red", None, None),
        ("None", None, None),
        ("men's", None, None),
        ("1.5", None, None),
        ("T-shirt", None, "an answer with a hyphen or other signs"),
        ("red.", None, "an answer with a hyphen or other signs"),
        ("12%", None, "an answer with a hyphen or other signs"),
        ("dark red", SEVERAL, SEVERAL),
        ("dark\u00a0red", SEVERAL, SEVERAL),
        ("YES", VERDICT, VERDICT),
        ("No.", VERDICT, VERDICT),
        ("nor", None, None),
        ("true", VERDICT, VERDICT),
        ("", "no answer", "no answer"),
        ("?!", "no answer", "no answer"),
    ],
)
def test_what_one_word_is(answer: str, read: str | None, written: str | None) -> None:
    assert (fault(answer), written_fault(answer)) == (read, written)


def test_forms_and_levels() -> None:
    assert same_form(' "Dark  Red." ') == same_form("dark red") != same_form("dark-red")
    assert same_form("-5") == "-5" and same_form("!!") == ""
    levels = {2.0: 2, "5": 5, " 3 ": 3, 2.5: None, "two": None, float("nan"): None, float("inf"): None}
    assert {value: difficulty_of(value) for value in levels} == levels
    assert (
        difficulty_of(3) == 3
        and difficulty_of(True) is None
        and difficulty_of(None) is None
        and difficulty_of("9" * 5000) is None
    )
