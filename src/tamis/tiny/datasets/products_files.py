"""A catalogue as Amazon Berkeley Objects packs it: gzipped JSON lines, a gzipped table of images, a folder of them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tamis.tiny.datasets.writing import png
from tamis.tiny.world import SIDE, Scene

FILES = 16
BRANDS = ("acorn", "birch", "cedar", "drift")
SHOPS = {"en_US": "shop.example", "en_GB": "shop.co.uk.example", "en_IN": "shop.in.example", "de_DE": "shop.de.example"}
GERMAN = ("wie abgebildet", "für innen und außen", "ein schönes geschenk")


@dataclass(frozen=True)
class Product:
    number: int
    scene: Scene
    item_id: str
    image_id: str
    other_image_ids: tuple[str, ...]
    facts: dict[str, str]
    title: str
    bullets: tuple[str, ...]
    is_english: bool
    has_image: bool
    locale: str = ""  # other than the one that follows from its number

    @property
    def locales(self) -> list[str]:
        """The first is its shop's; some have their text in a second one."""
        if self.locale:
            return [self.locale]
        if not self.is_english:
            return ["de_DE"]
        first = {2: "en_GB", 4: "en_IN"}.get(self.number % 7, "en_US")
        second = {0: ["de_DE"], 3: ["en_GB"] if first != "en_GB" else []}.get(self.number % 9, [])
        return [first, *second]

    def in_another_shop(self) -> Product:
        """item_id alone is no key: item_id and domain_name are."""
        return replace(self, locale="en_GB" if self.locales[0] != "en_GB" else "en_US")


def write(folder: Path, products: list[Product], pictures: dict[str, Scene]) -> None:
    listings = folder / "listings" / "metadata"
    listings.mkdir(parents=True)
    for file in range(FILES):
        lines = [json.dumps(_listing(one), ensure_ascii=False) for one in products if one.number % FILES == file]
        _gzipped(listings / f"listings_{file}.json.gz", "".join(f"{line}\n" for line in lines))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image_id", "height", "width", "path"])
    for image_id, scene in sorted(pictures.items()):
        name = hashlib.sha256(image_id.encode()).hexdigest()[:8]
        path = folder / "images" / "small" / name[:2] / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(scene))
        writer.writerow([image_id, SIDE, SIDE, f"{name[:2]}/{name}.png"])
    (folder / "images" / "metadata").mkdir()
    _gzipped(folder / "images" / "metadata" / "images.csv.gz", table.getvalue())


def _listing(one: Product) -> dict[str, Any]:
    facts = one.facts
    listing: dict[str, Any] = {
        "item_id": one.item_id,
        "domain_name": SHOPS[one.locales[0]],
        "item_name": [_text(locale, one.title if locale != "de_DE" else "artikel") for locale in one.locales],
        "bullet_point": [_text(locale, bullet) for locale in one.locales for bullet in _bullets(one, locale)],
        "product_type": [{"value": facts["type"].upper()}],
        "node": [{"node_id": 1000 + len(facts["type"]), "node_name": f"/Categories/{facts['type'].title()}s"}],
    }
    if one.number % 13:
        listing["brand"] = [_text(one.locales[0], BRANDS[one.number % len(BRANDS)])]
    if one.number % 11:
        listing["color"] = [_text(one.locales[0], facts["colour"]) | {"standardized_values": [facts["colour"].title()]}]
    if one.has_image:
        listing["main_image_id"] = one.image_id
    if one.other_image_ids:
        listing["other_image_id"] = list(one.other_image_ids)
    return listing


def _bullets(one: Product, locale: str) -> list[str]:
    if locale == "de_DE":
        return list(GERMAN)
    if one.number % 37 == 9:  # pasted from a web page
        first, *others = one.bullets
        return [f"<b>{first}</b><br>&nbsp;", *others]
    return list(one.bullets)


def _text(locale: str, value: str) -> dict[str, Any]:
    return {"language_tag": locale, "value": value}


def _gzipped(path: Path, text: str) -> None:
    # No time stamp: the same content is the same file.
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
