"""Quizzes for a run: which questions select, which only grade, which are dropped, and which topics have none."""

from __future__ import annotations

from collections import Counter

import pytest
from datasets import Dataset, Features, List, Value
from toy_scorers import Author, Blind

from tamis.drawings import picture_features
from tamis.quiz.making import QuizSet, make_quizzes, told_features
from tamis.run import Run


def topics(**articles: str) -> Dataset:
    rows = [{"topic": name, "article": text, "category": "bird", "lookalikes": []} for name, text in articles.items()]
    kinds = dict.fromkeys(("topic", "article", "category"), Value("string"))
    alike = {"lookalikes": List({"topic": Value("string"), "article": Value("string")})}
    return Dataset.from_list(rows, features=Features(kinds | alike))


def made(run: Run, heldout: int, **articles: str) -> QuizSet:
    return make_quizzes(topics(**articles), Author(), Blind(), heldout=heldout, run=run, batch_size=4)


def test_every_question_has_its_use(run: Run) -> None:
    quizzes = made(run, 2, dax="a b known c even rude", wug="known rude")
    uses = {(row["topic"], row["question"]): row["use"] for row in quizzes.table}
    assert uses["dax", "known"] == "dropped" and uses["dax", "rude"] == "unchecked"
    assert Counter(uses["dax", word] for word in ("a", "b", "c", "even")) == {"quiz": 2, "heldout": 2}
    assert quizzes.counts() == {"quiz": 2, "heldout": 2, "dropped": 2, "unchecked": 2}
    assert quizzes.refused == {"wug": "no quiz: no question needs the picture"}
    told = {row["question"]: row["blind_confidence"] for row in quizzes.table}
    assert told["a"] == pytest.approx(0.25) and told["rude"] == 0.0  # what it knows without a picture


def test_the_quiz_itself_comes_before_what_is_held_out(run: Run) -> None:
    quizzes = made(run, 5, dax="a", wug="a b")
    assert {topic: len(rows) for topic, rows in quizzes.of("quiz").items()} == {"dax": 1, "wug": 1}
    assert {topic: len(rows) for topic, rows in quizzes.of("heldout").items()} == {"wug": 1}
    rows, features = quizzes.told(topics(dax="a", wug="a b"))
    assert [len(row["heldout_questions"]) for row in rows] == [0, 1] and set(rows[0]) == set(features)


def test_what_is_held_out_depends_on_the_seed_and_no_other_topic(run: Run) -> None:
    words = " ".join("abcdefgh")
    alone, together = (
        made(run, 3, **articles).of("heldout")["dax"] for articles in ({"dax": words}, {"ant": words, "dax": words})
    )
    assert alone == together
    run.seed = 1
    assert made(run, 3, dax=words).of("heldout")["dax"] != alone


def test_where_no_topic_has_a_quiz_there_is_a_table_all_the_same(run: Run) -> None:
    quizzes = made(run, 1, dax="", wug="")
    assert quizzes.refused == dict.fromkeys(("dax", "wug"), "no quiz: article: empty")
    assert quizzes.of("quiz") == {} and sum(quizzes.counts().values()) == 0


def test_types_are_known_before_there_are_quizzes_and_names_that_are_needed_refused() -> None:
    told = told_features(topics(dax="a"))
    assert list(told) == ["topic", "category", "questions", "heldout_questions"]
    assert {"prompt", "image_seed", *told} <= set(picture_features(told))
    for taken in ("style", "seed", "image"):
        with pytest.raises(ValueError, match=f"topic_columns: {taken}: "):
            picture_features(told | {taken: Value("string")})
