"""Repositories that come with the Hub, and faults that tests of other code arm."""

from __future__ import annotations

import socket
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from tamis.localhub import LiveHub, Store, live, seed
from tamis.localhub.names import RepoName


@dataclass
class FakeSeed:
    repo_id: str
    repo_type: str
    key: str
    files: dict[str, bytes]
    built: list[str] = field(default_factory=list)

    def build(self, folder: Path) -> None:
        assert not list(folder.iterdir())
        self.built.append(self.key)
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def test_seeds_are_built_once_and_again_when_their_key_changes(tmp_path: Path):
    store = Store(tmp_path)
    many = [FakeSeed(f"tiny/number-{n}", "model", "1", {"config.json": b"{}"}) for n in range(30)]
    scenes = FakeSeed("tiny/scenes", "dataset", "1", {"data/a.parquet": b"PAR1" * 2000, "README.md": b"# Scenes"})
    assert len(seed(store, [scenes, *many])) == 31
    started = time.perf_counter()
    assert seed(Store(tmp_path), [scenes, *many]) == []
    assert time.perf_counter() - started < 0.5 and scenes.built == ["1"]
    repo = store.repo(RepoName("dataset", "tiny", "scenes"))
    first = repo.resolve("main")
    assert set(first.files) == {".gitattributes", "README.md", "data/a.parquet"} and first.author == "tiny"
    assert first.files["data/a.parquet"].is_lfs
    scenes.key, scenes.files = "2", {"data/b.parquet": b"PAR1", "README.md": b"# Scenes"}
    assert seed(store, [scenes]) == ["tiny/scenes"]
    second = repo.resolve("main")
    assert set(second.files) == {".gitattributes", "README.md", "data/b.parquet"} and second.parent == first.oid
    assert second.files["README.md"].commit == first.oid


def test_a_seed_that_cannot_be_built_leaves_the_old_one(tmp_path: Path):
    store = Store(tmp_path)
    good = FakeSeed("tiny/scenes", "dataset", "1", {"a.txt": b"1"})
    seed(store, [good])
    broken = FakeSeed("tiny/scenes", "dataset", "2", {"../../outside": b""})
    broken.build = lambda folder: (folder / "a.txt").write_bytes(b"2") and None or 1 / 0  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        seed(store, [broken])
    repo = store.repo(RepoName("dataset", "tiny", "scenes"))
    assert repo.read(repo.resolve("main"), "a.txt") == b"1" and not list((tmp_path / "tmp").iterdir())


def test_seeds_are_read_by_all_and_written_by_none(tmp_path: Path):
    with live(tmp_path, seeds=[FakeSeed("tiny/scenes", "dataset", "1", {"a.txt": b"1"})]) as hub:
        anonymous = HfApi(endpoint=hub.url, token=False)
        assert anonymous.list_repo_files("tiny/scenes", repo_type="dataset") == [".gitattributes", "a.txt"]
        api = HfApi(endpoint=hub.url, token=hub.token)
        with pytest.raises(HfHubHTTPError, match="read-only"):
            api.upload_file(path_or_fileobj=b"", path_in_repo="b", repo_id="tiny/scenes", repo_type="dataset")
        with pytest.raises(HfHubHTTPError, match="read-only"):
            api.delete_repo("tiny/scenes", repo_type="dataset")


def test_faults_happen_as_often_as_armed(own_hub: LiveHub, api: HfApi, repo: str):
    push = {"path_in_repo": "a.txt", "repo_id": repo}
    own_hub.faults.fail(r"POST /api/models/.*/commit/", 429, retry_after=7)
    with pytest.raises(HfHubHTTPError) as caught:
        api.upload_file(path_or_fileobj=b"1", **push)
    assert caught.value.response.status_code == 429 and caught.value.response.headers["Retry-After"] == "7"
    own_hub.faults.drop(r"/commit/main")
    with pytest.raises(httpx2.RemoteProtocolError):
        api.upload_file(path_or_fileobj=b"2", **push)
    assert "a.txt" not in api.list_repo_files(repo) and own_hub.faults.pending == 0
    own_hub.faults.drop(r"/commit/main", after=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        api.upload_file(path_or_fileobj=b"3", **push)
    assert "a.txt" in api.list_repo_files(repo), "carried out, only the answer was lost"
    own_hub.faults.fail("GET", 503, times=2)
    for expected in (503, 503, 200):
        assert httpx2.get(f"{own_hub.url}/api/models/{repo}").status_code == expected
    own_hub.faults.fail("nothing", 500)
    own_hub.faults.clear()
    assert [one.status for one in own_hub.requests if one.path.endswith("/commit/main")].count(429) == 1


def test_a_dropped_connection_is_closed_never_reset(own_hub: LiveHub):
    own_hub.faults.drop("POST /dropped")
    where = urllib.parse.urlsplit(own_hub.url)
    body = bytes(2**20)
    with socket.create_connection((where.hostname, where.port)) as connection:
        connection.sendall(b"POST /dropped HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert connection.recv(1) == b""
