"""The judge on a real server: `transformers serve` with the packaged tiny/vlm, against the same model right here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from judging import assert_alike

import tamis.tiny
from tamis.judge import LocalJudge
from tamis.judge.api import ApiJudge
from tamis.judge.asking import Ask, Request

MODEL = str(Path(tamis.tiny.__file__).parent / "weights" / "vlm")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where it serves, as it says itself: a port chosen beforehand may be another's by the time it is loaded."""
    command = [str(Path(sys.executable).with_name("transformers")), "serve", MODEL, "--device", "cpu"]
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("w") as written:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", "0"],
            stdout=written,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    try:
        yield _address(server, log)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(480):
        told = re.search(r"running on (http://127\.0\.0\.1:\d+)", log.read_text())
        if told is not None:
            return told[1]
        assert server.poll() is None, log.read_text()[-2000:]
        time.sleep(0.25)
    raise AssertionError(f"no server after two minutes: {log.read_text()[-2000:]}")


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def judge_at(address: str, route: str) -> ApiJudge:
    return ApiJudge(model=MODEL, base_url=address, route=route, api_key_env="JUDGE_TEST_KEY", concurrency=2)


def test_systemone_answers_are_the_local_judges(address: str, with_images: list[Request]) -> None:
    notes: Counter[str] = Counter()
    judge = judge_at(address, "systemone")
    answers = judge.decide(with_images, notes=notes)
    assert set(notes) == {"answered"} and judge.spent.calls == len(with_images) and judge.spent.tokens > 0
    assert_alike(answers, LocalJudge(model=MODEL).decide(with_images), within=1e-4)


def test_chat_gives_the_same_best_option_as_the_generic_prompt_here(
    address: str, with_images: list[Request], picture, tmp_path: Path
) -> None:
    """The model answers the generic prompt, which it was not taught, with a letter most of the time."""
    plain = tmp_path / "plain"
    shutil.copytree(MODEL, plain, ignore=shutil.ignore_patterns("decision*"))
    colour = with_images[0].questions["colour"]
    requests = [Request({"A": picture(n), "text": "a star"}, {"it": colour}) for n in range(8)]
    answers = judge_at(address, "chat").decide(requests)
    wanted = LocalJudge(model=str(plain)).decide(requests)
    pairs = [(one["it"], other["it"]) for one, other in zip(answers, wanted, strict=True)]
    chosen = [(ours["choice"], theirs["choice"]) for ours, theirs in pairs if "error" not in ours]
    assert len(chosen) >= 4 and all(ours == theirs for ours, theirs in chosen)


def test_texts_are_the_local_judges(address: str, picture) -> None:
    asks = [Ask("What is it?", (picture(0),)), Ask("Describe the picture.", (picture(1, 64, 32),)), Ask("Who?")]
    assert judge_at(address, "chat").write(asks, max_new_tokens=12) == LocalJudge(model=MODEL).write(
        asks, max_new_tokens=12
    )
