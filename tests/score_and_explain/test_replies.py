"""A reply read again is the reply that was written; what is in no such form is a reason, and never a guess."""

from __future__ import annotations

import pytest
from hostile import HOSTILE

from tamis.score_and_explain import replies
from tamis.score_and_explain.replies import MALFORMED, Parsed, begun, parse, reply


@pytest.mark.parametrize("score", range(1, 11))
def test_what_is_written_is_read_again(score: int) -> None:
    for text in (*HOSTILE, "the light is right.", "two lines\nof praise", "8 # of 10", "its score: high"):
        assert parse(reply(score, f"  {text}\n")) == Parsed(score, text.strip())
    assert reply(score, "sharp.").startswith(begun(score))
    assert begun(score) == f"#Score: {score}\n#Explanation:"


@pytest.mark.parametrize("score", (0, 11, -3, 5.5, "7", None, float("nan")))
def test_no_reply_has_a_score_outside_the_scale(score: object) -> None:
    with pytest.raises(ValueError, match="score: .* is not accepted; expected a whole number from 1 to 10"):
        begun(score)


@pytest.mark.parametrize(
    "text",
    (
        "#Score: 7\n#Explanation: sharp.",
        "\n  # score :  7 \n\n#EXPLANATION:sharp.\n",
        "#Score: 7 #Explanation: sharp.",
        "#Score:07\n#Explanation: sharp.",
    ),
)
def test_case_and_spaces_are_free(text: str) -> None:
    assert parse(text) == Parsed(7, "sharp.")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, replies.NOTHING),
        (" \n", replies.NOTHING),
        ("A fine picture, 7 of 10.", replies.NO_SCORE),
        ("Score: 7\nExplanation: sharp.", replies.NO_SCORE),
        ("#Explanation: sharp.\n#Score: 7", replies.NO_SCORE),
        ("Sure! #Score: 7\n#Explanation: sharp.", replies.NOT_FIRST),
        ("#Score: 7\n#Explanation: sharp.\n#Score: 3\n#Explanation: dull.", replies.TWO_SCORES),
        ("#Score: 7\n#Explanation: sharp. #score : 3", replies.TWO_SCORES),
        ("#Score: 7/10\n#Explanation: sharp.", replies.NOT_WHOLE),
        ("#Score: 7.0\n#Explanation: sharp.", replies.NOT_WHOLE),
        ("#Score: seven\n#Explanation: sharp.", replies.NOT_WHOLE),
        ("#Score: \u0667\n#Explanation: sharp.", replies.NOT_WHOLE),
        ("#Score: 7\nIt is sharp.\n#Explanation: sharp.", replies.NOT_WHOLE),
        ("#Score:\n#Explanation: sharp.", replies.NOT_WHOLE),
        ("#Score: " + "9" * 5000 + "\n#Explanation: sharp.", replies.NOT_WHOLE),
        ("#Score: 0\n#Explanation: sharp.", replies.OUTSIDE),
        ("#Score: 11\n#Explanation: sharp.", replies.OUTSIDE),
        ("#Score: -7\n#Explanation: sharp.", replies.OUTSIDE),
        ("#Score: 7", replies.NO_EXPLANATION),
        ("#Score: 7\n#Explanation: \n", replies.EMPTY),
        ("#Score: 7\n#Explanation: sharp.\n#Explanation: calm.", replies.TWO_EXPLANATIONS),
    ],
)
def test_what_is_in_no_such_form_has_its_reason(text: str | None, reason: str) -> None:
    assert parse(text) == reason
    assert reason in MALFORMED


def test_a_reply_that_loops_is_read_at_once() -> None:
    assert parse("#" * 200_000 + " " * 200_000) == replies.NO_SCORE
    assert parse("#Score: 7\n" * 20_000) == replies.TWO_SCORES
