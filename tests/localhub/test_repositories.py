"""Repositories and commits through an unmodified huggingface_hub."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from asking import read, status_of
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, HfFileSystem
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from tamis.localhub import LiveHub


def test_create_twice(api: HfApi):
    created = api.create_repo("me/twice", repo_type="dataset", private=True)
    assert created.repo_id == "me/twice" and created.repo_type == "dataset"
    assert api.create_repo("me/twice", repo_type="dataset", exist_ok=True) == created
    assert status_of(api.create_repo, "me/twice", repo_type="dataset") == 409
    assert api.create_repo("me/twice").repo_type == "model", "a model may have a dataset's name"
    assert api.dataset_info("me/twice").private is True


def test_push_and_read_back(api: HfApi, repo: str, tmp_path):
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/ünï cödé #1?.txt").write_text("hello")
    (tmp_path / "weights.safetensors").write_bytes(weights := os.urandom(300_000))
    (tmp_path / "empty.bin").touch()
    info = api.upload_folder(repo_id=repo, folder_path=tmp_path, commit_message="first")
    assert len(info.oid) == 40
    assert api.list_repo_files(repo) == [
        ".gitattributes",
        "deep/er/ünï cödé #1?.txt",
        "empty.bin",
        "weights.safetensors",
    ]
    for name, content in (("deep/er/ünï cödé #1?.txt", b"hello"), ("weights.safetensors", weights)):
        path = api.hf_hub_download(repo, name, cache_dir=tmp_path / "cache")
        assert Path(path).read_bytes() == content
    found = {item.path: item for item in api.list_repo_tree(repo, recursive=True, expand=True)}
    assert found["weights.safetensors"].lfs.sha256 == hashlib.sha256(weights).hexdigest()
    assert found["weights.safetensors"].last_commit.oid == info.oid
    assert found["empty.bin"].lfs is None and found["deep"].last_commit.title == "first"
    assert {item.path for item in api.list_repo_tree(repo, "deep")} == {"deep/er"}
    asked = api.get_paths_info(repo, ["deep", "empty.bin", "nothing.txt"])
    assert [item.path for item in asked] == ["deep", "empty.bin"]
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(repo, "no/folder"))
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(repo, "no.txt", cache_dir=tmp_path / "cache")


def test_snapshots_and_the_file_system_of_fsspec(api: HfApi, repo: str, tmp_path: Path):
    content = os.urandom(200_000)
    api.create_commit(
        repo, [CommitOperationAdd("a/b.txt", b"text"), CommitOperationAdd("a/w.bin", content)], commit_message="add"
    )
    api.create_branch(repo, branch="x/y")
    folder = Path(api.snapshot_download(repo, revision="x/y", cache_dir=tmp_path, allow_patterns="a/*"))
    assert (folder / "a/w.bin").read_bytes() == content and folder.name == api.model_info(repo).sha
    files = HfFileSystem(endpoint=api.endpoint, token=api.token)
    assert files.ls(f"{repo}/a", detail=False) == [f"{repo}/a/b.txt", f"{repo}/a/w.bin"]
    assert files.glob(f"{repo}@x%2Fy/**/*.txt") == [f"{repo}@x%2Fy/a/b.txt"]
    with files.open(f"{repo}/a/w.bin", block_size=65536) as file:
        file.seek(150_000)
        assert file.read(10) == content[150_000:150_010]
    with files.open(f"{repo}/new.txt", "w") as file:
        file.write("written")
    assert read(api, repo, "new.txt") == b"written"
    api.auth_check(repo)
    with pytest.raises(RepositoryNotFoundError):
        api.auth_check("me/nothing")


def test_unchanged_files_make_no_commit(api: HfApi, own_hub: LiveHub, repo: str):
    weights = os.urandom(100_000)
    first = api.upload_file(path_or_fileobj=weights, path_in_repo="a.safetensors", repo_id=repo)
    own_hub.requests.clear()
    again = api.upload_file(path_or_fileobj=weights, path_in_repo="a.safetensors", repo_id=repo)
    assert again.oid == first.oid
    api.upload_file(path_or_fileobj=weights, path_in_repo="copy.safetensors", repo_id=repo)
    assert not [one for one in own_hub.requests if one.method == "PUT"], "the content is there already"
    assert read(api, repo, "copy.safetensors") == weights
    # Sent all the same, by a client that does not look: nothing changes and nothing is committed.
    sha = api.model_info(repo).sha
    line = '{"key": "header", "value": {"summary": "again"}}\n{"key": "lfsFile", "value": {"path": "a.safetensors", '
    line += f'"algo": "sha256", "oid": "{hashlib.sha256(weights).hexdigest()}"}}}}'
    answer = httpx2.post(
        f"{api.endpoint}/api/models/{repo}/commit/main", content=line, headers={"Authorization": f"Bearer {api.token}"}
    )
    assert answer.json()["commitOid"] == sha == api.model_info(repo).sha


def test_gitignore_leaves_files_out(api: HfApi, repo: str, tmp_path: Path):
    names = ("a.txt", "keep.log", "b.log", "deep/c.log", "cache/x.bin", "deep/cache/y.txt", "only/top", "deep/only/top")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".gitignore").write_text("# rules\n*.log\n!keep.log\ncache/\n/only/top\n")
    api.upload_folder(repo_id=repo, folder_path=tmp_path)
    kept = {".gitattributes", ".gitignore", "a.txt", "keep.log", "deep/only/top"}
    assert set(api.list_repo_files(repo)) == kept
    api.upload_file(path_or_fileobj=b"x", path_in_repo="later.log", repo_id=repo)
    assert set(api.list_repo_files(repo)) == kept, "the one on the Hub counts as well"


def test_delete_copy_and_replace(api: HfApi, repo: str):
    big = os.urandom(50_000)
    operations = [CommitOperationAdd(f"old/{number}.txt", f"{number}".encode()) for number in range(3)]
    api.create_commit(repo, [*operations, CommitOperationAdd("w.bin", big)], commit_message="add")
    api.create_commit(
        repo,
        [
            CommitOperationDelete("old/"),
            CommitOperationCopy("w.bin", "copies/w.bin"),
            CommitOperationAdd("old", b"a file where a folder was"),
        ],
        commit_message="change",
    )
    assert api.list_repo_files(repo) == [".gitattributes", "copies/w.bin", "old", "w.bin"]
    assert read(api, repo, "copies/w.bin") == big
    with pytest.raises(EntryNotFoundError):
        api.delete_file("nothing.txt", repo)
    assert status_of(api.upload_file, path_or_fileobj=b"x", path_in_repo="w.bin/inside.txt", repo_id=repo) == 400


def test_branches_tags_and_history(api: HfApi, repo: str):
    first = api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo).oid
    api.create_branch(repo, branch="try/one/two")
    assert status_of(api.create_branch, repo, branch="try/one/two") == 409
    api.create_branch(repo, branch="try/one/two", exist_ok=True)
    second = api.upload_file(path_or_fileobj=b"2", path_in_repo="a.txt", repo_id=repo, revision="try/one/two").oid
    assert (read(api, repo, "a.txt"), read(api, repo, "a.txt", "try/one/two")) == (b"1", b"2")
    assert api.list_repo_files(repo, revision="try/one/two") == [".gitattributes", "a.txt"]
    api.create_tag(repo, tag="v1.0", revision="try/one/two")
    api.create_tag(repo, tag="release/2", tag_message="two")
    assert status_of(api.create_tag, repo, tag="v1.0") == 409
    refs = api.list_repo_refs(repo)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": first, "try/one/two": second}
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"v1.0": second, "release/2": first}
    for revision in ("v1.0", second, second[:8], "refs/heads/try/one/two"):
        assert api.model_info(repo, revision=revision).sha == second
    assert [commit.title for commit in api.list_repo_commits(repo, revision="try/one/two")][-1] == "initial commit"
    api.delete_tag(repo, tag="v1.0")
    api.delete_branch(repo, branch="try/one/two")
    for revision in ("v1.0", "try/one/two", "0" * 40):
        with pytest.raises(RevisionNotFoundError):
            api.model_info(repo, revision=revision)
    assert status_of(api.delete_branch, repo, branch="main") == 403
    for bad in ("a..b", "-x", "a b", "refs/heads/x", "x.lock", "/x", "a" * 300):
        assert status_of(api.create_branch, repo, branch=bad) == 400


def test_squash_keeps_the_files(api: HfApi, repo: str):
    for number in range(3):
        api.upload_file(path_or_fileobj=bytes([number]), path_in_repo=f"{number}.txt", repo_id=repo)
    api.super_squash_history(repo, commit_message="all of it")
    assert [commit.title for commit in api.list_repo_commits(repo)] == ["all of it"]
    assert api.list_repo_files(repo) == [".gitattributes", "0.txt", "1.txt", "2.txt"]


def test_long_listings_come_in_pages(api: HfApi, own_hub: LiveHub, repo: str):
    names = [f"data/{number:04d}.txt" for number in range(1205)]
    api.create_commit(repo, [CommitOperationAdd(name, b"x") for name in names], commit_message="many")
    assert [item.path for item in api.list_repo_tree(repo, "data")] == names
    own_hub.requests.clear()
    assert len(list(api.list_repo_tree(repo, "data", expand=True))) == len(names)
    assert len(own_hub.requests) == 13
    for number in range(55):
        api.upload_file(path_or_fileobj=b"%d" % number, path_in_repo="n.txt", repo_id=repo)
    assert len(api.list_repo_commits(repo)) == 57


def test_stale_parent_is_refused(api: HfApi, repo: str):
    parent = api.model_info(repo).sha
    add = [CommitOperationAdd("a.txt", b"1")]
    api.create_commit(repo, add, commit_message="first", parent_commit=parent)
    add = [CommitOperationAdd("b.txt", b"2")]
    assert status_of(api.create_commit, repo, add, commit_message="second", parent_commit=parent) == 412
    assert "b.txt" not in api.list_repo_files(repo)


@pytest.mark.parametrize("careful", [False, True], ids=["blind", "with-parent"])
def test_concurrent_commits(api: HfApi, repo: str, careful: bool):
    """Every push that was acknowledged is there; with a parent commit a push either lands or is told 412."""

    def push(number: int) -> bool:
        while True:
            parent = api.model_info(repo).sha if careful else None
            operations = [CommitOperationAdd(f"{number}.bin", bytes([0, number]) * 50)]
            try:
                api.create_commit(repo, operations, commit_message=f"push {number}", parent_commit=parent)
                return True
            except HfHubHTTPError as error:
                assert careful and error.response.status_code == 412

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(push, range(12)))
    titles = [commit.title for commit in api.list_repo_commits(repo)]
    assert sorted(titles) == sorted(["initial commit", *(f"push {number}" for number in range(12))])
    for number in range(12):
        assert read(api, repo, f"{number}.bin") == bytes([0, number]) * 50


def test_listing_repositories(api: HfApi):
    for number in range(5):
        api.create_repo(f"me/listed-{number}", repo_type="dataset")
    card = "---\ntags: [tamis]\nlicense: mit\nlanguage: fr\n---\n# Two\n"
    api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id="me/listed-2", repo_type="dataset")
    assert {one.id for one in api.list_datasets(search="LISTED", author="me")} == {f"me/listed-{n}" for n in range(5)}
    assert [one.id for one in api.list_datasets(filter=["tamis", "license:mit"], search="listed")] == ["me/listed-2"]
    assert [one.id for one in api.list_datasets(search="listed", limit=2)][0] == "me/listed-2", "the newest comes first"
    answer = httpx2.get(f"{api.endpoint}/api/datasets", params={"search": "listed", "limit": 2})
    second = httpx2.get(answer.links["next"]["url"])
    assert len(answer.json()) == len(second.json()) == 2
    assert {one["id"] for one in answer.json()}.isdisjoint(one["id"] for one in second.json())


CARD = """---
license: apache-2.0
library_name: peft
pipeline_tag: text-to-image
base_model: tiny/sd
model-index:
- name: lora
  results:
  - task: {type: text-to-image}
    dataset: {name: scenes, type: me/scenes}
    metrics: [{type: quiz_accuracy, value: 0.5}]
