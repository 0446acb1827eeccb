"""A server's faults, what may be spent, how many calls at once, and a key that nobody gets to see."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import traceback
from collections import Counter
from typing import Any

import pytest
from api_server import completion, replaying, system_one

from tamis.judge import api_calls
from tamis.judge.api import ApiJudge
from tamis.judge.api_calls import ApiError, SpendingCapError
from tamis.judge.asking import Ask, Request

KEY = "sk-not-to-be-seen-1234567890"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_calls, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(api_calls, "ATTEMPTS", 4)
    monkeypatch.setattr(api_calls, "_ledgers", {})
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def judge_of(url: str, route: str = "systemone", **settings: Any) -> ApiJudge:
    return ApiJudge(model="m", base_url=url, route=route, api_key_env="JUDGE_TEST_KEY", timeout=5.0, **settings)


def asked(how_many: int) -> list[Request]:
    return [Request(f"row {n}", {"it": {"type": "noul", "instructions": "Is it?"}}) for n in range(how_many)]


@pytest.mark.parametrize("route", ("systemone", "chat"))
def test_a_busy_server_is_given_the_time_it_asks_for(route: str) -> None:
    def reply(number: int, body: dict[str, Any]) -> Any:
        if number == 0:
            return 429, {"Retry-After": "0.4"}, {"error": "slow down"}
        return completion("Yes") if route == "chat" else system_one(body)

    with replaying(reply) as server:
        judge = judge_of(server.url, route)
        (answer,) = judge.decide(asked(1))
    assert answer["it"]["noul"] == pytest.approx(1.0 if route == "chat" else 0.6)
    assert 0.35 < server.times[1] - server.times[0] < 3
    assert judge.spent.calls == 2


@pytest.mark.parametrize("route", ("systemone", "chat"))
@pytest.mark.parametrize(
    "fault", ((500, {}, {"error": "oops"}), (503, {}, b""), (200, {}, b"<html>not me</html>"), (200, {}, {"sorry": 1}))
)
def test_faults_pass_when_they_are_few(route: str, fault: Any) -> None:
    def reply(number: int, body: dict[str, Any]) -> Any:
        if number < 2:
            return fault
        return completion("No") if route == "chat" else system_one(body)

    with replaying(reply) as server:
        (answer,) = judge_of(server.url, route).decide(asked(1))
    assert "noul" in answer["it"] and len(server.bodies) == 3


@pytest.mark.parametrize("route", ("systemone", "chat"))
@pytest.mark.parametrize(
    ("fault", "told", "calls"),
    (
        ((500, {}, {"error": f"bad {KEY}"}), "HTTP 500: .*bad .key", 4),
        ((200, {}, f"garbage {KEY}".encode()), "cannot be read", 4),
        ((401, {}, {"error": f"Incorrect API key provided: {KEY}"}), "HTTP 401: .*Incorrect API key", 1),
        ((404, {}, {"error": "no such model"}), "HTTP 404: .*no such model", 1),
    ),
)
def test_a_fault_that_stays_names_the_server_and_never_the_key(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], route: str, fault: Any, told: str, calls: int
) -> None:
    monkeypatch.setenv("JUDGE_TEST_KEY", KEY)
    with replaying(lambda number, body: fault) as server:
        judge = judge_of(server.url, route)
        with pytest.raises(ApiError, match=told) as caught:
            judge.decide(asked(1))
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert server.url in str(caught.value) and len(server.bodies) == calls
    seen = (
        "".join(traceback.format_exception(caught.value))
        + repr(caught.value)
        + repr(judge)
        + "".join(capfd.readouterr())
    )
    assert KEY not in seen


def test_a_reason_never_holds_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_TEST_KEY", KEY)
    odd = {"answers": {"it": {"you sent": KEY}}, "usage": None}
    with replaying(lambda number, body: completion(KEY) if "messages" in body else (200, {}, odd)) as server:
        answers = [judge_of(server.url, route).decide(asked(1))[0]["it"] for route in ("systemone", "chat")]
    assert all("[key]" in one["error"] and KEY not in one["error"] for one in answers)


def test_a_key_that_cannot_be_sent_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    with replaying(lambda number, body: system_one(body)) as server:
        monkeypatch.setenv("JUDGE_TEST_KEY", f"{KEY}\n")
        judge_of(server.url).decide(asked(1))
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        for odd in (f"{KEY}\n{KEY}", f"{KEY}é"):
            monkeypatch.setenv("JUDGE_TEST_KEY", odd)
            with pytest.raises(ValueError, match="JUDGE_TEST_KEY: what this environment variable holds") as caught:
                judge_of(server.url).decide(asked(1))
            assert KEY not in str(caught.value)
    assert len(server.bodies) == 1


def test_what_was_answered_before_a_fault_is_not_lost() -> None:
    def reply(number: int, body: dict[str, Any]) -> Any:
        return system_one(body) if number < 2 else (403, {}, {"error": "no more"})

    with replaying(reply) as server, pytest.raises(ApiError, match="HTTP 403") as caught:
        judge_of(server.url, concurrency=1).decide(asked(4))
    assert [one is not None for one in caught.value.results] == [True, True, False, False]
    assert caught.value.results[1]["it"]["noul"] == pytest.approx(0.6)
    assert len(server.bodies) == 3


def test_nobody_there_and_no_reply_in_time() -> None:
    with replaying(lambda number, body: system_one(body)) as server:
        gone = server.url
    with pytest.raises(ApiError, match="gave up after 3 tries: ConnectError"):
        judge_of(gone).decide(asked(1))
    with replaying(lambda number, body: system_one(body), seconds=0.5) as server:
        for route in ("systemone", "chat"):
            slow = ApiJudge(model="m", base_url=server.url, route=route, timeout=0.05)
            with pytest.raises(ApiError, match="gave up after 4 tries: no reply in time"):
                slow.decide(asked(1))


def test_no_token_of_the_hub_is_sent_to_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_thisisthehubs")
    monkeypatch.delenv("JUDGE_TEST_KEY", raising=False)
    with replaying(lambda number, body: completion("Yes") if "messages" in body else system_one(body)) as server:
        for route in ("systemone", "chat"):
            judge_of(server.url, route).decide(asked(1))
    assert len(server.headers) == 2 and not any("authorization" in headers for headers in server.headers)
    assert "hf_this" not in str(server.headers)


def test_no_more_calls_at_once_than_allowed_and_answers_in_order() -> None:
    def reply(number: int, body: dict[str, Any]) -> Any:
        return completion(body["messages"][0]["content"][0]["text"])

    with replaying(reply, seconds=0.03) as server:
        judge = judge_of(server.url, "chat", concurrency=3)
        texts = judge.write([Ask(f"say {n}") for n in range(20)], max_new_tokens=4)
    assert texts == [f"say {n}" for n in range(20)]
    assert server.most_under_way == 3


def test_calls_are_capped_and_what_was_bought_is_handed_over() -> None:
    with replaying(lambda number, body: system_one(body)) as server:
        judge = judge_of(server.url, max_calls=3, concurrency=2)
        with pytest.raises(SpendingCapError, match="3 calls and 300 tokens are spent, max_calls is 3") as caught:
            judge.decide(asked(5))
        assert [one is not None for one in caught.value.results] == [True] * 3 + [False] * 2
        with pytest.raises(SpendingCapError):  # the cap is the process's, not a call's
            judge_of(server.url, max_calls=3, concurrency=2).decide(asked(1))
    assert len(server.bodies) == 3 and judge.spent.calls == 3


def test_tokens_are_capped_and_must_be_told() -> None:
    with replaying(lambda number, body: completion("text")) as server:
        judge = judge_of(server.url, "chat", max_tokens=100, concurrency=1)
        with pytest.raises(SpendingCapError, match="3 calls and 126 tokens are spent, max_tokens is 100") as caught:
            judge.write([Ask("say")] * 5, max_new_tokens=2)
    assert caught.value.results == ["text"] * 3 + [None] * 2
    untold = system_one({"questions": asked(1)[0].questions})[2] | {"usage": None}
    with replaying(lambda number, body: (200, {}, untold)) as server:
        assert judge_of(server.url).decide(asked(1))
        with pytest.raises(ApiError, match="no token counts"):
            judge_of(server.url, max_tokens=100).decide(asked(1))


def test_a_refused_row_is_a_null_and_settings_that_are_refused_raise() -> None:
    def reply(number: int, body: dict[str, Any]) -> Any:
        return (400, {}, {"error": "not this"}) if body["state"] == "row 1" else system_one(body)

    notes: Counter[str] = Counter()
    with replaying(reply) as server:
        answers = judge_of(server.url).decide(asked(3), notes=notes)
    assert answers[1]["it"] == {"type": "noul", "error": 'HTTP 400: {"error": "not this"}'}
    assert notes == {"answered": 2, 'HTTP 400: {"error": "not this"}': 1}
    refused = pytest.raises(ApiError, match="every call was refused; the first: HTTP 422: .*no such field")
    with replaying(lambda number, body: (422, {}, {"detail": "no such field"})) as server, refused:
        judge_of(server.url).decide(asked(3))


def test_it_also_works_where_a_loop_is_running() -> None:
    async def notebook(judge: ApiJudge) -> Any:
        return judge.decide(asked(2))

    with replaying(lambda number, body: system_one(body)) as server:
        answers = asyncio.run(notebook(judge_of(server.url)))
    assert [one["it"]["noul"] for one in answers] == pytest.approx([0.6, 0.6])


def test_pauses() -> None:
    assert [api_calls.pause(None, attempt) for attempt in (1, 2, 3)] == [0.01, 0.02, 0.04]
    assert api_calls.pause("2.5", 1) == 2.5 and api_calls.pause("9999", 1) == 300 and api_calls.pause("-3", 1) == 0
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=20)
    assert 15 < api_calls.pause(email.utils.format_datetime(soon, usegmt=True), 1) <= 20
    assert api_calls.pause("whenever", 2) == 0.02


@pytest.mark.parametrize(
    ("wrong", "told"),
    (
        ({"route": "v1"}, "expected one of systemone, decisions, chat"),
        ({"api_key_env": KEY}, "expected the name of an environment variable"),
        ({"base_url": f"http://user:{KEY}@there"}, "with no user, password"),
        ({"base_url": "there"}, "expected http://HOST"),
        ({"concurrency": 0}, "expected 1 to 100"),
        ({"max_calls": 0}, "max_calls: 0; expected at least 1"),
        ({"timeout": 0}, "more than 0 seconds"),
    ),
)
def test_wrong_settings_are_told_by_name_and_not_repeated(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        ApiJudge(**{"model": "m", "base_url": "http://there"} | wrong)
    assert KEY not in str(caught.value)
