"""A judge takes a quiz on each picture: typical ones answer it, letters do not count, every null has its reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import List, Value
from quizzes import TINY, commons, judged, quiz_of, quiz_rows, second_of, shown

from tamis.config import ConfigError
from tamis.judge import SpendingCapError
from tamis.quiz.questions import Question, questions_of
from tamis.scorers import build
from tamis.scorers.quiz import Quiz
from tamis.scoring import attach_scores

pytestmark = pytest.mark.usefixtures("one_thread")
CANNOT_TELL = "it cannot be told from the picture"
COLOUR = Question("dax", 1, "what colour is it?", ("red", "blue", "pink"), "red", blind_confidence=0.3)
SHAPE = Question("dax", 2, "what shape is it?", ("star", "ring", "moon"), "star", blind_confidence=0.1)


@pytest.fixture(scope="module")
def taken(tmp_path_factory, one_thread):
    """Typical, misleading and unrelated pictures, the quiz taken on all of them at once."""
    from tamis.run import Run

    run = Run(tmp_path_factory.mktemp("quiz"))
    parts = {
        "typical": commons(32, typical=True),
        "misleading": commons(32, typical=False),
        "unrelated": commons(32, source="unrelated"),
    }
    images = [cell for part in parts.values() for cell in part["image"]]
    topics = [topic for part in parts.values() for topic in part["topic"]]
    rows = quiz_rows(images, [quiz_of(topic) for topic in topics], part=[name for name in parts for _ in range(32)])
    yield attach_scores(rows, Quiz(TINY, wording="short"), run=run, batch_size=8)
    run.close()


def mean(rows, column: str, part: str) -> float:
    return float(np.mean([value for value, name in zip(rows[column], rows["part"], strict=True) if name == part]))


def test_typical_pictures_answer_what_misleading_ones_do_not(taken) -> None:
    accuracy = {part: mean(taken, "quiz_accuracy", part) for part in ("typical", "misleading", "unrelated")}
    # The answer stands first in every question: by chance, of five options, a fifth.
    assert accuracy["typical"] > 0.6 > 0.45 > accuracy["misleading"] > 0.2 > accuracy["unrelated"]
    assert mean(taken, "quiz_score", "typical") > mean(taken, "quiz_score", "misleading") + 0.2
    assert mean(taken, "quiz_gain", "typical") == pytest.approx(mean(taken, "quiz_confidence", "typical"))
    assert set(taken["quiz_error"]) == {None}


def test_columns_are_typed_and_agree_with_the_answers(taken) -> None:
    for name in ("accuracy", "confidence", "gain", "score"):
        assert taken.features[f"quiz_{name}"] == Value("float32")
    kinds = {"id": Value("string"), "answer": Value("string"), "right": Value("bool"), "key": Value("float32")}
    assert taken.features["quiz_answers"] == List(kinds)
    for row in taken:
        questions = questions_of(row["questions"])
        assert [one["id"] for one in row["quiz_answers"]] == [question.id for question in questions]
        for one, question in zip(row["quiz_answers"], questions, strict=True):
            assert one["answer"] in (*question.options, CANNOT_TELL)
            assert one["right"] == (one["answer"] == question.answer)
        assert row["quiz_accuracy"] == np.mean([one["right"] for one in row["quiz_answers"]])


def test_batches_of_one_and_eight_agree(run) -> None:
    rows = commons(9, typical=False)
    lengths = (4, 1, 8, 4, 3, 2, 6, 4, 5)
    rows = quiz_rows(rows["image"][:], [quiz_of(*one) for one in zip(rows["topic"], lengths, strict=True)])
    one, eight = (
        attach_scores(rows, Quiz(TINY, name=f"quiz{size}", wording="short", orders=2), run=run, batch_size=size)
        for size in (1, 8)
    )
    assert one["quiz1_accuracy"][:] == eight["quiz8_accuracy"][:]
    assert one["quiz1_confidence"][:] == pytest.approx(eight["quiz8_confidence"][:], abs=1e-4)
    assert [len(answers) for answers in one["quiz1_answers"]] == list(lengths)


def test_values_by_hand(run, encoded, scenes) -> None:
    """One of two right, keys 0.5 and 0.2."""
    told = {"q1": {"red": 0.5, "blue": 0.3, "pink": 0.2}, "q2": {"star": 0.2, "ring": 0.7, "moon": 0.1}}
    rows = quiz_rows([encoded(scenes[0])], [[COLOUR, SHAPE]])
    with judged(lambda name, question: told[name]) as (judge, _):
        [row] = attach_scores(rows, Quiz(judge, cannot_tell=None), run=run)
    values = [row[f"quiz_{name}"] for name in ("accuracy", "confidence", "gain", "score")]
    assert values == pytest.approx([1 / 2, 0.35, 0.35 - 0.2, (1 + 0.35) / 3])
    assert [(one["answer"], one["right"]) for one in row["quiz_answers"]] == [("red", True), ("ring", False)]


def test_the_score_ranks_by_accuracy_then_confidence(run, encoded, scenes) -> None:
    """Two barely right beat one certainly right, whatever the confidence."""
    shares = iter([(0.34, 0.34), (0.99, 0.32), (0.99, 0.33)])
    told: dict[str, float] = {}

    def answer(name: str, question: dict[str, Any]) -> dict[str, float]:
        if name == "q1":
            told["q1"], told["q2"] = next(shares)
        first, *rest = sorted(question["criteria"], key=lambda option: option not in ("red", "star"))
        return {first: told[name], rest[0]: (1 - told[name]) * 0.505, rest[1]: (1 - told[name]) * 0.495}

    rows = quiz_rows([encoded(scene) for scene in scenes[:3]], [[COLOUR, SHAPE]] * 3)
    with judged(answer, concurrency=1) as (judge, _):
        scored = attach_scores(rows, Quiz(judge, cannot_tell=None), run=run)
    assert scored["quiz_accuracy"][:] == [1.0, 0.5, 0.5]
    both, one, surer = scored["quiz_score"][:]
    assert both > surer > one and max(scored["quiz_score"][:]) <= 1


def test_who_always_says_b_is_right_by_chance(run) -> None:
    rows = commons(8, typical=True)
    rows = quiz_rows(rows["image"][:], [quiz_of(topic, 10) for topic in rows["topic"]])
    with judged(second_of) as (judge, _):
        shuffled = attach_scores(rows, Quiz(judge, cannot_tell=None), run=run)
        as_given = attach_scores(rows, Quiz(judge | {"order_seed": None}, name="given", cannot_tell=None), run=run)
        often = attach_scores(rows, Quiz(judge, name="often", cannot_tell=None, orders=4), run=run)
    assert 0.1 < np.mean(shuffled["quiz_accuracy"]) < 0.4
    assert set(as_given["given_accuracy"]) == {0.0}  # the answer is always A
    # In many orders every option is B at some time: nothing is left of its certainty.
    assert np.std(often["often_confidence"]) < np.std(shuffled["quiz_confidence"]) / 1.4


def test_orders_are_averaged_and_differ(run, encoded, scenes) -> None:
    rows = quiz_rows([encoded(scenes[0])], [quiz_of("dax", 8)])
    with judged(second_of) as (judge, server):
        [both] = attach_scores(rows, Quiz(judge, orders=2), run=run)
        asked = shown(server, "q1")
        singles = [
            attach_scores(rows, Quiz(judge | {"order_seed": seed}, name=f"s{seed}"), run=run)[f"s{seed}_answers"][0]
            for seed in (0, 1)
        ]
        names = [f"q{number}" for number in range(1, 9)]
        assert any(orders[0] != orders[1] for orders in (shown(server, name)[:2] for name in names))
    assert len(asked) == 2 and sorted(asked[0]) == sorted(asked[1])
    keys = [[one["key"] for one in single] for single in singles]
    assert [one["key"] for one in both["quiz_answers"]] == pytest.approx(np.mean(keys, axis=0))


def test_a_tie_is_no_knowledge(run, encoded, scenes) -> None:
    rows = quiz_rows([encoded(scenes[0])], [quiz_of("dax")])
    with judged(lambda name, question: dict.fromkeys(question["criteria"], 0.2)) as (judge, _):
        [row] = attach_scores(rows, Quiz(judge, orders=2), run=run)
    assert (row["quiz_accuracy"], row["quiz_confidence"]) == pytest.approx((0.0, 0.2))


def test_that_it_cannot_be_told_is_an_option_and_never_right(run, encoded, scenes) -> None:
    rows = quiz_rows([encoded(scenes[0])], [[COLOUR]])

    def unsure(name: str, question: dict[str, Any]) -> dict[str, float]:
        return {option: float(option == CANNOT_TELL) for option in question["criteria"]}

    with judged(unsure) as (judge, server):
        [row] = attach_scores(rows, Quiz(judge), run=run)
        assert sorted(shown(server, "q1")[0]) == sorted([*COLOUR.options, CANNOT_TELL])
    assert row["quiz_answers"] == [{"id": "dax-1", "answer": CANNOT_TELL, "right": False, "key": 0.0}]
    with judged(second_of) as (judge, server):
        attach_scores(rows, Quiz(judge, name="other", cannot_tell=None), run=run)
        assert sorted(shown(server, "q1")[0]) == sorted(COLOUR.options)


def test_a_quiz_of_one_question(run) -> None:
    rows = commons(8, typical=True)
    rows = quiz_rows(rows["image"][:], [quiz_of(topic, 1) for topic in rows["topic"]])
    scored = attach_scores(rows, Quiz(TINY, wording="short"), run=run)
    assert set(scored["quiz_accuracy"]) <= {0.0, 1.0} and np.mean(scored["quiz_accuracy"]) > 0.6
    for row in scored:
        assert row["quiz_score"] == pytest.approx((row["quiz_accuracy"] + row["quiz_confidence"]) / 2)


def test_every_null_has_its_reason(run, encoded, scenes, odd_images) -> None:
    contents, reasons = zip(*odd_images.values(), strict=True)
    fine = encoded(scenes[0])
    rows = quiz_rows(
        [*contents, fine, fine, fine],
        [*[quiz_of("wug", 2)] * len(contents), None, [], quiz_of("wug", 2)],
        why=[*[None] * len(contents), None, None, "its licence forbids derivatives"],
    )
    scored = attach_scores(rows, Quiz(TINY, wording="short", left_out_column="why"), run=run, batch_size=4)
    assert scored["quiz_error"][:] == [*reasons, *["no questions"] * 2, "its licence forbids derivatives"]
    for column in Quiz(TINY).columns:
        assert [value is None for value in scored[column]] == [reason is not None for reason in scored["quiz_error"]]
    assert Quiz(TINY, left_out_column="why").inputs == ("image", "questions", "why")


def test_a_refused_question_leaves_the_row_without_a_score(run, encoded, scenes) -> None:
    rows = quiz_rows([encoded(scenes[0])] * 2, [[COLOUR, SHAPE], [COLOUR]])
    with judged(lambda name, question: None if name == "q2" else second_of(name, question)) as (judge, _):
        scored = attach_scores(rows, Quiz(judge, orders=2), run=run)
    assert scored["quiz_error"][:] == ["left out by the server", None]
    assert scored["quiz_accuracy"][0] is None and scored["quiz_answers"][0] is None
    assert scored["quiz_accuracy"][1] is not None


def test_a_cap_holds_over_all_orders(run, encoded, scenes) -> None:
    """Every order is another seed, and every seed another judge: they share one purse."""
    rows = quiz_rows([encoded(scene) for scene in scenes[:4]], [[COLOUR]] * 4)
    with judged(second_of, max_calls=6) as (judge, server):
        with pytest.raises(SpendingCapError, match="max_calls is 6"):
            attach_scores(rows, Quiz(judge, orders=3), run=run)
        assert len(server.bodies) == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"judge": {"model": "tiny/vlm", "backend": "vllm"}}, "backend: 'vllm' is not accepted; expected one of trans"),
        ({"judge": {"model": "tiny/vlm", "backend": ["api"]}}, r"backend: \['api'\] is not accepted"),
        ({"judge": {"model": "tiny/vlm", "modle": "x"}}, r"quiz: judge \(transformers\): unknown key 'modle'"),
        ({"judge": {"backend": "api", "model": "m"}}, r"quiz: judge \(api\): base_url: needed, no default"),
        ({"judge": {}}, "model: needed"),
        ({"judge": "tiny/vlm"}, "judge: 'tiny/vlm' is not accepted; expected a mapping"),
        ({}, "judge: needed, no default"),
        ({"judge": TINY, "orders": 0}, "orders: 0 is not accepted"),
        ({"judge": TINY, "wording": "long"}, "no wording 'long'"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build([{"scorer": "quiz"} | settings])
