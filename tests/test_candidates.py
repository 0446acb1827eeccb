"""Candidates of topics: what is known of each topic, which rows may be chosen, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, List, Value, load_dataset

from tamis.candidates import Candidates, Columns, folder_names, gather
from tamis.config import ConfigError
from tamis.quiz.questions import Question

COLUMNS = Columns(
    topic="species",
    article="text",
    image="photo",
    author="by",
    licence="licence",
    lookalike="like",
    lookalike_article="like_text",
    about_topic=("family",),
)


def pool(*changes: dict[str, Any]) -> Dataset:
    """Rows of robins, but for what is changed."""
    row = {"species": "robin", "text": "a red bird", "photo": b"", "by": "ada", "licence": "cc-by-4.0"}
    row |= {"like": None, "like_text": None, "family": "birds"}
    made = Dataset.from_list([row | change for change in changes])
    return made.cast_column("like", Value("string")).cast_column("like_text", Value("string"))


def gathered(rows: Dataset, only: list[str] | None = None, allow: bool = False, **columns: Any) -> Candidates:
    return gather(rows, replace(COLUMNS, **columns), only=only, allow_no_derivatives=allow)


WREN = {"species": "wren", "text": "a brown bird"}


def test_topics_are_told_once_whatever_the_order_of_rows() -> None:
    rows = [
        WREN | {"like": "robin", "like_text": "a red bird"},
        {"text": "an old text"},
        {},
        {"text": " a red bird\n"},
        WREN | {"text": "a small brown bird", "like": "tit", "like_text": "a blue bird"},
        WREN | {"like": "robin", "like_text": "a red bird"},
        {"text": None},
    ]
    found = gathered(pool(*rows))
    robin, wren = found.topics
    assert found.names == ["robin", "wren"] and len(found.pool) == 7
    assert robin == {"topic": "robin", "article": "a red bird", "family": "birds", "lookalikes": []}
    assert wren["article"] == "a brown bird"  # as most rows have it
    assert wren["lookalikes"] == [
        {"topic": "robin", "article": "a red bird"},
        {"topic": "tit", "article": "a blue bird"},
    ]
    assert list(gathered(pool(*rows[::-1])).topics) == [robin, wren]
    tie = [{"text": "red"}, {"text": "red and round"}]
    assert gathered(pool(*tie)).topics["article"][:] == gathered(pool(*tie[::-1])).topics["article"][:]


def test_types_are_the_same_where_nothing_is_there_to_guess_them_from() -> None:
    few, many = gathered(pool({})), gathered(pool({"like": "wren", "like_text": "a brown bird"}))
    assert few.topics.features == many.topics.features == few.participating().features
    bare = gathered(pool({}), lookalike=None, lookalike_article=None, about_topic=())
    assert list(bare.topics) == [{"topic": "robin", "article": "a red bird", "lookalikes": []}]


@pytest.mark.parametrize(
    ("licence", "reason"),
    [
        *[(text, None) for text in ("cc-by-4.0", "CC BY-SA 3.0", "Public domain", "", None, "and Sandy's land")],
        *[
            (text, "its licence forbids derivatives")
            for text in ("cc-by-nd-4.0", "CC BY-NC-ND 2.0", "Attribution-NoDerivs 3.0", "No Derivative Works")
        ],
        ("https://creativecommons.org/licenses/by-nd/4.0/", "its licence forbids derivatives"),
        ("All rights reserved", "its licence forbids derivatives"),
    ],
)
def test_a_licence_that_forbids_derivatives_leaves_a_row_out(licence: str | None, reason: str | None) -> None:
    rows = pool({}, {"licence": licence})
    assert gathered(rows).left_out == [None, reason]
    assert gathered(rows, allow=True).left_out == gathered(rows, licence=None).left_out == [None, None]


def test_rows_to_score_carry_their_quiz_or_why_they_are_not_asked() -> None:
    rows = pool({}, WREN, {"species": None}, {"licence": "cc-by-nd-4.0"}, {"species": "tit", "text": None})
    found = gathered(rows)
    assert found.refused == {"tit": "no article"}
    found = found.without({"wren": "no quiz: not JSON"})
    assert found.names == ["robin"] and found.participating()["topic"][:] == ["robin"]
    quiz = [Question("robin", 1, "what colour is it?", ("red", "blue"), "red", 0.5).row()]
    scored = found.to_score({"robin": quiz})
    assert scored["left_out"][:] == [
        None,
        "no quiz: not JSON",
        "no topic",
        "its licence forbids derivatives",
        "no article",
    ]
    assert scored["questions"][:] == [quiz, None, None, quiz, None]
    assert isinstance(scored.features["questions"], List) and scored.features["left_out"] == Value("string")
    by_topic = found.by_topic(scored)
    assert list(by_topic) == ["robin"] and by_topic["robin"]["left_out"][:] == [None, scored["left_out"][3]]


def test_only_some_topics(tmp_path) -> None:
    rows = pool(WREN, {}, {"species": "tit"}, {})
    found = gathered(rows, only=["robin", "tit"])
    assert found.names == ["robin", "tit"] and found.pool["species"][:] == ["robin", "tit", "robin"]
    assert found.pool._indices is None  # scorers refuse a pool that would be rewritten
    with pytest.raises(ConfigError, match="topics: 'owl' is not in column 'species'"):
        gathered(rows, only=["robin", "owl"])


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (pool({"text": " "}, {"text": None}), {}, r"no topic is left of 1 \(1 of them: no article\)"),
        (pool({"species": ""}), {}, "'species' is empty in every row"),
        (pool({}, {"family": "fish"}), {}, "topic_columns: 'family' is not the same in all rows of 'robin'"),
        (pool({}).add_column("left_out", ["x"]), {}, "has a column 'left_out' already"),
        (pool({}).add_column("questions", ["x"]), {}, "has a column 'questions' already"),
        (pool({}).add_column("number", [0]), {"topic": "number"}, "topic_column: 'number' is int64, not text"),
        (pool({}), {"article": "photo"}, "article_column: 'photo' is binary, not text"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(rows: Dataset, columns: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        gathered(rows, **columns)


def test_numbered_labels_are_no_topics() -> None:
    """Label 0 would pass for no topic at all."""
    labels = pool({}, {}).cast_column("species", Value("string")).class_encode_column("species")
    assert isinstance(labels.features["species"], ClassLabel)
    with pytest.raises(ConfigError, match="topic_column: 'species' is int64, not text"):
        gathered(labels)


def test_an_error_counts_why_no_topic_is_left() -> None:
    found = gathered(pool({}, WREN, {"species": "tit", "text": ""}))
    with pytest.raises(ConfigError, match=r"left of 3 \(1 of them: no article; 2 of them: no quiz\)"):
        found.without({"robin": "no quiz", "wren": "no quiz"})


def test_columns_that_a_dataset_needs() -> None:
    assert COLUMNS.needed == ("species", "text", "photo", "by", "licence", "like", "like_text", "family")
    assert Columns("a", "b", "c").needed == ("a", "b", "c")


def test_folders_of_topics_are_plain_and_no_two_share_one() -> None:
    topics = ["Red panda", "red-panda", "a/../b", "日本", "Ærø", "..", "x" * 300, "x" * 301]
    names = list(folder_names(topics).values())
    assert names[:2] == ["Red-panda", "red-panda-2"]
    assert len({name.lower() for name in names}) == len(topics) and max(map(len, names)) < 120
    assert all(name and name.isascii() and not set(name) & set("/.\\ ") for name in names)


def test_the_embedded_world_has_twenty_topics_with_look_alikes() -> None:
    rows = load_dataset("tiny/commons", split="train").remove_columns("image")
    columns = Columns(
        topic="topic",
        article="article",
        image="image",
        licence="licence",
        lookalike="lookalike",
        lookalike_article="lookalike_article",
        about_topic=("category", "description"),
    )
    found = gather(rows, columns, only=None, allow_no_derivatives=False)
    assert len(found.names) == 20 and all(len(row["lookalikes"]) == 1 for row in found.topics)
    assert [why is not None for why in found.left_out] == ["-nd-" in licence for licence in rows["licence"]]
