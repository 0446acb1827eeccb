"""`python -m tamis.localhub`: run, serve and their help, as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tamis.localhub import live, parse_user
from tamis.localhub.auth import load_credentials
from tamis.localhub.record import Record, find_live, wait_until_live, write_record

HUB = [sys.executable, "-m", "tamis.localhub"]
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture
def environment(python_path: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **python_path, "HTTPS_PROXY": "http://proxy:1", "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": "/x"}


def run(folder: Path, environment: dict[str, str], *command: str, options: tuple = ()) -> subprocess.CompletedProcess:
    line = [*HUB, "run", "--no_seeds", "--dir", str(folder), *options, "--", *command]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=False)


def wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while find_live(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert find_live(folder) is None


def test_help_is_quick(environment: dict[str, str]):
    started = time.perf_counter()
    shown = subprocess.run([*HUB, "run", "--help"], env=environment, capture_output=True, text=True, check=True)
    assert "COMMAND" in shown.stdout and time.perf_counter() - started < 3


def test_run_sets_what_a_child_needs_and_passes_its_exit_code_on(tmp_path: Path, environment: dict[str, str]):
    done = run(tmp_path, environment, sys.executable, "-c", SHOW + "; raise SystemExit(7)")
    assert done.returncode == 7
    seen = json.loads(done.stdout)
    token = load_credentials(tmp_path).token
    assert seen["HF_TOKEN"] == token and token not in done.stderr
    assert seen["HF_ENDPOINT"].startswith("http://127.0.0.1:") and seen["HF_HUB_DISABLE_XET"] == "1"
    assert "127.0.0.1" in seen["NO_PROXY"] == seen["no_proxy"] and "HTTPS_PROXY" not in seen
    assert "HF_HUB_OFFLINE" not in seen and "HF_HUB_CACHE" not in seen
    assert seen["HF_HOME"].startswith(str(tmp_path)) and not Path(seen["HF_HOME"]).exists()
    assert f"python -m tamis.localhub serve --dir {tmp_path}" in done.stderr
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert run(tmp_path, environment, "sh", "-c", "kill -9 $$").returncode == 128 + 9
    assert run(tmp_path, environment, "no-such-command").returncode == 127
    wait_until_gone(tmp_path)
    assert token not in (tmp_path / "server.log").read_text()


def test_signals_reach_the_child(tmp_path: Path, environment: dict[str, str]):
    wait = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(5)); print('ready', flush=True); "
    line = [*HUB, "run", "--no_seeds", "--dir", str(tmp_path), "--", sys.executable, "-c", wait + "time.sleep(60)"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(line, env=environment, **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 5


def test_runs_share_one_server_which_ends_with_the_last(tmp_path: Path, environment: dict[str, str]):
    hold = "import os, sys; print(os.environ['HF_ENDPOINT'], flush=True); sys.stdin.read()"
    line = [*HUB, "run", "--no_seeds", "--dir", str(tmp_path), "--", sys.executable, "-c", hold]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    runs = [subprocess.Popen(line, env=environment, **pipes) for _ in range(2)]
    urls = {process.stdout.readline().strip() for process in runs}
    assert len(urls) == 1
    first, second = runs
    first.communicate("")
    time.sleep(0.5)
    assert find_live(tmp_path), "the second one is still using it"
    second.communicate("")
    wait_until_gone(tmp_path)


def test_run_joins_a_live_server_and_tells_a_dead_record_from_one(tmp_path: Path, environment: dict[str, str]):
    with live(tmp_path) as hub:
        done = run(tmp_path, environment, sys.executable, "-c", SHOW)
        assert json.loads(done.stdout)["HF_ENDPOINT"] == hub.url
        unknown = run(tmp_path, environment, "true", options=("--user", "bob:hf_bob:read"))
        assert unknown.returncode == 1 and "does not know the user bob" in unknown.stderr
        assert "hf_bob" not in unknown.stderr
        with pytest.raises(RuntimeError), live(tmp_path):
            pass
        # Somebody else answers where a record points to: not the server it speaks of.
        other = tmp_path / "other"
        other.mkdir()
        write_record(other, Record(hub.url, "another identity", os.getpid()))
        assert find_live(other) is None
    write_record(tmp_path, Record("http://127.0.0.1:9", "gone", 1))
    ask = "import os, urllib.request as u; print(u.urlopen(u.Request(os.environ['HF_ENDPOINT'] + '/api/whoami-v2', "
    ask += "headers={'Authorization': 'Bearer hf_bob'})).read().decode())"
    fresh = run(tmp_path, environment, sys.executable, "-c", ask, options=("--user", "bob:hf_bob:read:lab,team"))
    assert fresh.returncode == 0, fresh.stderr
    who = json.loads(fresh.stdout)
    assert who["name"] == "bob" and who["auth"]["accessToken"]["role"] == "read"
    assert [org["name"] for org in who["orgs"]] == ["lab", "team", "tiny"]


def test_serve_stays_until_it_is_told_to_go(tmp_path: Path, environment: dict[str, str]):
    line = [*HUB, "serve", "--no_seeds", "--dir", str(tmp_path)]
    with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) as process:
        record = wait_until_live(tmp_path, process)
        assert record is not None and httpx2.get(record.url).status_code == 200
        again = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert again.returncode == 1 and record.url in again.stderr
        assert run(tmp_path, environment, "true").returncode == 0
        assert find_live(tmp_path), "a `run` that joined does not end it"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert record.url in process.stderr.read()
    assert not (tmp_path / "server.json").exists()


def test_users_as_they_are_written():
    user = parse_user("bob:hf_x:read:lab,team")
    assert (user.name, user.token, user.role, user.organisations) == ("bob", "hf_x", "read", ("lab", "team"))
    assert parse_user("bob:t").role == "write" and parse_user("bob:t:lab").organisations == ("lab",)
    assert "hf_x" not in repr(user)
    for bad in ("bob", "bob:", ":t", "bob:t:read:lab:more", "a/b:t", "tiny:t", "bob:t:tiny", "bob:a b"):
        with pytest.raises(ValueError):
            parse_user(bad)


def test_a_missing_extra_is_named(monkeypatch, capsys) -> None:
    from tamis.localhub import __main__ as command_line

    found = command_line.importlib.util.find_spec
    monkeypatch.setattr(command_line.importlib.util, "find_spec", lambda name: None if name == "nh3" else found(name))
    assert command_line.main(["run", "--", "true"]) == 1
    assert "nh3 is not installed: pip install 'tamis[localhub]'" in capsys.readouterr().err
