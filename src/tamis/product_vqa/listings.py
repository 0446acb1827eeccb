"""Listings of a catalogue as rows: a product, its main picture, its English title and bullet points."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tamis.config import ConfigError
from tamis.durable import rename_durably, write_json
from tamis.journal import source_code
from tamis.named_files import NotUsable
from tamis.product_vqa.catalogue import Catalogue, open_catalogue
from tamis.product_vqa.markup import plain

if TYPE_CHECKING:
    from pathlib import Path

    from datasets import Dataset, Features

    from tamis.run import Run

# Which English is taken where a listing lacks the preferred one; after these, by alphabet.
ENGLISH = ("en_US", "en_GB", "en_CA", "en_AU", "en_IN")
_ENGLISH_TAG = re.compile(r"en_[A-Z]{2}")
LOOKED_UP_AT_ONCE = 256  # listings whose pictures are looked for, or fetched, together


def read_listings(
    path: str,
    run: Run,
    *,
    revision: str | None = None,
    locale: str = "en_US",
    image_size: str = "small",
    limit: int | None = None,
) -> tuple[Dataset, dict[str, int]]:
    """A row a listing that has a picture and English bullet points, and how many had not, by reason.

    row_id is DOMAIN/ITEM, which names a listing; a second one under that name is left out. Pictures stay files, named
    by path. Texts are of one locale: `locale` where the listing has bullet points in it, else the first of ENGLISH.
    limit: so many rows; what comes after them is not read, nor counted.
    """
    if not _ENGLISH_TAG.fullmatch(locale):
        raise ConfigError(f"locale: {locale!r} is not accepted; expected English of a country, as en_US")
    with run.accelerator.main_process_first():  # one rank fetches and writes, the others find it
        catalogue = open_catalogue(path, revision=revision, image_size=image_size)
        told = [str(catalogue.folder), catalogue.source.revision, locale, image_size, limit, source_code(read_listings)]
        target = run.output_dir / "listings" / f"{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]}.arrow"
        if not target.exists():
            _write(catalogue, target, locale, limit)
    left_out = json.loads(target.with_suffix(".json").read_text())

    from datasets import Dataset

    listings = Dataset.from_file(str(target))
    if not len(listings):
        why = ", ".join(f"{reason}: {count}" for reason, count in left_out.items()) or "it holds no listing"
        raise ConfigError(f"catalogue {catalogue.source.repo_id!r}: no listing can be used ({why})")
    run.cite(catalogue.source, rows=len(listings))
    return listings, left_out


def listing_features() -> Features:
    from datasets import Features, Image, List, Value

    texts = ("item_id", "domain_name", "image_id", "title", "locale", "product_type")
    told = {name: Value("string") for name in texts}
    return Features({"row_id": Value("string"), "image": Image(decode=False), **told, "bullets": List(Value("string"))})


def _write(catalogue: Catalogue, target: Path, locale: str, limit: int | None) -> None:
    """A few rows at a time, so that memory is the table of images and the names seen, whatever the listings hold.

    The name of a whole file is given last: one that a killed run left half-written is never read.
    """
    from datasets.arrow_writer import ArrowWriter

    target.parent.mkdir(parents=True, exist_ok=True)
    partial, left_out = target.with_suffix(".partial"), Counter[str]()
    with ArrowWriter(path=str(partial), features=listing_features()) as writer:
        for row in _with_pictures(_usable(catalogue, locale, left_out), catalogue, limit, left_out):
            writer.write(row)
        writer.finalize()
    write_json(target.with_suffix(".json"), dict(left_out.most_common()))
    rename_durably(partial, target)


def _with_pictures(
    rows: Iterator[dict[str, Any]], catalogue: Catalogue, limit: int | None, left_out: Counter[str]
) -> Iterator[dict[str, Any]]:
    written = 0
    while limit is None or written < limit:
        most = LOOKED_UP_AT_ONCE if limit is None else min(LOOKED_UP_AT_ONCE, limit - written)
        some = list(itertools.islice(rows, most))
        if not some:
            return
        for row, picture in zip(some, catalogue.pictures([row.pop("path") for row in some]), strict=True):
            if isinstance(picture, NotUsable):
                left_out[str(picture)] += 1
            else:
                written += 1
                yield row | {"image": {"bytes": None, "path": str(picture)}}


def _usable(catalogue: Catalogue, locale: str, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    paths, seen = catalogue.paths(), set()
    for line in catalogue.lines():
        try:
            row = _row(line, locale)
            if row["row_id"] in seen:
                raise NotUsable("its item_id and domain_name stand in another listing")
            seen.add(row["row_id"])
            if row["image_id"] is None:
                raise NotUsable("no main image")
            if row["image_id"] not in paths:
                raise NotUsable("its main image is not in images.csv")
            if not row["bullets"]:
                raise NotUsable("no English bullet points")
        except NotUsable as reason:
            left_out[str(reason)] += 1
        else:
            yield row | {"path": paths[row["image_id"]]}


def _row(line: bytes, locale: str) -> dict[str, Any]:
    try:
        listing = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NotUsable("a line that is not JSON") from error
    if not isinstance(listing, dict):
        raise NotUsable("a line that is no listing")
    item_id, domain, image_id = (_named(listing, name) for name in ("item_id", "domain_name", "main_image_id"))
    if not item_id or not domain:
        raise NotUsable("no item_id or no domain_name")
    bullets, titles = _english(listing, "bullet_point"), _english(listing, "item_name")
    chosen = _preferred(bullets, locale)
    types = listing.get("product_type")
    first_type = types[0] if isinstance(types, list) and types else None
    return {
        "row_id": f"{domain}/{item_id}",
        "item_id": item_id,
        "domain_name": domain,
        "image_id": image_id,
        "title": next(iter(titles.get(_preferred(titles, chosen or locale), ())), None),
        "bullets": bullets.get(chosen, []),
        "locale": chosen,
        "product_type": _named(first_type, "value") if isinstance(first_type, dict) else None,
    }


def _named(told: dict[str, Any], name: str) -> str | None:
    value = told.get(name)
    return value if isinstance(value, str) and value.strip() and value.isprintable() else None


def _english(listing: dict[str, Any], name: str) -> dict[str, list[str]]:
    """locale to its texts, as plain text; texts of other languages, and what is no text, are left out."""
    found: dict[str, list[str]] = {}
    entries = listing.get(name)
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        tag, value = entry.get("language_tag"), entry.get("value")
        if isinstance(tag, str) and _ENGLISH_TAG.fullmatch(tag) and isinstance(value, str) and (text := plain(value)):
            found.setdefault(tag, []).append(text)
    return found


def _preferred(texts: dict[str, list[str]], locale: str) -> str | None:
    order = {tag: place for place, tag in enumerate((locale, *ENGLISH))} | {locale: 0}
    return min(texts, key=lambda tag: (order.get(tag, len(order)), tag), default=None)