---
# A card
"""


def test_what_a_card_says(api: HfApi, repo: str):
    eval_result = "- dataset: {id: me/scenes, task_id: default}\n  value: 0.25\n  date: 2026-11-02\n"
    api.create_commit(
        repo,
        [
            CommitOperationAdd("README.md", CARD.encode()),
            CommitOperationAdd(".eval_results/one.yaml", eval_result.encode()),
            CommitOperationAdd(".eval_results/bad.yaml", b"- {]"),
        ],
        commit_message="card",
    )
    info = api.model_info(repo, files_metadata=True)
    assert (info.library_name, info.pipeline_tag, info.card_data.license) == ("peft", "text-to-image", "apache-2.0")
    assert "base_model:tiny/sd" in info.tags and info.card_data.eval_results[0].metric_value == 0.5
    assert {sibling.rfilename: sibling.size for sibling in info.siblings}["README.md"] == len(CARD)
    only = api.model_info(repo, expand=["evalResults", "cardData"])
    assert [one.value for one in only.eval_results] == [0.25] and only.siblings is None
    for bad in (
        b"---\na: [\n---\n",
        b"---\n- just a list\n---\n",
        b"---\na: \x00\n---\n",
        b"---\na: !!bool x\n---\n",
        b"---\n" + b"[" * 5000 + b"\n---\n",
        b"---\na: &a [*a]\n---\n",
    ):
        answer = httpx2.post(f"{api.endpoint}/api/models/{repo}/commit/main", headers=_bearer(api), json=None,
                             content=_commit_of("README.md", bad))  # fmt: skip
        assert answer.status_code == 200, "what was validated by a client is not refused twice"
        assert api.model_info(repo).card_data is None or not api.model_info(repo).card_data.to_dict()
    with pytest.raises(ValueError, match="Invalid metadata"):
        api.upload_file(path_or_fileobj=b"---\na: [\n---\n", path_in_repo="README.md", repo_id=repo)


def _bearer(api: HfApi) -> dict[str, str]:
    return {"Authorization": f"Bearer {api.token}"}


def _commit_of(path: str, content: bytes) -> str:
    import base64
    import json

    value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
    return "\n".join(map(json.dumps, [{"key": "header", "value": {"summary": "x"}}, {"key": "file", "value": value}]))
