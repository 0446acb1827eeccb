"""`run`: a command with its environment pointed at the Hub, which is started for it or joined."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tamis.localhub.auth import DEFAULT_USER, User, load_credentials
from tamis.localhub.environment import child_environment, fresh_cache
from tamis.localhub.record import Record, find_live, runs_lock, user_at, wait_until_live

_LARGEST_LOG = 1 << 20


class CannotRun(RuntimeError):
    """Said to the user as it is."""


def start_server(folder: Path, users: Sequence[User]) -> subprocess.Popen:
    """Starts a server in a process of its own, which ends with the last `run` that shares the folder.

    It is in another session: Ctrl-C is for the command, and the server outlives this `run` while others use it.
    """
    log_path = folder / "server.log"
    mode = "ab" if log_path.exists() and log_path.stat().st_size < _LARGEST_LOG else "wb"
    with log_path.open(mode) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tamis.localhub", "serve", "--dir", str(folder), "--until_unused"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # Through a pipe: arguments and environments of a process can be read by others.
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(json.dumps([vars(user) for user in users]).encode())
    return process


def read_users(text: str) -> list[User]:
    return [User(**{**user, "organisations": tuple(user["organisations"])}) for user in json.loads(text)]


@contextmanager
def joined(folder: Path, users: Sequence[User]) -> Iterator[Record]:
    """A live server over the folder that knows `users`; it stays at least as long as the block."""
    lock = runs_lock(folder)
    lock.share()
    try:
        record = find_live(folder)
        if record is None:
            process = start_server(folder, users)
            record = wait_until_live(folder, process)
        if record is None:
            raise CannotRun(f"The embedded Hub did not start; see {folder / 'server.log'}")
        for user in users:
            if user_at(record.url, user.token) != user.name:
                raise CannotRun(f"A Hub is live at {record.url} and does not know the user {user.name}: stop it first")
        yield record
    finally:
        lock.release()


def run(folder: Path, users: Sequence[User], command: Sequence[str]) -> int:
    """Runs a command against the Hub: its exit code, or 128 + the signal that ended it."""
    with joined(folder, users) as record, fresh_cache(folder) as home:
        token = load_credentials(folder).token
        if user_at(record.url, token) != DEFAULT_USER:
            raise CannotRun(f"The Hub at {record.url} does not know this folder's token: stop it first")
        environment = child_environment(os.environ, record.url, token, home)
        try:
            child = subprocess.Popen(command, env=environment)
        except FileNotFoundError:
            print(f"localhub: no such command: {command[0]}", file=sys.stderr)
            return 127
        except PermissionError:
            print(f"localhub: {command[0]} cannot be executed", file=sys.stderr)
            return 126
        with forwarded_signals(child):
            code = child.wait()
    return 128 - code if code < 0 else code


@contextmanager
def forwarded_signals(child: subprocess.Popen) -> Iterator[None]:
    """Passes SIGINT, SIGTERM and SIGHUP on to the child and waits for what it makes of them."""

    def forward(number: int, _frame: object) -> None:
        # The terminal has sent Ctrl-C to the child already; a second one would cut its cleaning up short.
        if not (number == signal.SIGINT and _in_foreground()):
            child.send_signal(number)

    # What is ignored here (under nohup, in the background of a script) is ignored by the child too, and stays so.
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    numbers = [number for number in wanted if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
