"""Quizzes are written from articles by a model that can, checked, sent back where they break a rule, never padded."""

from __future__ import annotations

import json
from functools import cache

import pytest

from tamis.judge import Ask, LocalJudge
from tamis.prompts import render
from tamis.quiz.questions import Question, Topic, read, write_quizzes

pytestmark = pytest.mark.usefixtures("one_thread", "no_model_held")

TWO = [
    {"question": "what shape is it?", "options": ["star", "ring", "moon"], "answer": "star"},
    {"question": "what colour is it?", "options": ["red", "blue", "pink"], "answer": "blue"},
]
SHORT = {"wording": "short", "max_new_tokens": 300}


@cache
def topics() -> tuple[list[Topic], dict[str, dict[str, str]]]:
    """Six kinds of the embedded world with one look-alike each, and what they look like."""
    import random

    from tamis.tiny.articles import article
    from tamis.tiny.kinds import kinds

    draw, known = random.Random(0), {kind.word: kind for kind in kinds()}
    told = {word: article(word, kind.category, kind.look, draw) for word, kind in known.items()}
    chosen = [kind for kind in known.values() if kind.lookalike][:6]
    return (
        [Topic(kind.word, told[kind.word], {kind.lookalike: told[kind.lookalike]}) for kind in chosen],
        {word: kind.look for word, kind in known.items()},
    )


def test_tiny_llm_writes_quizzes_with_the_right_keys_about_what_tells_kinds_apart() -> None:
    from tamis.tiny.questions import ASKED

    asked, looks = topics()
    quizzes = write_quizzes(LocalJudge("tiny/llm"), asked, count=4, **SHORT)
    assert set(quizzes.written) | set(quizzes.refused) == {topic.name for topic in asked}
    assert len(quizzes.written) >= 5
    right = []
    for topic in asked:
        (alike,) = topic.lookalikes
        for one in quizzes.written.get(topic.name, []):
            name = next(name for name, forms in ASKED.items() if one.question in forms)
            right.append(one.answer == looks[topic.name][name] and looks[alike][name] in one.options)
            assert one.id == f"{topic.name}-{one.number}" and len(one.options) == 4
    assert sum(right) / len(right) > 0.9


def test_a_cut_reply_is_repaired_and_counted() -> None:
    class CutOnce:
        """The judge itself, but that its first replies end too early, as replies do that run out of tokens."""

        def __init__(self) -> None:
            self.judge, self.calls = LocalJudge("tiny/llm"), 0

        def write(self, asks: list[Ask], *, max_new_tokens: int) -> list[str]:
            self.calls += 1
            replies = self.judge.write(asks, max_new_tokens=max_new_tokens)
            return [reply[:-10] for reply in replies] if self.calls == 1 else replies

    asked, _ = topics()
    judge = CutOnce()
    quizzes = write_quizzes(judge, asked, count=3, **SHORT)
    assert judge.calls > 1 and quizzes.written
    assert all(quizzes.repaired[name] >= 1 for name in quizzes.written)


def test_who_writes_no_quiz_is_asked_three_times_and_the_topic_is_reported() -> None:
    asked, _ = topics()
    judge = LocalJudge("tiny/vlm")  # it never learnt to
    quizzes = write_quizzes(judge, [*asked[:2], Topic("empty", " ")], count=2, wording="short", max_new_tokens=24)
    assert not quizzes.written and not quizzes.repaired
    assert quizzes.refused == {asked[0].name: "not JSON", asked[1].name: "not JSON", "empty": "no article"}


def test_a_good_reply_is_read_fenced_or_not() -> None:
    wanted = [
        Question("dax", 1, "what shape is it?", ("star", "ring", "moon"), "star"),
        Question("dax", 2, "what colour is it?", ("red", "blue", "pink"), "blue"),
    ]
    for reply in (json.dumps(TWO), f"```json\n{json.dumps(TWO)}\n```"):
        assert read(reply, "dax", count=2, options=3) == (wanted, [])
    assert read(json.dumps(TWO[:1]), "dax", count=1, options=3) == (wanted[:1], [])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"answer": "cross"}, "the answer is not among the options"),
        ({"options": ["star", "Star ", "moon"]}, "question 1: two of its options are the same"),
        ({"options": ["star", "ring"]}, "question 1: it has 2 options, not 3"),
        ({"options": ["star", "ring", "None of these"]}, "question 1: one of its options says nothing"),
        ({"options": "star"}, "question 1: its question, options and answer are to be texts"),
        ({"question": "what shape is the Dax?"}, "question 1: it names the topic"),
        ({"question": ""}, "question 1: its question, options and answer are to be texts"),
        ({"why": "because"}, "question 1: it is no object of answer, options, question alone"),
        ({"question": "what colour is it?"}, "question 2: it is asked twice"),
    ],
)
def test_a_broken_rule_is_named_and_nothing_is_kept(change: dict[str, object], fault: str) -> None:
    questions, faults = read(json.dumps([TWO[0] | change, TWO[1]]), "dax", count=2, options=3)
    assert questions == [] and len(faults) == 1 and faults[0].startswith(fault)
    assert render("quiz/repair", topic="dax", article="a", lookalikes=[], count=2, options=3, reply="x", faults=faults)


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ("", "nothing was written"),
        ("[" * 100_000, "not JSON"),
        ("star!", "not JSON"),
        ("{}", "not a list"),
        ("[]", "too few questions"),
        ("[1]", "question 1: it is no object"),
    ],
)
def test_replies_that_are_no_quiz(reply: str, fault: str) -> None:
    assert read(reply, "dax", count=1, options=3)[1][0].startswith(fault)
    assert read(json.dumps(TWO), "dax", count=1, options=3)[1] == ["too many questions"]


def test_a_topic_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'dax' is there twice"):
        write_quizzes(LocalJudge("tiny/llm"), [Topic("dax", "a"), Topic("dax", "b")], count=1)
