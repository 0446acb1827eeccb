"""The pages as a browser gets them, without one: rows, sorting, thumbnails, policies."""

from __future__ import annotations

import io
import math
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import page_content
import pyarrow as pa
import pytest
from huggingface_hub import HfApi
from PIL import Image

from tamis.localhub import LiveHub, User, live
from tamis.localhub.app import create_app
from tamis.localhub.parquet_rows import ParquetRows
from tamis.localhub.splits import find_splits

VIEWER = "/datasets/me/scenes/viewer/scores/train"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with live(tmp_path_factory.mktemp("pages"), users=[User("other", "hf_other")]) as hub:
        page_content.publish(HfApi(endpoint=hub.url, token=hub.token))
        yield hub


def get(hub: LiveHub, path: str, status: int = 200) -> httpx2.Response:
    answer = httpx2.get(hub.url + path)
    assert answer.status_code == status, (path, answer.status_code)
    return answer


def row_ids(text: str) -> list[str]:
    return re.findall(r">(r\d\d)<", text)


def test_every_page_has_a_strict_policy_and_no_script(published: LiveHub):
    oid = published.store.folder.joinpath("repos/model/me/hostile/refs/heads/main").read_text()
    for path in ("/", "/?search=sce", "/me/lora", "/me/hostile", "/datasets/me/scenes", VIEWER, "/me/hostile/tree/main",
                 "/me/lora/tree/main/pictures", "/me/hostile/commits/main", f"/me/hostile/commit/{oid}",
                 "/me/hostile/discussions", "/me/hostile/discussions/1", f"/me/hostile/revision/{oid}"):  # fmt: skip
        answer = get(published, path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script" not in policy and "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "<script" not in answer.text and not re.search(r"<[^>]*\son\w+\s*=", answer.text), path
    for path in ("/me/nothing", "/datasets/me/scenes/viewer/scores/none", "/me/lora/tree/none", f"{VIEWER}?page=9"):
        assert "All repositories" in get(published, path, 404).text
    for query in ("page=x", "sort=none", "sort=image", "sort=embedding", "sort=row_id&order=up"):
        get(published, f"{VIEWER}?{query}", 400)


def test_home_lists_what_is_there(published: LiveHub):
    text = get(published, "/").text
    assert text.index("hostile") < text.index("lora") < text.index("scenes"), "the newest comes first"
    assert "The *whole* scored pool." in text and text.count("private") == 1
    assert "lora" not in get(published, "/?search=SCEN").text


def test_metrics_are_a_table(published: LiveHub):
    text = re.sub(r"\s+", " ", get(published, "/me/lora").text)
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", text)
    assert cells == ["Task", "Dataset", "Metric", "Value", "n", "low",
                     "text-to-image", "me/scenes · top-10pct · train", "quiz_accuracy", "0.8123", "120", "0.77",
                     "text-to-image", "me/scenes · top-10pct · train", "retention", "0.99", "", ""]  # fmt: skip
    links = re.findall(r'src="(/me/lora/raw/[^"]+)"', text)
    assert len(links) == 4 and all(get(published, link).headers["Content-Type"] == "image/png" for link in links)


def test_rows_are_sorted_stably_with_nulls_last(published: LiveHub):
    assert row_ids(get(published, VIEWER).text) == [f"r{n:02d}" for n in range(25)]
    assert row_ids(get(published, f"{VIEWER}?page=2").text) == [f"r{n:02d}" for n in range(50, 60)]
    numbers = [n for n in range(page_content.ROWS) if n not in (page_content.NULL_SCORE, page_content.NAN_SCORE)]
    last = [page_content.NAN_SCORE, page_content.NULL_SCORE]
    for order, sign in (("asc", 1), ("desc", -1)):
        expected = sorted(numbers, key=lambda n, sign=sign: sign * page_content.score(n)) + last
        query = f"{VIEWER}?sort=quiz_accuracy&order={order}"
        found = [one for page in range(3) for one in row_ids(get(published, f"{query}&page={page}").text)]
        assert found == [f"r{n:02d}" for n in expected], order
    text = get(published, f"{VIEWER}?sort=quiz_accuracy&order=desc").text
    assert 'aria-sort="descending"' in text and "sort=quiz_accuracy&amp;order=asc" in text
    assert "square" in text and "512 values" in text
    assert '<span class="null">null</span>' in get(published, VIEWER).text
    assert get(published, "/datasets/me/scenes/viewer", 302).headers["Location"] == VIEWER


def test_thumbnails_are_decoded_small_and_encoded_anew(published: LiveHub):
    text = get(published, VIEWER).text
    found = {
        int(re.search(r"row (\d+)", alt).group(1)): source.replace("&amp;", "&")
        for source, alt in re.findall(r'<img loading="lazy" src="([^"]+)" alt="([^"]+)"', text)
    }
    assert set(found) == set(range(25)) - {page_content.NULL_PICTURE}
    odd = (page_content.BROKEN, page_content.SVG, page_content.BOMB)
    for number, source in found.items():
        answer = get(published, source, 415 if number in odd else 200)
        if number not in odd:
            assert answer.headers["Content-Type"] == "image/png"
            assert Image.open(io.BytesIO(answer.content)).getpixel((0, 0)) == (number * 4, 80, 160)
    source = found[0]
    for old, new in (("row=0", "row=99"), ("row=0", "row=-1"), ("=image", "=caption")):
        get(published, source.replace(old, new), 400)
    get(published, source.replace("scores", "nothing"), 404)


def test_broken_parquet_files_are_named_as_such(published: LiveHub):
    api = HfApi(endpoint=published.url, token=published.token)
    api.create_repo("me/broken", repo_type="dataset")
    good = page_content.parquet(page_content.table())
    chance = random.Random(3)
    for number in range(12):
        bad = bytearray(good)
        for _ in range(200):
            bad[chance.randrange(len(good))] ^= 1 << chance.randrange(8)
        content = bytes(bad) if number else good[: len(good) // 2]
        api.upload_file(
            path_or_fileobj=content, path_in_repo=f"{number}/train.parquet", repo_id="me/broken", repo_type="dataset"
        )
    card = "\n".join(f"- config_name: c{number}\n  data_files: {number}/train.parquet" for number in range(12))
    api.upload_file(
        path_or_fileobj=f"---\nconfigs:\n{card}\n---\n".encode(),
        path_in_repo="README.md",
        repo_id="me/broken",
        repo_type="dataset",
    )
    statuses = set()
    for number in range(12):
        for query in ("", "?sort=quiz_accuracy", "?page=1"):
            answer = httpx2.get(f"{published.url}/datasets/me/broken/viewer/c{number}/train{query}")
            statuses.add(answer.status_code)
            for source in re.findall(r'src="(/datasets/[^"]+)"', answer.text):
                statuses.add(httpx2.get(published.url + source.replace("&amp;", "&")).status_code)
    api.delete_repo("me/broken", repo_type="dataset")
    assert 415 in statuses and statuses <= {200, 400, 404, 415}, statuses


def test_what_people_upload_runs_nowhere(published: LiveHub):
    for kind in ("raw", "resolve"):
        report = get(published, f"/me/hostile/{kind}/main/report.html")
        assert report.headers["Content-Type"].startswith("text/html")
        for name in ("report.html", "evil.svg", "evil.xml", "fake.png"):
            headers = get(published, f"/me/hostile/{kind}/main/{name}").headers
            policy = headers["Content-Security-Policy"]
            assert policy.startswith("sandbox; default-src 'none'") and "script" not in policy
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "svg" not in headers["Content-Type"] and "xml" not in headers["Content-Type"]


def test_private_pages_are_for_this_machine_alone(published: LiveHub):
    assert get(published, "/me/lora").status_code == 200
    for path in ("/api/models/me/lora", "/me/lora/resolve/main/README.md"):
        get(published, path, 404)
    assert create_app(published.store, host="0.0.0.0").state.hub.pages_as_default_user is False
    stranger = {"Authorization": "Bearer hf_other"}
    assert httpx2.get(f"{published.url}/me/lora", headers=stranger).status_code == 404
    assert "lora" not in httpx2.get(published.url, headers=stranger).text


def test_splits_in_all_the_forms_of_a_card(published: LiveHub):
    class Files:
        files = dict.fromkeys(["data/train-0.parquet", "data/test-0.parquet", "x.parquet", "notes.txt"])

    def found(data_files: object) -> list[tuple]:
        splits = find_splits(Files, {"configs": [{"config_name": "c", "data_files": data_files}]})
        return [(one.config, one.split, one.paths) for one in splits]

    assert found("x.parquet") == [("c", "train", ("x.parquet",))]
    assert found(["data/*", "x*"]) == [("c", "train", ("data/test-0.parquet", "data/train-0.parquet", "x.parquet"))]
    assert found({"test": "data/test-*"}) == [("c", "test", ("data/test-0.parquet",))]
    assert found([{"split": "a", "path": ["x.parquet"]}]) == [("c", "a", ("x.parquet",))]
    guessed = [(one.config, one.split) for one in find_splits(Files, {})]
    assert guessed == [("default", "train"), ("default", "test")]
    for odd in (None, 3, {"a": None}, [None], [{"path": 3}], "none*"):
        splits = find_splits(Files, {"configs": [{"data_files": odd}, "x", None]})
        assert [one.config for one in splits] == ["default"] * 2


def test_a_hundred_thousand_rows_are_not_read_for_one_page(tmp_path: Path):
    count, chance = 100_000, random.Random(0)
    blob = random.Random(1).randbytes(1500)
    pictures = pa.array([{"bytes": blob, "path": None}] * count, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    table = pa.table({"image": pictures, "score": pa.array([chance.random() for _ in range(count)])})
    (tmp_path / "rows.parquet").write_bytes(page_content.parquet(table, group=1000))
    before = pa.total_allocated_bytes()
    started = time.perf_counter()
    rows = ParquetRows([tmp_path / "rows.parquet"])
    order = rows.order("score", descending=True)
    page = rows.page([int(one) for one in order[:25]])
    assert time.perf_counter() - started < 5
    assert pa.total_allocated_bytes() - before < 20 << 20
    scores = [row["score"] for row in page]
    assert scores == sorted(table["score"].to_pylist(), reverse=True)[:25]
    assert not any(math.isnan(one) for one in scores)


def test_a_repos_line_in_the_list_is_its_first_paragraph() -> None:
    from tamis.localhub.card_html import first_words

    assert first_words("\n# Scenes\n\n800 drawn scenes of\none *shape*.\n\nMore.") == "800 drawn scenes of one *shape*."
    assert first_words("# A\nwords\n# B\nother") == "words"
    assert first_words("![x](y.png)\n\n| a |\n\nsee [here](z)") == "see here"
    assert first_words("# Only\n\n## headings") == ""
    assert first_words("x" * 500) == "x" * 159 + "…"
