"""What is left on disk by whoever dies in the middle, and in which order things get there."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

from tamis.localhub.auth import load_credentials
from tamis.localhub.changes import DeleteFile, DeleteFolder, Put
from tamis.localhub.commits import FileEntry
from tamis.localhub.errors import HubError
from tamis.localhub.names import RepoName
from tamis.localhub.objects import git_oid
from tamis.localhub.record import wait_until_live
from tamis.localhub.repo import Repo
from tamis.localhub.store import Store

NAME = RepoName("dataset", "me", "rows")


def put(repo: Repo, path: str, content: bytes) -> Put:
    return Put(path, FileEntry(repo.objects.add(content), len(content)))


def push(repo: Repo, number: int) -> None:
    changes = [put(repo, f"{side}.txt", b"%d" % number) for side in ("left", "right")]
    repo.add_commit("main", changes, author="me", title=str(number))


def check_whole(repo: Repo) -> list[str]:
    """Every commit from the head back holds all its contents, unharmed; the titles, newest first."""
    titles = []
    for commit in repo.history(repo.resolve("main")):
        titles.append(commit.title)
        contents = {}
        for path, entry in commit.files.items():
            contents[path] = repo.objects.read(entry.object)
            if entry.is_lfs:
                assert hashlib.sha256(contents[path]).hexdigest() == entry.object
            else:
                assert git_oid(contents[path]) == entry.object
        assert contents.get("left.txt") == contents.get("right.txt"), "half of a commit is visible"
    return titles


def die_at(step: int, work) -> bool:
    """Forks, runs `work`, ends the child at its n-th fsync or rename as a kill would; tells whether it got there."""
    child = os.fork()
    if child == 0:
        left = step
        code = 1
        try:

            def dying(call):
                def wrapped(*arguments, **keywords):
                    nonlocal left
                    left -= 1
                    if left <= 0:
                        os._exit(9)
                    return call(*arguments, **keywords)

                return wrapped

            os.fsync, os.replace, os.rename = dying(os.fsync), dying(os.replace), dying(os.rename)
            work()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


def test_dying_at_every_step_of_a_commit(tmp_path: Path):
    store = Store(tmp_path)
    repo = store.create(NAME, author="me")
    push(repo, 1)
    landed, step, number = ["1", "initial commit"], 0, 1
    while True:
        step, number = step + 1, number + 1
        died = die_at(step, lambda number=number: push(repo, number))
        titles = check_whole(store.repo(NAME))
        assert titles in (landed, [str(number), *landed]), f"died at step {step}"
        landed = titles
        if not died:
            break
    assert step > 6 and landed[0] == str(number)
    push(repo, 0)
    assert check_whole(repo)[0] == "0"


def test_dying_while_creating_moving_or_deleting(tmp_path: Path):
    store = Store(tmp_path)
    other = RepoName("dataset", "me", "moved")
    works = [
        (lambda: store.create(NAME, author="me"), []),
        (lambda: store.move(NAME, other), [NAME]),
        (lambda: store.delete(NAME), [NAME]),
    ]
    for work, before in works:
        for step in range(1, 30):
            for name in (NAME, other):
                if store.find(name):
                    store.delete(name)
            for name in before:
                store.create(name, author="me")
            died = die_at(step, work)
            found = [repo.name for repo in store.repos("dataset")]
            assert len(found) <= 1
            for name in found:
                assert check_whole(store.repo(name)) == ["initial commit"]
            if before and died and work is works[1][0]:
                assert found, "a move loses nothing"
            if not died:
                break
        else:
            raise AssertionError("never got to its end")


def test_all_that_a_commit_names_is_on_disk_before_the_commit_is_visible(tmp_path: Path, monkeypatch):
    repo = Store(tmp_path).create(NAME, author="me")
    steps: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(descriptor: int) -> None:
        steps.append(("sync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        fsync(descriptor)

    def noting_replace(source: str, target: str) -> None:
        steps.append(("rename", f"{source} {target}"))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    push(repo, 1)
    renames = [number for number, (kind, _) in enumerate(steps) if kind == "rename"]
    for number in renames:
        source, target = steps[number][1].split()
        assert ("sync", source) in steps[:number], f"renamed before its bytes were on disk: {target}"
        assert ("sync", str(Path(target).parent)) in steps[number:], f"its name may be lost: {target}"
    last = renames[-1]
    assert steps[last][1].endswith("/refs/heads/main")
    for part in ("objects", "commits"):
        folder = str(repo.folder / part)
        named = [number for number in renames if steps[number][1].split()[1].startswith(folder)]
        assert named and ("sync", folder) in steps[named[-1] : last]


def test_random_changes_match_a_dictionary(tmp_path: Path):
    """A thousand random operations against the plainest model of a repository there is."""
    repo = Store(tmp_path).create(NAME, author="me")
    chance, expected = random.Random(0), {}
    states = {}
    for number in range(150):
        changes, after = [], dict(expected)
        for _ in range(chance.randrange(1, 8)):
            path = "/".join(chance.choices("abc", k=chance.randrange(1, 4)))
            kind = chance.choice(["put", "put", "put", "delete", "folder"])
            inside = [name for name in after if name.startswith(path + "/")]
            if kind == "put" and not inside and not any(path.startswith(name + "/") for name in after):
                content = b"%d" % chance.randrange(20)
                changes.append(put(repo, path, content))
                after[path] = content
            elif kind == "delete" and path in after:
                changes.append(DeleteFile(path))
                del after[path]
            elif kind == "folder" and inside:
                changes.append(DeleteFolder(path))
                for name in inside:
                    del after[name]
        before = repo.resolve("main")
        commit = repo.add_commit("main", changes, author="me", title=str(number))
        assert (commit == before) == (after == expected)
        expected = after
        states[commit.oid] = expected
    for oid, state in states.items():
        commit = repo.commit(oid)
        assert {path: repo.read(commit, path) for path in commit.files if path != ".gitattributes"} == state


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch):
    repo = Store(tmp_path).create(NAME, author="me")
    before = set(repo.objects.folder.iterdir())
    monkeypatch.setattr(repo.objects, "free_bytes", lambda: 10)
    with pytest.raises(HubError) as caught:
        repo.objects.incoming("0" * 64, 11)
    assert caught.value.status == 507 and "No space left" in caught.value.message
    incoming = repo.objects.incoming("0" * 64, 5)
    with pytest.raises(HubError), incoming:
        incoming.write(b"12345")
        incoming.keep()
    assert set(repo.objects.folder.iterdir()) == before


def test_what_killed_processes_left_is_removed_once_it_is_old(tmp_path: Path):
    store = Store(tmp_path)
    repo = store.create(NAME, author="me")
    old, young = repo.objects.folder / ".old.tmp", repo.objects.folder / ".young.tmp"
    draft = store.folder / "tmp/draft"
    draft.mkdir()
    for path in (old, young, draft / "file"):
        path.write_bytes(b"half")
    for path in (old, draft):
        os.utime(path, (0, 0))
    store.remove_abandoned()
    assert young.exists() and not old.exists() and not draft.exists()
    assert check_whole(repo) == ["initial commit"]


def start_server(folder: Path, environment: dict[str, str]) -> tuple[subprocess.Popen, str]:
    command = [sys.executable, "-m", "tamis.localhub", "serve", "--dir", str(folder), "--no_seeds", "--port", "0"]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    record = wait_until_live(folder, process)
    assert record is not None
    return process, record.url


def push_over_http(client: httpx2.Client, title: str, thread: int) -> None:
    """One push of small files and a large one, without the retries of huggingface_hub: they outlive a killed server."""

    def post(path: str, **body: object) -> httpx2.Response:
        answer = client.post(path, **body)
        answer.raise_for_status()
        return answer

    text, large = title.encode() * 50, b"\x00" + title.encode() * 5000
    oid = hashlib.sha256(large).hexdigest()
    batch = {"operation": "upload", "objects": [{"oid": oid, "size": len(large)}]}
    answer = post("/datasets/me/rows.git/info/lfs/objects/batch", json=batch).json()
    client.put(answer["objects"][0]["actions"]["upload"]["href"], content=large).raise_for_status()
    records = [{"key": "header", "value": {"summary": title}}]
    for side in ("left", "right"):
        value = {"path": f"{side}.txt", "content": base64.b64encode(text).decode(), "encoding": "base64"}
        records.append({"key": "file", "value": value})
    records.append({"key": "lfsFile", "value": {"path": f"{thread}.bin", "oid": oid}})
    post("/api/datasets/me/rows/commit/main", content="\n".join(map(json.dumps, records)))


def test_killed_servers_keep_what_they_acknowledged(tmp_path: Path, python_path: dict[str, str]):
    """kill -9 in the middle of pushes from four threads, three times over one folder."""
    acknowledged: set[str] = set()
    chance = random.Random(1)
    for life in range(3):
        process, url = start_server(tmp_path, python_path)
        headers = {"Authorization": f"Bearer {load_credentials(tmp_path).token}"}
        body = {"name": "rows", "type": "dataset"}
        assert httpx2.post(f"{url}/api/repos/create", json=body, headers=headers).status_code in (200, 409)
        landed: list[str] = []

        def push_until_refused(
            thread: int, url: str = url, headers: dict = headers, life: int = life, landed: list[str] = landed
        ) -> None:
            with httpx2.Client(base_url=url, headers=headers) as client:
                for number in range(1000):
                    title = f"{life}-{thread}-{number}"
                    try:
                        push_over_http(client, title, thread)
                    except httpx2.TransportError:
                        return
                    landed.append(title)

        threads = [threading.Thread(target=push_until_refused, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5 + chance.random() / 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for thread in threads:
            thread.join()
        acknowledged |= set(landed)
        titles = check_whole(Store(tmp_path).repo(NAME))
        assert acknowledged <= set(titles), "an acknowledged push is lost"
    assert len(acknowledged) > 10
