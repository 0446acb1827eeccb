"""What a model replies in words is what its own judge writes, in any batch."""

from __future__ import annotations

import pytest
from datasets import load_dataset

from tamis import judge as judges
from tamis.scorers.reply import Reply
from tamis.scoring import attach_scores

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = {"model": "tiny/vlm"}


@pytest.fixture
def rows():
    return load_dataset("tiny/benchmark", split="dev").select(range(5)).select_columns(["image", "question", "index"])


def test_it_is_what_the_judge_writes_whatever_the_batch(run, rows) -> None:
    from tamis.rows import undecoded, with_row_id

    some = undecoded(with_row_id(rows, "dev", "index"))
    said = attach_scores(some, Reply(TINY, max_new_tokens=6), run=run, batch_size=5)["reply_text"][:]
    asks = [judges.Ask(row["question"], (row["image"].convert("RGB"),)) for row in rows]
    alone = [judges.build(TINY).write([ask], max_new_tokens=6)[0].strip() for ask in asks]
    assert said == [one or None for one in alone]
    one = attach_scores(some, Reply(TINY, name="one", max_new_tokens=6), run=run, batch_size=1)
    assert one["one_text"][:] == said


def test_what_cannot_be_asked_has_a_reason(run, rows) -> None:
    from datasets import Dataset, Features, Image, Value

    features = Features({"row_id": Value("string"), "image": Image(), "question": Value("string")})
    picture = rows[0]["image"]
    made = {"row_id": ["a", "b", "c"], "image": [None, picture, picture], "question": ["what?", None, " "]}
    told = attach_scores(Dataset.from_dict(made, features=features), Reply(TINY), run=run)
    assert told["reply_text"][:] == [None] * 3 and all(told["reply_error"])
    with pytest.raises(ValueError, match="max_new_tokens: 0"):
        Reply(TINY, max_new_tokens=0)
