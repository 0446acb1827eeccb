"""Listings become rows or are counted by reason; a file that is damaged is an error, and never fewer listings."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Image, List, Value
from killing import fork

from tamis.config import ConfigError
from tamis.images import decode_image
from tamis.product_vqa import listings as module
from tamis.product_vqa.catalogue import open_catalogue
from tamis.product_vqa.listings import read_listings
from tamis.tiny.datasets import products


def texts(*values: str, tag: str = "en_US") -> list[dict[str, str]]:
    return [{"language_tag": tag, "value": value} for value in values]


def listing(item: str = "A", image: str | None = "i1", **changes: Any) -> dict[str, Any]:
    told = {"item_id": item, "domain_name": "shop", "bullet_point": texts("red"), "item_name": texts("a tile")}
    told |= {"main_image_id": image} if image else {}
    return {name: value for name, value in (told | changes).items() if value is not None}


@pytest.fixture
def catalogue(tmp_path, encoded_picture):
    """Writes a catalogue: lines (objects or raw bytes) and image_id -> path; a file for each path within."""

    def write(lines: list[Any], images: dict[str, str] | None = None, name: str = "abo") -> Path:
        folder = tmp_path / name
        small, images = folder / "images" / "small", {"i1": "aa/1.png"} if images is None else images
        for kind in ("listings/metadata", "images/metadata", "images/small"):
            (folder / kind).mkdir(parents=True)
        for path in images.values():
            if re.fullmatch(r"aa/\d+\.png", path):
                (small / path).parent.mkdir(exist_ok=True)
                (small / path).write_bytes(encoded_picture)
        raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        (folder / "listings/metadata/listings_0.json.gz").write_bytes(gzip.compress(b"\n".join([*raw, b""])))
        with gzip.open(folder / "images/metadata/images.csv.gz", "wt", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image_id", "height", "width", "path"])
            table.writerows([image_id, 9, 9, path] for image_id, path in images.items())
        return folder

    return write


def test_the_catalogue_of_the_embedded_world_is_read_whole(run) -> None:
    rows, left_out = read_listings("tiny/products", run)
    usable = [one for one in products.catalogue() if one.has_image and one.is_english]
    assert len(rows) == len(usable) + 1  # one of them in two shops
    assert len(rows) + sum(left_out.values()) == products.PRODUCTS + 1
    both = sum(not one.has_image and not one.is_english for one in products.catalogue())
    assert left_out["no main image"] == sum(not one.has_image for one in products.catalogue())
    assert left_out["no English bullet points"] == sum(not one.is_english for one in products.catalogue()) - both
    assert rows.features["image"] == Image(decode=False) and rows.features["bullets"] == List(Value("string"))
    told = {row["item_id"]: row for row in rows}
    for one in usable:
        row = told[one.item_id]
        assert row["bullets"] == list(one.bullets) and row["title"] == one.title  # without markup, in one language
        assert row["image_id"] == one.image_id and row["product_type"] == one.facts["type"].upper()
        assert row["locale"] in one.in_another_shop().locales + one.locales
    first, second = (usable[at].item_id for at, one in enumerate(usable) if one.number in products.SAME_IMAGE)
    assert told[first]["image"] == told[second]["image"] and told[first]["row_id"] != told[second]["row_id"]
    assert decode_image(rows[0]["image"]).size == (64, 64)
    assert run.sources[0]["repo_id"] == "tiny/products" and run.sources[0]["rows"] == len(rows)


def test_a_limit_fetches_no_more_pictures_than_rows(run, monkeypatch) -> None:
    asked: list[str] = []
    fetch = module.Catalogue.pictures
    monkeypatch.setattr(module.Catalogue, "pictures", lambda self, paths: asked.extend(paths) or fetch(self, paths))
    rows, left_out = read_listings("tiny/products", run, limit=5)
    assert len(rows) == len(asked) == 5
    whole, _ = read_listings("tiny/products", run)
    assert whole.select(range(5)).to_list() == rows.to_list()
    assert sum(left_out.values()) < 20


def test_a_repo_of_the_hub_is_read_as_a_folder_is(run, catalogue) -> None:
    from huggingface_hub import HfApi

    lines = [listing(), listing("gone", "gone"), listing("up", "up"), listing("long", "long")]
    images = {"i1": "aa/1.png", "gone": "aa/gone.png", "up": "../../README.md", "long": f"aa/{'x' * 300}.png"}
    folder = catalogue(lines, images)
    (folder / "images" / "LICENSE.txt").write_text("CC BY-NC 4.0")
    HfApi().create_repo("me/abo", repo_type="dataset")
    HfApi().upload_folder(repo_id="me/abo", repo_type="dataset", folder_path=folder)
    rows, left_out = read_listings("me/abo", run)
    assert rows["item_id"][:] == ["A"] and decode_image(rows[0]["image"]).size == (8, 8)
    assert left_out == {"its image file is missing": 2, "its image's path leaves the folder": 1}
    assert run.sources[0]["licence"] == "cc-by-nc-4.0" and len(run.sources[0]["revision"]) == 40
    assert read_listings(str(folder), run)[1] == left_out


HARD = {
    "": listing("whole"),
    "no main image": listing("no image", None),
    "its main image is not in images.csv": listing("strange image", "nowhere"),
    "its image's path leaves the folder": listing("up", "up"),
    "its image file is missing": listing("gone", "gone"),
    "no English bullet points": listing("german", bullet_point=texts("rot", tag="de_DE")),
    "its item_id and domain_name stand in another listing": listing("whole", bullet_point=texts("again")),
    "no item_id or no domain_name": listing("x", domain_name=None),
    "a line that is not JSON": b'{"item_id": "cut',
    "a line that is no listing": b'["item_id"]',
}


def test_each_listing_that_is_left_out_is_counted_by_its_reason(run, catalogue) -> None:
    folder = catalogue(list(HARD.values()), {"i1": "aa/1.png", "up": "../../secret.png", "gone": "aa/gone.png"})
    rows, left_out = read_listings(str(folder), run)
    assert left_out == {reason: 1 for reason in HARD if reason}
    [row] = rows
    assert (row["row_id"], row["title"], row["bullets"], row["locale"]) == ("shop/whole", "a tile", ["red"], "en_US")


@pytest.mark.parametrize(
    "path",
    ["../1.png", "/etc/hostname", "aa/../../../x.png", "..\\x.png", "", "aa/\0.png", "http://127.0.0.1:1/x.png"],
)
def test_a_path_that_leaves_its_folder_is_never_opened(run, catalogue, path, tmp_path) -> None:
    folder = catalogue([listing("bad", "bad"), listing("good")], {"i1": "aa/1.png", "bad": path} if path else None)
    for outside in (folder / "images" / "1.png", tmp_path / "x.png", folder / "x.png"):
        outside.write_bytes(b"secret")
    if not path:
        with gzip.open(folder / "images/metadata/images.csv.gz", "at", newline="") as file:
            file.write("bad,9,9,\n")
    rows, left_out = read_listings(str(folder), run)
    assert rows["item_id"][:] == ["good"] and left_out == {"its image's path leaves the folder": 1}


def test_a_link_out_of_the_folder_is_never_followed(run, catalogue, tmp_path) -> None:
    folder = catalogue([listing("file", "file"), listing("dir", "dir"), listing()], {"i1": "aa/1.png"})
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "1.png").write_bytes((folder / "images/small/aa/1.png").read_bytes())
    (folder / "images/small/aa/link.png").symlink_to(tmp_path / "else" / "1.png")
    (folder / "images/small/bb").symlink_to(tmp_path / "else")
    (folder / "images/small/aa/loop.png").symlink_to("loop.png")
    with gzip.open(folder / "images/metadata/images.csv.gz", "at", newline="") as file:
        file.write("file,9,9,aa/link.png\ndir,9,9,bb/1.png\n")
    rows, left_out = read_listings(str(folder), run)
    assert rows["item_id"][:] == ["A"] and left_out == {"its image's path leaves the folder": 2}


def test_one_locale_is_taken_and_no_other_language(run, catalogue) -> None:
    mixed = [
        *texts("rot", tag="de_DE"),
        *texts("colour", tag="en_GB"),
        *texts("color", tag="en_US"),
        *texts("红", tag="zh_CN"),
    ]
    lines = [
        listing("mixed", bullet_point=mixed, item_name=[*texts("Kachel", tag="de_DE"), *texts("tile", tag="en_GB")]),
        listing("rare", bullet_point=[*texts("z", tag="en_ZA"), *texts("sg", tag="en_SG"), *texts("in", tag="en_IN")]),
        listing(
            "odd", bullet_point=[3, {"language_tag": "en_US"}, {"value": "x"}, *texts("ok"), *texts("no", tag=None)]
        ),
        listing("untitled", item_name=None, product_type=[{"value": "TILE"}]),
    ]
    folder = str(catalogue(lines))
    rows, left_out = read_listings(folder, run)
    told = {row["item_id"]: (row["locale"], row["bullets"], row["title"]) for row in rows}
    assert told == {
        "mixed": ("en_US", ["color"], "tile"),
        "rare": ("en_IN", ["in"], "a tile"),
        "odd": ("en_US", ["ok"], "a tile"),
        "untitled": ("en_US", ["red"], None),
    }
    assert not left_out and rows["product_type"][:] == [None, None, None, "TILE"]
    british, _ = read_listings(folder, run, locale="en_GB")
    assert british[0]["bullets"] == ["colour"] and british[1]["locale"] == "en_IN"
    with pytest.raises(ConfigError, match="locale: 'de_DE' is not accepted"):
        read_listings(folder, run, locale="de_DE")


@pytest.mark.parametrize(
    ("lines", "where"), [(30, "listings_0.json.gz: cut short or damaged after line"), (0, "images.csv.gz: cut short")]
)
def test_a_file_cut_short_is_an_error(run, catalogue, lines, where) -> None:
    numbers = [listing(f"{number}", text=os.urandom(200).hex()) for number in range(40)]
    folder = catalogue(numbers)
    path = folder / ("listings/metadata/listings_0.json.gz" if lines else "images/metadata/images.csv.gz")
    path.write_bytes(path.read_bytes()[: -2000 if lines else -10])
    with pytest.raises(ConfigError, match=where):
        read_listings(str(folder), run)
    assert not list((run.output_dir / "listings").glob("*.arrow"))
    if lines:  # put right, it is read from its beginning
        path.write_bytes(gzip.compress(b"\n".join(json.dumps(one).encode() for one in numbers)))
        assert len(read_listings(str(folder), run)[0]) == 40


def test_a_damaged_table_and_other_files_are_errors(run, catalogue) -> None:
    folder = catalogue([listing()])
    table, lines = folder / "images/metadata/images.csv.gz", folder / "listings/metadata/listings_0.json.gz"
    for content, message in (
        (gzip.compress(b"id,file\n1,x\n"), "no columns image_id and path; it has: id, file"),
        (gzip.compress(b"image_id,path\n\xff\xfe,x\n"), "images.csv.gz: cannot be read"),
        (b"image_id,path\n", "images.csv.gz: cut short or damaged after line 0"),
    ):
        table.write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            read_listings(str(folder), run)
    table.write_bytes(gzip.compress(b"image_id,path\ni1,aa/1.png\n"))
    lines.write_bytes(b"no gzip at all")
    with pytest.raises(ConfigError, match="listings_0.json.gz: cut short or damaged after line 0"):
        read_listings(str(folder), run)
    lines.unlink()
    (folder / "abo-listings.tar").touch()
    with pytest.raises(ConfigError, match=r"'abo': no listings/.*; unpack abo-listings.tar there first"):
        read_listings(str(folder), run)
    with pytest.raises(ConfigError, match="no images/original/"):
        open_catalogue(str(folder), image_size="original")
    with pytest.raises(ConfigError, match="image_size: 'large'"):
        open_catalogue(str(folder), image_size="large")
    with pytest.raises(ConfigError, match=r"'tiny/commons': no listings/metadata"):
        read_listings("tiny/commons", run)


def test_nothing_usable_says_why(run, catalogue) -> None:
    folder = catalogue([listing("a", None), listing("b", None)])
    with pytest.raises(ConfigError, match=r"no listing can be used \(no main image: 2\)"):
        read_listings(str(folder), run)


def test_hostile_listings_stay_rows_of_text(run, catalogue) -> None:
    lines = [
        listing("surrogate", bullet_point=texts("bad \ud800 text")),
        listing("B\ud800"),
        listing("deep", extra=None) | {"x": 1},
        b"[" * 100_000,
        listing("number", item_name="no list", product_type="X", main_image_id="i1", other_image_id=7),
    ]
    rows, left_out = read_listings(str(catalogue(lines)), run)
    assert rows["bullets"][0] == ["bad text"] and rows["item_id"][:] == ["surrogate", "deep", "number"]
    assert left_out == {"no item_id or no domain_name": 1, "a line that is not JSON": 1}


def test_what_changed_is_read_again_and_nothing_else_is(run, catalogue, encoded_picture) -> None:
    folder = catalogue([listing(), listing("B", "i2")], {"i1": "aa/1.png", "i2": "aa/gone.png"})
    assert len(read_listings(str(folder), run)[0]) == 1
    [written] = (run.output_dir / "listings").glob("*.arrow")
    before = written.stat().st_mtime_ns
    assert read_listings(str(folder), run)[1] == {"its image file is missing": 1}
    assert written.stat().st_mtime_ns == before
    (folder / "images/small/aa/gone.png").write_bytes(encoded_picture)
    assert len(read_listings(str(folder), run)[0]) == 2


def test_the_licence_is_the_one_that_the_copy_states(run, catalogue) -> None:
    folder = catalogue([listing()])
    assert open_catalogue(str(folder)).source.licence is None
    (folder / "images" / "README.md").write_text("Licensed under CC BY 4.0 (Attribution 4.0 International).")
    assert open_catalogue(str(folder)).source.licence == "cc-by-4.0"
    (folder / "listings" / "LICENSE.txt").write_text("Creative Commons Attribution-NonCommercial 4.0")
    assert open_catalogue(str(folder)).source.licence == "cc-by-nc-4.0"


def test_a_reader_that_was_killed_leaves_nothing_that_is_taken_for_whole(run, catalogue) -> None:
    folder = catalogue([listing(f"{number}", text="x" * 500) for number in range(6000)])
    child = fork(lambda: read_listings(str(folder), run))
    place = run.output_dir / "listings"
    for _ in range(2000):
        if any(path.stat().st_size for path in place.glob("*.partial")):
            break
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert list(place.glob("*.partial")) and not list(place.glob("*.arrow"))
    rows, _ = read_listings(str(folder), run)
    assert Counter(rows["item_id"][:]) == Counter(str(number) for number in range(6000))
    assert isinstance(rows, Dataset) and not list(place.glob("*.partial"))
