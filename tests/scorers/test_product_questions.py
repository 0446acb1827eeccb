"""A row is a listing, and what is written of it questions with answers of one word, or a reason why there are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from datasets import Dataset, Features, Image, List, Value
from judge.api_server import completion, replaying
from quizzes import TINY

from tamis.config import ConfigError
from tamis.judge import SpendingCapError
from tamis.product_vqa.listings import read_listings
from tamis.product_vqa.questions import to_questions
from tamis.scorers import build
from tamis.scorers.answerable import Answerable
from tamis.scorers.product_questions import ProductQuestions
from tamis.scorers.visual_gain import VisualGain
from tamis.scoring import attach_scores

pytestmark = pytest.mark.usefixtures("one_thread")
LLM = {"model": "tiny/llm"}
SHORT = {"wording": "short", "max_new_tokens": 300}
SERVED = {"backend": "api", "model": "m", "api_key_env": "JUDGE_TEST_KEY", "concurrency": 1}
GOOD = [
    {"question": f"What is thing {word}?", "answer": answer, "difficulty": level}
    for word, answer, level in zip("abcde", ("red", "NA", "None", "steel", "7"), (0, 1, 2, 3, 5), strict=True)
]


def listings(images: list[bytes | None], **columns: list[Any]) -> Dataset:
    told = {"image": [None if one is None else {"bytes": one, "path": None} for one in images]}
    told |= {"title": ["a pan"] * len(images), "bullets": [["of steel", "red"]] * len(images)} | columns
    features = {"image": Image(decode=False), "title": Value("string"), "bullets": List(Value("string"))}
    return Dataset.from_dict(told, features=Features(features))


LISTINGS = 12  # a share of five answers says little


def test_tiny_llm_writes_of_listings_and_the_judges_tell_what_can_be_seen(run) -> None:
    rows, _ = read_listings("tiny/products", run, limit=LISTINGS)
    writer = ProductQuestions(LLM, image_column=None, **SHORT)
    written = attach_scores(rows, writer, run=run, batch_size=LISTINGS)
    assert written["product_questions_error"][:] == [None] * LISTINGS
    single = attach_scores(rows.select([0]), ProductQuestions(LLM, "one", image_column=None, **SHORT), run=run)
    assert single["one_questions"][0] == written["product_questions_questions"][0]
    asked = to_questions(written).table
    assert len(asked) > 4 * LISTINGS and set(asked["difficulty"]) == {0, 1, 2, 3, 5}
    assert all(len(answer.split()) == 1 for answer in asked["answer"])

    judged = attach_scores(asked, Answerable(TINY, text_judge=LLM, wording="short"), run=run, batch_size=16)
    judged = attach_scores(judged, VisualGain(TINY, wording="short"), run=run, batch_size=16)
    again = Answerable(TINY, "single", text_judge=LLM, wording="short")
    assert (
        attach_scores(asked.select(range(3)), again, run=run, batch_size=1)["single_from_text"][:]
        == (judged["answerable_from_text"][:3])
    )
    means = {}
    for column in ("answerable_from_picture", "answerable_from_text", "visual_gain_gain", "visual_gain_seen"):
        for level in (0, 5):
            values = [row[column] for row in judged if row["difficulty"] == level]
            means[column, level] = sum(values) / len(values)
    # Colours and shapes are seen; where a thing is made, and how many are in a pack, stands in the text alone.
    assert means["answerable_from_picture", 0] > 0.8 > 0.5 > means["answerable_from_picture", 5]
    assert means["answerable_from_text", 0] > 0.8 and means["answerable_from_text", 5] > 0.5
    assert means["visual_gain_gain", 0] > 0.3 > 0 > means["visual_gain_gain", 5]
    assert means["visual_gain_seen", 0] > means["visual_gain_seen", 5]
    for row in judged:
        assert row["answerable_from_picture"] == float(row["answerable_picture_reply"] == row["answer"])
        assert row["answerable_from_text"] == float(row["answerable_text_reply"] == row["answer"])


def test_what_cannot_be_read_has_its_reason(run, odd_images) -> None:
    contents, reasons = zip(*odd_images.values(), strict=True)
    bullets = [["b"]] * len(contents) + [None, [], ["", None, " "]]
    rows = listings([*contents, *[odd_images["plain"][0]] * 3], title=[None] * len(bullets), bullets=bullets)
    with replaying(lambda number, body: completion(json.dumps(GOOD))) as server:
        scored = attach_scores(rows, ProductQuestions(SERVED | {"base_url": server.url}), run=run)
    wanted = [*reasons, "bullets: null", "bullets: empty", "bullets: empty"]
    assert scored["product_questions_error"][:] == wanted
    assert [one is None for one in scored["product_questions_questions"]] == [one is not None for one in wanted]
    assert scored["product_questions_questions"][0] == GOOD and scored["product_questions_tries"][0] == 1
    texts = Dataset.from_dict({"bullets": ["one text"], "title": ["a"]})
    refused = attach_scores(texts, ProductQuestions(LLM, image_column=None, wording="short"), run=run)
    assert refused["product_questions_error"][:] == ["bullets: not a list of texts"]


def test_a_repair_is_asked_for_and_what_was_refused_is_counted(run, encoded, scenes) -> None:
    asked: list[Any] = []
    replies = [
        json.dumps([*GOOD[:4], GOOD[4] | {"answer": "not sure"}]),
        f"```json\n{json.dumps([*GOOD, GOOD[0]])}\n```",
    ]

    def reply(number: int, body: dict[str, Any]) -> Any:
        asked.append(body["messages"][0]["content"])
        return completion(replies[number] if number < 2 else "no")

    rows = listings([encoded(scenes[0]), encoded(scenes[1])])
    with replaying(reply) as server:
        writer = ProductQuestions(SERVED | {"base_url": server.url})
        first, second = attach_scores(rows, writer, run=run, batch_size=1)
    assert (first["product_questions_questions"], first["product_questions_tries"]) == (GOOD, 2)
    assert first["product_questions_left_out"] == [{"reason": "an answer of several words", "count": 1}]
    assert second["product_questions_questions"] is second["product_questions_left_out"] is None
    assert second["product_questions_error"] == "no question: the reply is not JSON (3)"
    assert len(asked) == 5  # two tries of the first, three of the second
    picture, text = asked[1]
    assert picture["type"] == "image_url" and "- question 5: an answer of several words" in text["text"]
    assert "- of steel" in text["text"] and "Product: a pan" in text["text"]


@pytest.mark.parametrize("structured", [False, True])
def test_a_server_that_keeps_to_a_schema_is_given_one(run, encoded, scenes, structured, monkeypatch) -> None:
    monkeypatch.setenv("JUDGE_TEST_KEY", "sk-of-the-judge")
    with replaying(lambda number, body: completion(json.dumps({"questions": GOOD}))) as server:
        judge = SERVED | {"base_url": server.url, "structured": structured}
        [row] = attach_scores(listings([encoded(scenes[0])]), ProductQuestions(judge), run=run)
        [body], [headers] = server.bodies, server.headers
    assert server.paths == ["/v1/chat/completions"] and headers["authorization"] == "Bearer sk-of-the-judge"
    assert body["model"] == "m" and [part["type"] for part in body["messages"][0]["content"]] == ["image_url", "text"]
    assert row["product_questions_questions"] == GOOD
    assert ("response_format" in body) == structured
    if structured:
        schema = body["response_format"]["json_schema"]["schema"]
        [item] = [told["items"] for told in schema["properties"].values()]
        assert schema["type"] == "object" and schema["required"] == ["questions"]  # no server takes a bare list
        assert set(item["required"]) == set(item["properties"]) == set(GOOD[0])
        assert item["properties"]["difficulty"]["enum"] == [0, 1, 2, 3, 5]
        assert not schema["additionalProperties"] and not item["additionalProperties"]


def test_a_spent_cap_stops_the_run_and_what_was_written_stays(run, encoded, scenes) -> None:
    rows = listings([encoded(scene) for scene in scenes[:4]])
    with replaying(lambda number, body: completion(json.dumps(GOOD))) as server:
        settings = SERVED | {"base_url": server.url}
        with pytest.raises(SpendingCapError):
            attach_scores(rows, ProductQuestions(settings | {"max_calls": 2}, rows_per_chunk=1), run=run)
        assert len(server.bodies) == 2
        scored = attach_scores(rows, ProductQuestions(settings | {"max_calls": 9}, rows_per_chunk=1), run=run)
        assert len(server.bodies) == 4
    assert scored["product_questions_questions"][:] == [GOOD] * 4


def test_answers_count_as_the_rows_but_for_form(run, encoded, scenes) -> None:
    told = {"picture": ["Red.", "dark red", "red", ""], "text": [" RED\n", "red", "blue", "red"]}
    seen = dict.fromkeys(told, 0)

    def reply(number: int, body: dict[str, Any]) -> Any:
        kind = "picture" if any(part["type"] == "image_url" for part in body["messages"][0]["content"]) else "text"
        seen[kind] += 1
        return completion(told[kind][seen[kind] - 1])

    rows = listings([encoded(scenes[0])] * 4, bullets=[["of steel"]] * 4)
    rows = rows.add_column("question", ["which colour?"] * 4).add_column("answer", ["red", "red", "Red", "red"])
    with replaying(reply) as server:
        scorer = Answerable(SERVED | {"base_url": server.url})
        scored = attach_scores(rows, scorer, run=run, batch_size=4)
        texts = [body["messages"][0]["content"][-1]["text"] for body in server.bodies]
    assert scored["answerable_from_picture"][:] == [1, 0, 1, None]
    assert scored["answerable_from_text"][:] == [1, 1, 0, None]
    assert scored["answerable_error"][:] == [None, None, None, "nothing was written"]
    assert scored["answerable_picture_reply"][:] == ["Red.", "dark red", "red", None]
    assert "a pan of steel" in texts[4] and "a pan" not in texts[0]  # the picture's side is told nothing of the text


def test_rows_without_text_or_question_are_nulls_or_have_no_such_column(run, odd_images) -> None:
    contents, reasons = zip(*odd_images.values(), strict=True)
    good = odd_images["plain"][0]
    rows = listings([*contents, *[good] * 3], title=[None] * (len(contents) + 3))
    rows = rows.remove_columns("bullets").add_column("bullets", [*[["b"]] * (len(contents) + 2), None])
    rows = rows.add_column("question", [*["what?"] * len(contents), None, "what?", "what?"])
    rows = rows.add_column("answer", [*["a"] * len(contents), "a", " ", "a"])
    scored = attach_scores(rows, Answerable(TINY, wording="short", max_new_tokens=4), run=run)
    assert scored["answerable_error"][:] == [*reasons, "question: null", "answer: empty", "bullets: null"]
    alone = Answerable(TINY, "seen", bullets_column=None, wording="short", max_new_tokens=4)
    assert list(alone.columns) == ["seen_from_picture", "seen_picture_reply"] and "title" not in alone.inputs
    bare = attach_scores(rows.remove_columns(["title", "bullets"]), alone, run=run)
    assert bare["seen_error"][:] == [*reasons, "question: null", "answer: empty", None]
    assert bare["seen_from_picture"][0] == scored["answerable_from_picture"][0] is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tries": 0}, "tries: 0 is not accepted"),
        ({"difficulties": [0, 4]}, r"difficulties: \[0, 4\] is not accepted; expected some of \[0, 1, 2, 3, 5\]"),
        ({"difficulties": []}, r"difficulties: \[\] is not accepted"),
    ],
)
def test_settings_that_ask_for_no_question_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build([{"scorer": "product_questions", "judge": LLM} | settings])
    [made] = build([{"scorer": "product_questions", "judge": LLM, "difficulties": [0, 5]}])
    assert tuple(made.difficulties) == (0, 5)
