"""Requests that no client of good will sends."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from tamis.localhub import LiveHub

OUTSIDE = ["../../credentials.json", "..%2f..%2fcredentials.json", "%2e%2e/%2e%2e/credentials.json", "/etc/passwd",
           "a%00b", "a%5C..%5Cb", ".git/config", "a//b", "./a", "a/%2E/b", "%ff", "a%0Ab"]  # fmt: skip


def ask(
    url: str, target: str, method: str = "GET", body: bytes = b"", token: str = "", host: str = ""
) -> tuple[int, bytes]:
    """Sends a target as it is: client libraries would tidy it up."""
    address = urlsplit(url)
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host or address.netloc}", "Connection: close"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    lines.append(f"Content-Length: {len(body)}")
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


def commit_body(*records: tuple[str, dict]) -> bytes:
    header = {"key": "header", "value": {"summary": "x"}}
    return "\n".join(map(json.dumps, [header, *({"key": key, "value": value} for key, value in records)])).encode()


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_address_leaves_the_repository(own_hub: LiveHub, path: str):
    api = HfApi(endpoint=own_hub.url, token=own_hub.token)
    api.create_repo("me/paths", exist_ok=True)
    for target in (f"/me/paths/resolve/main/{path}", f"/me/paths/raw/main/{path}", f"/static/{path}",
                   f"/api/models/me/paths/tree/main/{path}", f"/{path}", f"/me/{path}/resolve/main/x",
                   f"/api/models/{path}", f"/me/paths/resolve/{path}/x"):  # fmt: skip
        status, content = ask(own_hub.url, target, token=own_hub.token)
        assert status in (400, 404), target
        assert own_hub.token.encode() not in content and b"root:" not in content


def test_no_commit_names_a_path_outside(own_hub: LiveHub, api: HfApi, repo: str):
    before = {path for path in Path(own_hub.store.folder.parent).rglob("*") if "tmp" not in path.name}
    bad = ["../x", "/x", "a/../../x", "..", ".", "", "a\x00b", "a\\b", ".git/hooks/post-commit", "A/.GIT/x", "a//b",
           "x/", "a\nb", "ü" * 200, "a/" * 600 + "a"]  # fmt: skip
    for path in bad:
        content = {"path": path, "content": base64.b64encode(b"x").decode(), "encoding": "base64"}
        large = {"path": path, "oid": "0" * 64}
        for key, value in (("file", content), ("lfsFile", large), ("deletedFile", {"path": path})):
            status, _ = ask(
                own_hub.url, f"/api/models/{repo}/commit/main", "POST", commit_body((key, value)), own_hub.token
            )
            assert status in (400, 404) and (status == 400 or key == "deletedFile"), (key, path)
    assert api.list_repo_files(repo) == [".gitattributes"]
    after = {path for path in Path(own_hub.store.folder.parent).rglob("*") if "tmp" not in path.name}
    assert {path.name for path in after - before} <= {hashlib.sha1(b"blob 1\x00x").hexdigest()}


@pytest.mark.parametrize(
    "name", ["..", ".hidden", "a..b", "x.git", "a b", "a%2Fb", "%2e%2e", "-a", "a--b", "x" * 97, "a\x00"]
)
def test_no_repository_has_an_unsafe_name(own_hub: LiveHub, name: str):
    body = json.dumps({"name": name}).encode()
    assert ask(own_hub.url, "/api/repos/create", "POST", body, own_hub.token)[0] == 400
    moved = json.dumps({"fromRepo": "me/paths", "toRepo": f"me/{name}", "type": "model"}).encode()
    assert ask(own_hub.url, "/api/repos/move", "POST", moved, own_hub.token)[0] == 400


def test_malformed_requests_are_refused_and_never_a_fault_of_the_server(own_hub: LiveHub, repo: str):
    posts = {
        "/api/repos/create": [b"", b"[]", b"{", b'{"name": 3}', b'{"name": "x", "type": "planet"}', b"\xff",
                              b'{"name": "x", "organization": []}', b'{"name": "x", "visibility": "x"}'],
        f"/api/models/{repo}/preupload/main": [b"{}", b'{"files": [3]}', b'{"files": [{"path": "a", "size": "1"}]}',
                                               b'{"files": [{"path": "../a", "size": 1}]}'],
        f"/api/models/{repo}/commit/main": [b"", b"{}", b'{"key": "header", "value": {}}', b"not json",
                                            commit_body(("?", {})),
                                            commit_body(("file", {"path": "a", "content": "%", "encoding": "base64"})),
                                            commit_body(("lfsFile", {"path": "a", "oid": "0" * 64})),
                                            commit_body(("lfsFile", {"path": "a", "oid": "../../x"}))],
        f"/{repo}.git/info/lfs/objects/batch": [b'{"operation": "upload", "objects": [{"oid": "../x", "size": 1}]}',
                                                b'{"operation": "upload", "objects": [{"oid": "0", "size": -1}]}',
                                                b'{"operation": "download", "objects": []}'],
        f"/api/models/{repo}/discussions": [b"{}", b'{"title": 1}'],
        f"/api/models/{repo}/tag/main": [b"{}", b'{"tag": "../../x"}', b'{"tag": "a b"}'],
    }  # fmt: skip
    for target, bodies in posts.items():
        for body in bodies:
            assert ask(own_hub.url, target, "POST", body, own_hub.token)[0] == 400, (target, body)
    for target in (f"/{repo}/commits/main?page=-1", f"/{repo}/commits/main?page=²", "/api/models?limit=x"):
        assert ask(own_hub.url, target.replace("²", "%C2%B2"))[0] == 400
    assert ask(own_hub.url, f"/api/models/{repo}/discussions/99")[0] == 404
    assert ask(own_hub.url, "/api/models", "DELETE")[0] == 405


def test_other_host_names_are_refused(own_hub: LiveHub):
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "datasets-server.127.0.0.1"):
        assert ask(own_hub.url, "/", host=host)[0] == 400
    assert ask(own_hub.url, "/", host="localhost:1234")[0] == 200


def test_upload_links_are_signed_checked_and_kept_to_their_bytes(own_hub: LiveHub, api: HfApi, repo: str):
    content = b"the bytes" * 1000
    oid = hashlib.sha256(content).hexdigest()
    batch = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": len(content)}]}
    headers = {"Authorization": f"Bearer {own_hub.token}"}
    answer = httpx2.post(f"{own_hub.url}/{repo}.git/info/lfs/objects/batch", json=batch, headers=headers).json()
    href = answer["objects"][0]["actions"]["upload"]["href"]
    objects = own_hub.store.folder / "repos/model" / repo / "objects"
    before = set(objects.iterdir())
    assert httpx2.put(href.replace(oid, "0" * 64), content=content).status_code == 403
    assert httpx2.put(href.replace(f"/{len(content)}?", "/1?"), content=b"x").status_code == 403
    assert httpx2.put(href.replace("expires=", "expires=9"), content=content).status_code == 403
    assert httpx2.put(href[:-1] + ("0" if href[-1] != "0" else "1"), content=content).status_code == 403
    assert httpx2.put(href, content=b"X" + content[1:]).status_code == 400
    assert httpx2.put(href, content=content[:-1]).status_code == 400
    assert httpx2.put(href, content=iter([content, b"more"])).status_code == 400
    # A sender that stops half way.
    address = urlsplit(href)
    with socket.create_connection((address.hostname, address.port)) as connection:
        target = f"{address.path}?{address.query}"
        head = f"PUT {target} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content[:100])
    # The server may not even have begun to write yet: only what stays clean for a while is clean.
    deadline, clean = time.monotonic() + 10, 0
    while clean < 20 and time.monotonic() < deadline:
        clean = clean + 1 if set(objects.iterdir()) == before else 0
        time.sleep(0.02)
    assert clean == 20, "nothing half-written stays"
    assert httpx2.put(href, content=content).status_code == 200
    verify = answer["objects"][0]["actions"]["verify"]["href"]
    assert httpx2.post(verify, json={"oid": oid, "size": len(content)}, headers=headers).status_code == 200
    assert httpx2.post(verify, json={"oid": oid, "size": 1}, headers=headers).status_code == 404
    again = httpx2.post(f"{own_hub.url}/{repo}.git/info/lfs/objects/batch", json=batch, headers=headers).json()
    assert "actions" not in again["objects"][0]
    batch["objects"][0] = {"oid": "1" * 64, "size": 10**15}
    full = httpx2.post(f"{own_hub.url}/{repo}.git/info/lfs/objects/batch", json=batch, headers=headers)
    assert full.status_code == 507 and "No space left" in full.headers["X-Error-Message"]


def test_lfs_content_of_another_repository_is_not_given_away(own_hub: LiveHub, api: HfApi, as_user):
    """Knowing the hash of a private file is not having it."""
    secret = b"\x00secret" * 100
    api.create_repo("me/secret", private=True)
    api.upload_file(path_or_fileobj=secret, path_in_repo="s.bin", repo_id="me/secret")
    as_user("other").create_repo("other/thief")
    body = commit_body(("lfsFile", {"path": "s.bin", "oid": hashlib.sha256(secret).hexdigest(), "size": len(secret)}))
    assert ask(own_hub.url, "/api/models/other/thief/commit/main", "POST", body, "hf_other")[0] == 400


def test_ranges_and_conditions(own_hub: LiveHub, api: HfApi, repo: str):
    content = bytes(range(256)) * 40
    commit = api.create_commit(repo, [CommitOperationAdd("a.bin", content)], commit_message="add").oid
    url = f"{own_hub.url}/{repo}/resolve/main/a.bin"
    head = httpx2.head(url)
    assert head.headers["X-Repo-Commit"] == commit and head.headers["Content-Length"] == str(len(content))
    assert head.headers["X-Linked-Size"] == str(len(content)) and not head.content
    etag = head.headers["ETag"]
    assert etag == f'"{hashlib.sha256(content).hexdigest()}"' == head.headers["X-Linked-Etag"]
    part = httpx2.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, content[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(content)}"
    assert httpx2.get(url, headers={"Range": "bytes=-10"}).content == content[-10:]
    assert httpx2.get(url, headers={"Range": f"bytes={len(content)}-"}).status_code == 416
    assert httpx2.get(url, headers={"If-None-Match": etag}).status_code == 304
    missing = httpx2.head(f"{own_hub.url}/{repo}/resolve/main/none.bin")
    assert (missing.status_code, missing.headers["X-Error-Code"]) == (404, "EntryNotFound")
    assert missing.headers["X-Repo-Commit"] == commit
