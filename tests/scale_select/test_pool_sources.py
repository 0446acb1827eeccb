"""The eight sources in their own columns: the embedded pool, and rows that are no questions."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import load_dataset

from tamis.config import ConfigError
from tamis.named_files import NotUsable
from tamis.scale_select.asked import asked_of
from tamis.scale_select.conversations import tidy
from tamis.scale_select.reading import read
from tamis.scale_select.source_rows import pool_features
from tamis.scale_select.sources import FORMS, NO_ANSWER, NO_CHOICES, NO_QUESTION, PLACES
from tamis.tiny.conversations import as_text
from tamis.tiny.datasets.pool import CONFIGS, TRUTHS

SOURCES = [{"source": name, "dataset": "tiny/pool", "dataset_config": name} for name in CONFIGS]


def test_the_embedded_pool_is_read_whole_with_its_truths(run: Any) -> None:
    pool = read(SOURCES, run=run, keep_columns=list(TRUTHS))
    assert pool.rows.column_names == [*pool_features(), *TRUTHS]
    assert len(pool.rows) == 1200 and pool.rows._indices is None
    assert not any(pool.refused.values()) and not any(pool.repaired.values())
    assert [source.repo_id for source in pool.sources] == ["tiny/pool"] and pool.sources[0].licence == "cc0-1.0"
    assert [one["repo_id"] for one in run.sources] == ["tiny/pool"] * 8
    assert len(set(pool.rows["row_id"][:])) == 1200
    start = 0
    for name, share in CONFIGS.items():
        theirs = load_dataset("tiny/pool", name, split="train").with_format("arrow")[:]
        own = pool.rows.select(range(start, start + share.rows))
        start += share.rows
        assert pool.composition[name] == {"wanted": None, "taken": share.rows, "there": share.rows, "read": share.rows}
        assert set(own["source"][:]) == {name} and own["row_id"][:2] == [f"{name}/train-0", f"{name}/train-1"]
        for truth in TRUTHS:
            assert own[truth][:] == theirs[truth].to_pylist()
        cells = theirs["images" if name == "Geometry3K" else "image"].to_pylist()
        assert own["image"][:] == [cell[0] if name == "Geometry3K" else cell for cell in cells]  # as they are stored
        if "conversations" in theirs.column_names:
            assert own["text"][:] == [as_text(turns) for turns in theirs["conversations"].to_pylist()]
        answers = {"ChartQA": "label", "Geometry3K": "answer", "DocVQA": "answers", "InfoVQA": "answers"}
        if name in answers:
            told = theirs[answers[name]].to_pylist()
            assert own["answer"][:] == [one[0] if isinstance(one, list) else one for one in told]
    lacking = [row for row in pool.rows.select_columns(["source", "image"]) if row["image"] is None]
    assert {row["source"] for row in lacking} == {"LLaVA-1.5-mix"} and len(lacking) > 3
    row = pool.rows.filter(lambda source: source == "A-OKVQA", input_columns="source")[0]
    asked, *choices = row["question"].split("\n")
    assert [choice[:3] for choice in choices] == ["A. ", "B. ", "C. ", "D. "]
    assert row["answer"] in {choice[3:] for choice in choices}
    assert row["conversation"] == [
        {"role": "user", "content": row["question"]},
        {"role": "assistant", "content": row["answer"]},
    ]
    assert row["text"] == f"human: {asked}\n" + "\n".join(choices) + f"\ngpt: {row['answer']}"


def test_two_reads_are_equal_and_the_second_reads_nothing_anew(run: Any, tmp_path: Any) -> None:
    from tamis.run import Run

    some = [one | {"rows": 15} for one in SOURCES[1:3]]
    first, again = read(some, run=run, seed=3), read(some, run=run, seed=3)
    assert again.rows._fingerprint == first.rows._fingerprint  # scores are found by it
    assert (again.refused, again.repaired, again.composition) == (first.refused, first.repaired, first.composition)
    assert len(list((run.output_dir / "pool").glob("*.arrow"))) == 2
    assert not list((run.output_dir / "pool").glob("*.partial"))
    other = Run(tmp_path / "other")
    elsewhere = read(some, run=other, seed=3)
    other.close()
    assert elsewhere.rows.to_dict() == first.rows.to_dict() == again.rows.to_dict()


def test_what_is_streamed_is_what_is_loaded(run: Any) -> None:
    some = [SOURCES[1], SOURCES[-1]]
    streamed, loaded = read(some, run=run, limit=12, streaming=True), read(some, run=run, limit=12)
    assert streamed.composition == loaded.composition and streamed.composition["Geometry3K"]["read"] == 12
    for name in ("row_id", "text"):
        assert streamed.rows[name][:] == loaded.rows[name][:]
    assert [one and one["bytes"] for one in streamed.rows["image"][:]] == [
        one and one["bytes"] for one in loaded.rows["image"][:]
    ]


@pytest.mark.parametrize(
    ("source", "row", "reason"),
    [
        ("ChartQA", {"query": None, "label": ["1"]}, NO_QUESTION),
        ("ChartQA", {"query": " <image> ", "label": ["1"]}, NO_QUESTION),
        ("ChartQA", {"query": "q", "label": []}, NO_ANSWER),
        ("ChartQA", {"query": "q", "label": [None]}, NO_ANSWER),
        ("ChartQA", {"query": "q", "label": None}, NO_ANSWER),
        ("DocVQA", {"question": "q", "answers": None}, NO_ANSWER),  # as a test split has it
        ("DocVQA", {"question": "q", "answers": [""]}, NO_ANSWER),
        ("InfoVQA", {"question": 7, "answers": ["a"]}, NO_QUESTION),
        ("A-OKVQA", {"question": "q", "choices": ["a", "b"], "correct_choice_idx": None}, NO_ANSWER),
        ("A-OKVQA", {"question": "q", "choices": ["a", "b"], "correct_choice_idx": 2}, NO_ANSWER),
        ("A-OKVQA", {"question": "q", "choices": ["a", "b"], "correct_choice_idx": -1}, NO_ANSWER),
        ("A-OKVQA", {"question": "q", "choices": None, "correct_choice_idx": 0}, NO_ANSWER),
        ("A-OKVQA", {"question": "q", "choices": ["a", None], "correct_choice_idx": 0}, NO_CHOICES),
        ("A-OKVQA", {"question": "q", "choices": ["a"] * 27, "correct_choice_idx": 0}, NO_CHOICES),
        ("Geometry3K", {"problem": "<image>", "answer": "3", "choices": None}, NO_QUESTION),
        ("Geometry3K", {"problem": "<image>q", "answer": " ", "choices": ["3"]}, NO_ANSWER),
    ],
)
def test_rows_that_are_no_questions_are_refused(source: str, row: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotUsable) as refused:
        FORMS[source].turns(row)
    assert str(refused.value) == reason


def test_questions_are_rendered_as_stated() -> None:
    rows = {
        "Geometry3K": {"problem": "<image>Find x.", "answer": "3", "choices": ["2", "3"]},
        "ChartQA": {"query": "How many?", "label": ["3", "4"]},
        "A-OKVQA": {"question": "Who?", "choices": ["she", " he "], "correct_choice_idx": 1},
        "DocVQA": {"question": "Who?", "answers": ["Mr. Ho", "Ho"]},
    }
    made = {name: tidy(FORMS[name].turns(row), pictures=1, marked=False) for name, row in rows.items()}
    assert {name: one.text for name, one in made.items()} == {
        "Geometry3K": "human: Find x.\nA. 2\nB. 3\ngpt: 3",
        "ChartQA": "human: How many?\ngpt: 3, 4",
        "A-OKVQA": "human: Who?\nA. she\nB. he\ngpt: he",
        "DocVQA": "human: Who?\ngpt: Mr. Ho",
    }
    assert not any(one.repaired for one in made.values())


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ([], "sources: empty"),
        ([{"source": "LLaVA"}], r"sources\[0\]: .*'LLaVA' is not known; known: LLaVA-1.5-mix, ShareGPT4V"),
        ([{"rows": 3}], r"sources\[0\]: source: needed"),
        ([{"source": "ChartQA", "row": 3}], r"unknown key 'row'; did you mean 'rows'\?"),
        ([{"source": "ChartQA", "rows": "3"}], "rows: '3' is not accepted"),
        ([{"source": "ChartQA", "rows": 0}], "rows: 0 is not accepted"),
        ([{"source": "conversations"}], "dataset: needed with source 'conversations'"),
        ([{"source": "ChartQA", "dataset_config": "x"}], "dataset: needed with dataset_config or files"),
        ([{"source": "ShareGPT4V", "dataset": "me/x", "files": []}], "files: expected names"),
        ([{"source": "ShareGPT4V", "image_folder": "/nowhere"}], "image_folder: '/nowhere' is no folder"),
        ([{"source": "ChartQA"}, {"source": "DocVQA"}, {"source": "ChartQA"}], "'ChartQA' is there twice"),
        ([{"source": "ChartQA"}, {"source": "DocVQA", "name": "ChartQA"}], "'ChartQA' is there twice"),
    ],
)
def test_unfit_sources_are_refused_by_name(sources: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        asked_of(sources)


def test_every_source_of_the_paper_has_a_place_and_a_form() -> None:
    assert [one.place for one in asked_of([{"source": name} for name in PLACES])] == list(PLACES.values())
    assert set(PLACES) == set(CONFIGS) == set(FORMS) - {"conversations"}
    own = asked_of([{"source": "ShareGPT4V", "dataset": "me/x"}])[0].place
    assert (own.dataset, own.dataset_config, own.split, own.files) == ("me/x", None, "train", ())
