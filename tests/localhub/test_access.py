"""Who may read, write and propose, and what becomes of a proposal."""

from __future__ import annotations

import pytest
from asking import read, status_of
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from tamis.localhub import LiveHub


def test_pull_requests(api: HfApi, as_user, repo: str):
    api.upload_file(path_or_fileobj=b"one", path_in_repo="a.txt", repo_id=repo)
    other = as_user("other")
    opened = other.create_commit(
        repo,
        [CommitOperationAdd("b.bin", b"\x00two"), CommitOperationAdd("c.txt", b"three")],
        commit_message="Proposal",
        create_pr=True,
    )
    assert opened.pr_num == 1 and opened.pr_revision == "refs/pr/1" and opened.pr_url.endswith("/discussions/1")
    assert "b.bin" not in api.list_repo_files(repo)
    assert read(api, repo, "b.bin", "refs/pr/1") == b"\x00two"
    other.upload_file(path_or_fileobj=b"four", path_in_repo="d.txt", repo_id=repo, revision="refs/pr/1")
    assert status_of(as_user("reader").upload_file, path_or_fileobj=b"", path_in_repo="e", repo_id=repo,
                     revision="refs/pr/1") == 403  # fmt: skip
    assert [ref.ref for ref in api.list_repo_refs(repo, include_pull_requests=True).pull_requests] == ["refs/pr/1"]
    assert [one.title for one in api.get_repo_discussions(repo, discussion_status="open")] == ["Proposal"]
    api.comment_discussion(repo, 1, "thank you")
    api.rename_discussion(repo, 1, "A better title")
    # Meanwhile main moves on elsewhere: the merge keeps both.
    api.upload_file(path_or_fileobj=b"one, changed", path_in_repo="a.txt", repo_id=repo)
    assert status_of(other.merge_pull_request, repo, 1) == 403
    api.merge_pull_request(repo, 1)
    details = api.get_discussion_details(repo, 1)
    assert (details.status, details.title, details.author) == ("merged", "A better title", "other")
    assert details.merge_commit_oid == api.model_info(repo).sha
    assert [read(api, repo, name) for name in ("a.txt", "d.txt")] == [b"one, changed", b"four"]
    assert status_of(api.merge_pull_request, repo, 1) == 409
    assert status_of(other.upload_file, path_or_fileobj=b"", path_in_repo="e", repo_id=repo,
                     revision="refs/pr/1") == 409  # fmt: skip
    clash = other.upload_file(path_or_fileobj=b"theirs", path_in_repo="a.txt", repo_id=repo, create_pr=True)
    api.upload_file(path_or_fileobj=b"ours", path_in_repo="a.txt", repo_id=repo)
    assert api.get_discussion_details(repo, clash.pr_num).conflicting_files == ["a.txt"]
    assert status_of(api.merge_pull_request, repo, clash.pr_num) == 409
    api.change_discussion_status(repo, clash.pr_num, "closed", comment="no")
    empty = api.create_pull_request(repo, title="Later")
    assert empty.is_pull_request and empty.git_reference == "refs/pr/3"
    assert api.create_discussion(repo, title="Just words").status == "open"


def test_move_delete_and_visibility(api: HfApi, as_user, repo: str):
    api.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id=repo)
    anonymous, other = as_user(None), as_user("other")
    assert anonymous.model_info(repo).id == repo
    api.update_repo_settings(repo, private=True)
    for stranger in (anonymous, other, as_user("reader")):
        with pytest.raises(RepositoryNotFoundError) as caught:
            stranger.model_info(repo)
        assert caught.value.response.status_code == 404
        assert repo not in [model.id for model in stranger.list_models(author="me")]
        with pytest.raises(RepositoryNotFoundError):
            stranger.upload_file(path_or_fileobj=b"", path_in_repo="b", repo_id=repo, create_pr=True)
    assert repo in [model.id for model in api.list_models(author="me")]
    api.move_repo(repo, "me/moved")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info(repo)
    assert api.model_info("me/moved").private is True and read(api, "me/moved", "a.txt") == b"x"
    api.create_repo("me/taken")
    assert status_of(api.move_repo, "me/moved", "me/taken") == 409
    assert status_of(api.move_repo, "me/moved", "other/moved") == 403
    api.delete_repo("me/moved")
    api.delete_repo("me/moved", missing_ok=True)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo("me/moved")


def test_roles(api: HfApi, own_hub: LiveHub, as_user, repo: str):
    assert api.whoami()["name"] == "me" and [org["name"] for org in api.whoami()["orgs"]] == ["tiny"]
    assert as_user("member").whoami()["orgs"][0]["name"] == "lab"
    add = {"path_or_fileobj": b"x", "path_in_repo": "a.txt", "repo_id": repo}
    assert status_of(as_user("other").upload_file, **add) == 403
    assert status_of(as_user("reader").upload_file, **add) == 403
    assert status_of(as_user("reader").upload_file, **add, create_pr=True) == 403
    assert status_of(as_user("reader").create_repo, "reader/own") == 403
    assert status_of(as_user(None).upload_file, **add) == 401
    wrong = HfApi(endpoint=own_hub.url, token="hf_nobody")
    assert status_of(wrong.upload_file, **add) == status_of(wrong.model_info, repo) == status_of(wrong.whoami) == 401
    assert as_user("member").create_repo("lab/shared").repo_id == "lab/shared"
    for namespace in ("tiny", "lab", "other", "nobody"):
        assert status_of(api.create_repo, f"{namespace}/mine") == 403
    assert status_of(as_user("member").create_repo, "tiny/mine") == 403
    assert own_hub.token not in repr(own_hub.requests)
