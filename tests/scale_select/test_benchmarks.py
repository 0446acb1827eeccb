"""Three schemas become one; rows that cannot be asked are counted, each by its reason."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Image, List, Value, load_dataset
from PIL import Image as Picture

from tamis.config import ConfigError
from tamis.prompts.scale import SUBTASKS
from tamis.scale_select import benchmarks
from tamis.scale_select.benchmarks import benchmark_features, read_benchmark


def png() -> bytes:
    file = io.BytesIO()
    Picture.new("RGB", (8, 8), "red").save(file, "PNG")
    return file.getvalue()


SHOWN = {"bytes": png(), "path": None}
TEXT, WHOLE = Value("string"), Value("int8")
LETTERED = dict.fromkeys(("question", "hint", "A", "B", "C", "D", "answer", "category", "l2-category"), TEXT)
OKVQA = {"question": TEXT, "choices": List(TEXT), "correct_choice_idx": WHOLE, "question_id": TEXT}
SCIENCE = {"question": TEXT, "choices": List(TEXT), "answer": WHOLE, "hint": TEXT, "lecture": TEXT, "task": TEXT}
MMBENCH_ROW = {"question": "which is it?", "hint": None, "A": "red", "B": "blue", "C": None, "D": None}
MMBENCH_ROW |= {"answer": "A", "category": "image_style", "l2-category": "coarse_perception"}
OKVQA_ROW = {"question": "why?", "choices": ["a", "b", "c", "d"], "correct_choice_idx": 2, "question_id": "q"}
SCIENCE_ROW = {
    "question": "which?",
    "choices": ["x", "y"],
    "answer": 0,
    "hint": "",
    "lecture": "x is right",
    "task": "t",
}


def stored(folder: Path, schema: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    features = Features(schema | {"image": Image()})
    data = {name: [({"image": SHOWN} | row)[name] for row in rows] for name in features}
    Dataset.from_dict(data, features=features).to_parquet(folder / "test.parquet")
    return str(folder)


def test_the_embedded_benchmark_is_read_whole(hub, run) -> None:
    read = read_benchmark("tiny/benchmark", run=run, keep=("l2-category", "index"))
    raw = load_dataset("tiny/benchmark", split="test")
    assert (read.form, read.refused, len(read.table)) == ("MMBench", {}, len(raw))
    assert read.table.column_names == [*benchmark_features(), "l2-category", "index"]
    assert read.table.select_columns(list(benchmark_features())).features == benchmark_features()
    for row, told in zip(read.table.remove_columns("image"), raw.remove_columns("image"), strict=True):
        letters = [letter for letter in "ABCD" if told[letter] is not None]
        assert row["options"] == [told[letter] for letter in letters] and len(letters) in (2, 3, 4)
        assert row["answer"] == told[told["answer"]] and row["question"] == told["question"]
        assert SUBTASKS[row["task"]].category == told["l2-category"] == row["l2-category"]
    assert read.table[5]["image"]["bytes"].startswith(b"\x89PNG") and read.source.repo_id == "tiny/benchmark"
    assert run.sources and len(read_benchmark("tiny/benchmark", run=run, limit=7).table) == 7


def test_each_of_mmbenchs_rows_is_asked_or_counted(run, tmp_path) -> None:
    changes = [
        ({}, "which is it?", ["red", "blue"]),
        ({"hint": "It is a leaf.", "C": " teal "}, "It is a leaf.\nwhich is it?", ["red", "blue", "teal"]),
        ({"hint": "nan", "C": "nan", "D": "nan"}, "which is it?", ["red", "blue"]),
        ({"A": "None", "B": "NA", "C": "N/A", "D": "null"}, "which is it?", ["None", "NA", "N/A", "null"]),
        ({"C": None, "D": "black", "answer": "D"}, "which is it?", ["red", "blue", "black"]),
        ({"category": None, "answer": " B "}, "which is it?", ["red", "blue"]),
        ({"answer": None}, benchmarks.NO_KEY, None),
        ({"answer": "nan"}, benchmarks.NO_KEY, None),
        ({"answer": "C"}, benchmarks.NO_SUCH_OPTION, None),
        ({"answer": "red"}, benchmarks.NO_SUCH_OPTION, None),
        ({"B": None}, benchmarks.TOO_FEW, None),
        ({"B": "red "}, benchmarks.TWICE, None),
        ({"question": " "}, benchmarks.NO_QUESTION, None),
        ({"question": None}, benchmarks.NO_QUESTION, None),
        ({"image": None}, "image: null", None),
        ({"image": {"bytes": b"", "path": None}}, "image: zero bytes", None),
    ]
    sound = [change for change in changes if change[2]]
    written = stored(tmp_path, LETTERED, [MMBENCH_ROW | change for change, *_ in changes])
    read = read_benchmark(written, run=run)
    assert [(row["question"], row["options"]) for row in read.table] == [told[1:] for told in sound]
    assert read.table["answer"][:] == ["red", "red", "red", "None", "black", "blue"]
    assert read.table["task"][:] == ["image_style"] * 5 + [None]
    assert read.table["row_id"][:] == [f"test-{at}" for at in range(6)] and read.table._indices is None
    why = [reason for _, reason, options in changes if options is None]
    assert read.refused == {reason: why.count(reason) for reason in why}
    assert list(read.refused.values()) == sorted(read.refused.values(), reverse=True)


def test_a_okvqas_key_is_a_place_and_may_be_withheld(run, tmp_path) -> None:
    places = [0, 3, 2, None, -1, 4, -2]
    rows = [OKVQA_ROW | {"correct_choice_idx": place, "question_id": str(at)} for at, place in enumerate(places)]
    rows += [OKVQA_ROW | {"choices": choices, "correct_choice_idx": 0} for choices in (["a"], [], None, ["a", None])]
    rows += [OKVQA_ROW | {"choices": ["a", "a"]}, OKVQA_ROW | {"choices": [str(at) for at in range(27)]}]
    rows[-2]["correct_choice_idx"] = 1
    for at, row in enumerate(rows):
        row["question_id"] = f"q{at}"
    read = read_benchmark(stored(tmp_path, OKVQA, rows), run=run, id_column="question_id")
    assert read.form == "A-OKVQA" and read.table["answer"][:] == ["a", "d", "c"] and set(read.table["task"]) == {None}
    assert read.table["row_id"][:] == ["q0", "q1", "q2"]
    assert read.refused == {
        benchmarks.NO_SUCH_OPTION: 4,  # 4, -2, and of no choices
        benchmarks.NO_KEY: 2,
        benchmarks.TOO_FEW: 1,
        benchmarks.NO_TEXT: 1,
        benchmarks.TWICE: 1,
        benchmarks.TOO_MANY: 1,
    }


def test_scienceqas_rows_without_a_picture_are_questions_if_wanted(run, tmp_path) -> None:
    rows = [SCIENCE_ROW, SCIENCE_ROW | {"image": None, "hint": "Water boils."}, SCIENCE_ROW | {"answer": 1}]
    rows.append(SCIENCE_ROW | {"image": {"bytes": b"", "path": None}})
    written = stored(tmp_path, SCIENCE, rows)
    seen = read_benchmark(written, run=run)
    assert (seen.form, seen.table["answer"][:]) == ("ScienceQA", ["x", "y"])
    assert seen.refused == {"image: null": 1, "image: zero bytes": 1}
    whole = read_benchmark(written, run=run, text_only=True)
    assert whole.table["question"][:] == ["which?", "Water boils.\nwhich?", "which?"]  # and no lecture
    assert whole.table[1]["image"] is None and whole.refused == {"image: zero bytes": 1}


def test_a_split_without_answers_is_refused_by_what_it_lacks(run, tmp_path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with pytest.raises(ConfigError, match="no question can be asked .no key: 2"):
        read_benchmark(stored(tmp_path / "one", LETTERED, [MMBENCH_ROW | {"answer": None}] * 2), run=run)
    unanswered = OKVQA | {"correct_choice_idx": Value("null")}
    written = stored(tmp_path / "two", unanswered, [OKVQA_ROW | {"correct_choice_idx": None}])
    with pytest.raises(ConfigError, match="no question can be asked .no key: 1"):
        read_benchmark(written, run=run)


@pytest.mark.parametrize(
    ("schema", "row"),
    [
        ({"question": TEXT, "answer": TEXT}, {"question": "a", "answer": "b"}),
        (SCIENCE | {"answer": TEXT}, SCIENCE_ROW | {"answer": "x"}),
        (OKVQA | {"correct_choice_idx": TEXT}, OKVQA_ROW | {"correct_choice_idx": "2"}),
    ],
)
def test_columns_of_no_known_form_are_refused_with_the_three_that_are(schema, row, run, tmp_path) -> None:
    with pytest.raises(ConfigError) as refused:
        read_benchmark(stored(tmp_path, schema, [row]), run=run)
    told = str(refused.value)
    for form in (
        "MMBench's question, A, B, C, D, answer",
        "A-OKVQA's question, choices, correct_choice_idx (a whole number)",
        "ScienceQA's question, choices, answer (a whole number)",
    ):
        assert form in told
    assert "has columns row_id, question" in told


def test_what_cannot_be_kept_or_shown_is_refused(run, tmp_path) -> None:
    written = stored(tmp_path, LETTERED, [MMBENCH_ROW])
    with pytest.raises(ConfigError, match="keep: no column 'level'; there are: row_id, question"):
        read_benchmark(written, run=run, keep=("level",))
    with pytest.raises(ConfigError, match="keep: 'task' is the name of a column that is made here"):
        read_benchmark(written, run=run, keep=("task",))
    (tmp_path / "urls").mkdir()
    row = {name: [value] for name, value in MMBENCH_ROW.items()} | {"image": ["https://somewhere/picture.png"]}
    Dataset.from_dict(row).to_parquet(tmp_path / "urls" / "test.parquet")
    with pytest.raises(ConfigError, match="'image' is string, not images"):
        read_benchmark(str(tmp_path / "urls"), run=run)
