"""A row is a topic, and what is written of it a quiz that the takers read back, or a reason why there is none."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import Dataset, Features, List, Value
from judge.api_server import completion, replaying

from tamis.config import ConfigError
from tamis.quiz.questions import Question, questions_of, row_features
from tamis.scorers import build
from tamis.scorers.quiz_writer import QuizWriter
from tamis.scoring import attach_scores
from tamis.tiny.articles import article
from tamis.tiny.kinds import kinds
from tamis.tiny.questions import ASKED

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = {"wording": "short", "max_new_tokens": 300}
ARTICLE = {"topic": Value("string"), "article": Value("string")}


def topics(rows: list[dict[str, Any]]) -> Dataset:
    return Dataset.from_list(rows, features=Features(ARTICLE | {"lookalikes": List(ARTICLE)}))


@pytest.fixture(scope="module")
def known() -> list[dict[str, Any]]:
    import random

    draw, every = random.Random(0), {kind.word: kind for kind in kinds()}
    told = {word: article(word, kind.category, kind.look, draw) for word, kind in every.items()}
    return [
        {
            "topic": word,
            "article": told[word],
            "lookalikes": [{"topic": every[word].lookalike, "article": told[every[word].lookalike]}],
        }
        for word in list(every)[:4]
    ]


def test_quizzes_are_written_typed_and_read_back(run, known) -> None:
    writer = QuizWriter({"model": "tiny/llm"}, lookalikes_column="lookalikes", count=3, **SHORT)
    written = attach_scores(topics(known), writer, run=run, batch_size=4)
    assert written.features["quiz_writer_questions"] == List(row_features())
    assert written.features["quiz_writer_repaired"] == Value("int32")
    looks = {kind.word: kind for kind in kinds()}
    right = []
    for row in written:
        questions = questions_of(row["quiz_writer_questions"])
        assert [one.row() for one in questions] == row["quiz_writer_questions"]
        assert [one.number for one in questions] == [1, 2, 3] and {one.topic for one in questions} == {row["topic"]}
        for one in questions:
            assert len(one.options) == 4 and one.answer in one.options and one.blind_confidence == 0
            name = next(name for name, forms in ASKED.items() if one.question in forms)
            right.append(one.answer == looks[row["topic"]].look[name] and name in looks[row["topic"]].distinguishing)
    assert sum(right) / len(right) > 0.8  # right, and of what the look-alike has otherwise
    one = attach_scores(topics(known), QuizWriter(name="one", **_settings(writer)), run=run, batch_size=1)
    assert one["one_questions"][:] == written["quiz_writer_questions"][:]


def _settings(writer: QuizWriter) -> dict[str, Any]:
    return {name: value for name, value in vars(writer).items() if name not in ("name", "prompts")}


def test_every_null_has_its_reason(run, known) -> None:
    rows = [known[0], known[1] | {"article": None}, known[2] | {"article": " \n"}]
    written = attach_scores(topics(rows), QuizWriter({"model": "tiny/llm"}, count=3, **SHORT), run=run)
    assert written["quiz_writer_error"][:] == [None, "article: null", "article: empty"]
    assert [quiz is None for quiz in written["quiz_writer_questions"]] == [False, True, True]
    never_learnt = QuizWriter({"model": "tiny/vlm"}, name="other", count=1, wording="short", max_new_tokens=8)
    assert attach_scores(topics(known[:1]), never_learnt, run=run)["other_error"][:] == ["not JSON"]


def test_repairs_are_counted_and_the_rule_is_told(run, known) -> None:
    good = '[{"question": "Which colour?", "options": ["red", "tan"], "answer": "tan"}]'
    asked: list[str] = []

    def reply(number: int, body: dict[str, Any]) -> Any:
        asked.append(body["messages"][0]["content"][0]["text"])
        return completion("[]" if known[0]["topic"] in asked[-1] or number < 2 else good)

    settings = {"backend": "api", "model": "m", "api_key_env": "JUDGE_TEST_KEY", "concurrency": 1}
    rows = [row | {"lookalikes": []} for row in (known[0], known[2])]
    with replaying(reply) as server:
        writer = QuizWriter(settings | {"base_url": server.url}, count=1, options=2)
        written = attach_scores(topics(rows), writer, run=run)
    word = known[2]["topic"]
    assert written["quiz_writer_repaired"][:] == [None, 1]
    assert written["quiz_writer_error"][:] == ["too few questions", None]
    assert questions_of(written["quiz_writer_questions"][1]) == [
        Question(word, 1, "Which colour?", ("red", "tan"), "tan")
    ]
    assert len(asked) == 5
    assert all("- too few questions" in text for text in asked[2:])
    assert any(known[0]["article"] in text for text in asked[2:4])


def test_articles_are_read_up_to_a_length(known) -> None:
    writer = QuizWriter({"model": "tiny/llm"}, lookalikes_column="lookalikes", longest_article=20)
    told = writer.prepare(known[0])["topic"]
    assert told.article == known[0]["article"][:20]
    assert {len(text) for text in told.lookalikes.values()} == {20}
    assert writer.prepare(known[0] | {"lookalikes": None})["topic"].lookalikes == {}


@pytest.mark.parametrize(("settings", "message"), [({"count": 0}, "count: 0 is"), ({"options": 1}, "options: 1 is")])
def test_what_is_no_quiz_is_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build([{"scorer": "quiz_writer", "judge": {"model": "tiny/llm"}} | settings])
