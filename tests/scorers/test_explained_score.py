"""A reply is read as it was asked for, and the expected score is the mean of ten whole lines."""

from __future__ import annotations

import json

import pytest
from datasets import Dataset, Image, load_dataset
from quizzes import TINY
from scipy.stats import spearmanr

from tamis import scorers
from tamis.config import ConfigError
from tamis.score_and_explain import replies
from tamis.score_and_explain.score_lines import LINES, SCORES, expected
from tamis.scorers.explained_score import ExplainedScore
from tamis.scoring import attach_scores

pytestmark = pytest.mark.usefixtures("one_thread")
SERVED = {"backend": "api", "model": "m", "base_url": "http://127.0.0.1:1"}


@pytest.fixture(scope="module")
def pictures() -> Dataset:
    rows = load_dataset("tiny/aesthetics", split="test").cast_column("image", Image(decode=False))
    return rows.select(range(48)).select_columns(["image", "mean_score"]).flatten_indices()


def test_tiny_vlm_scores_and_explains(run, pictures) -> None:
    scored = attach_scores(pictures, ExplainedScore(TINY, wording="short", max_new_tokens=60), run=run, batch_size=16)
    for row in scored:
        found = replies.parse(row["explained_score_reply"])
        assert (row["explained_score_score"], row["explained_score_explanation"]) == tuple(found)
        shares = row["explained_score_probabilities"]
        assert len(shares) == 10 and sum(shares) == pytest.approx(1, abs=1e-5)
        mean = sum(score * share for score, share in zip(SCORES, shares, strict=True))
        assert row["explained_score_expected"] == pytest.approx(mean, abs=1e-5)
        # Greedy by tokens is nearly always the likeliest line.
        likeliest = SCORES[shares.index(max(shares))]
        assert likeliest == row["explained_score_score"] or max(shares) < 0.6
    assert scored["explained_score_error"][:] == [None] * 48
    assert len(set(scored["explained_score_expected"])) == 48 > 3 * len(set(scored["explained_score_score"]))
    assert spearmanr(scored["explained_score_expected"], scored["explained_score_score"]).statistic > 0.8


def test_batches_change_nothing_and_what_is_no_image_says_so(run, pictures, odd_images) -> None:
    few = pictures.select(range(6)).flatten_indices()
    settings = {"judge": TINY, "wording": "short", "max_new_tokens": 24}
    one, many = (
        attach_scores(few, ExplainedScore(**settings, name=name), run=run, batch_size=size)
        for name, size in (("one", 1), ("many", 6))
    )
    assert one["one_reply"][:] == many["many_reply"][:]
    assert one["one_expected"][:] == pytest.approx(many["many_expected"][:], abs=1e-4)
    contents, reasons = zip(*odd_images.values(), strict=True)
    cells = [None if content is None else {"bytes": content, "path": None} for content in contents]
    odd = Dataset.from_dict({"image": cells}, features=few.select_columns(["image"]).features)
    told = attach_scores(odd, ExplainedScore(**settings), run=run, batch_size=4)
    for row, reason in zip(told, reasons, strict=True):
        assert (row["explained_score_reply"] is None) == (reason is not None)
        assert reason is None or row["explained_score_error"] == reason


def test_a_reply_in_another_form_has_no_score_and_a_reason_but_an_expected_one(run, pictures) -> None:
    """Cut off after two tokens, and by a model that was never taught the form."""
    few = pictures.select(range(4)).flatten_indices()
    cut = attach_scores(few, ExplainedScore(TINY, wording="short", max_new_tokens=2), run=run)
    assert cut["explained_score_score"][:] == cut["explained_score_explanation"][:] == [None] * 4
    assert set(cut["explained_score_error"]) == {f"reply: {replies.NOT_WHOLE}"}
    assert all(1 <= value <= 10 for value in cut["explained_score_expected"])
    assert run.nulls["explained_score_expected"] == {} and sum(run.nulls["explained_score_score"].values()) == 4
    other = attach_scores(few, ExplainedScore(TINY, name="other", wording="full", max_new_tokens=8), run=run)
    assert all(reason is None or reason.startswith("reply: ") for reason in other["other_error"])


def test_a_judge_on_a_server_is_refused_expected_scores_before_it_is_asked(run, pictures) -> None:
    from judge.api_server import USAGE, replaying

    with pytest.raises(ConfigError, match="expected: a server does not tell .* set expected: false"):
        scorers.build([{"scorer": "explained_score", "judge": SERVED}])
    told = iter(["#Score: 8\n#Explanation: the picture is sharp.", "I would say 8/10.", ""])

    def answer(number: int, body: dict) -> tuple:
        assert "#Score" in json.dumps(body["messages"])
        message = {"role": "assistant", "content": next(told)}
        return 200, {}, {"model": "m", "choices": [{"index": 0, "message": message}], "usage": USAGE}

    with replaying(answer) as server:
        judge = SERVED | {"base_url": server.url, "concurrency": 1, "api_key_env": "JUDGE_TEST_KEY"}
        scorer = ExplainedScore(judge, expected=False)
        assert list(scorer.columns) == [f"explained_score_{what}" for what in ("score", "explanation", "reply")]
        scored = attach_scores(pictures.select(range(3)).flatten_indices(), scorer, run=run)
    assert scored["explained_score_score"][:] == [8, None, None]
    assert scored["explained_score_explanation"][:] == ["the picture is sharp.", None, None]
    assert scored["explained_score_error"][:] == [None, f"reply: {replies.NO_SCORE}", f"reply: {replies.NOTHING}"]


def test_the_lines_are_those_of_replies_and_their_mean_is_finite() -> None:
    assert all(replies.begun(score).startswith(line) for score, line in zip(SCORES, LINES, strict=True))
    assert expected([-1000.0] * 10) == (pytest.approx([0.1] * 10), pytest.approx(5.5))
    shares, mean = expected([*[-2000.0] * 9, -3.0])
    assert (shares[9], mean) == (1.0, 10.0)
