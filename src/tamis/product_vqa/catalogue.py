"""The files of Amazon Berkeley Objects as they are handed out: listings, table of images, pictures.

Expected is the folder in which the archives abo-listings.tar and abo-images-small.tar (or -original) were unpacked, or
a dataset repo of the Hub that holds the same:

    listings/metadata/listings_*.json.gz    gzip, one JSON object a line
    images/metadata/images.csv.gz           image_id, height, width, path
    images/small/ or images/original/       what `path` is relative to
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tamis.config import ConfigError
from tamis.images import allow_folder
from tamis.named_files import MISSING, NotUsable, file_inside, refuse_leaving
from tamis.retries import patiently
from tamis.sources import Source, pin, refuse_embedded_elsewhere

IMAGE_SIZES = ("small", "original")
LISTINGS, TABLE = "listings/metadata/listings_*.json.gz", "images/metadata/images.csv.gz"
LONGEST_LINE = 16_000_000  # characters; a real listing has a few thousand
FETCHED_AT_ONCE = 8
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
_NON_COMMERCIAL = re.compile(r"CC[ -]BY[ -]NC|Attribution-NonCommercial 4\.0", re.IGNORECASE)
_ATTRIBUTION = re.compile(r"CC[ -]BY[ -]4\.0|Attribution 4\.0 International", re.IGNORECASE)


@dataclass(frozen=True)
class Catalogue:
    source: Source
    folder: Path  # here, or where the Hub's client keeps the repo at its commit
    image_size: str

    def lines(self) -> Iterator[bytes]:
        """The lines of all listings, file by file. A file that ends too early is an error, not fewer listings."""
        for path in _listing_files(self.folder):
            number = 0
            try:
                with gzip.open(path) as file:
                    while line := file.readline(LONGEST_LINE):
                        number += 1
                        if len(line) == LONGEST_LINE:
                            raise ConfigError(
                                f"{path.name}: line {number} is of {LONGEST_LINE} bytes or more: no listing"
                            )
                        if line.strip():
                            yield line
            except DAMAGED as error:
                raise ConfigError(_cut_short(path, number)) from error

    def paths(self) -> dict[str, str]:
        """image_id to path, as the table has it: nothing is opened by it before picture() looked at it."""
        path, found = self.folder / TABLE, dict[str, str]()
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            try:
                header = next(rows, [])
                if not {"image_id", "path"} <= set(header):
                    raise ConfigError(f"{path.name}: no columns image_id and path; it has: {', '.join(header)}")
                image_id, where = header.index("image_id"), header.index("path")
                for row in rows:
                    if len(row) == len(header):  # of another length: its image is in no listing's reach
                        found.setdefault(row[image_id], row[where])
            except DAMAGED as error:
                raise ConfigError(_cut_short(path, rows.line_num)) from error
            except (csv.Error, UnicodeDecodeError) as error:
                raise ConfigError(f"{path.name}: cannot be read after line {rows.line_num}: {error}") from error
        return found

    def pictures(self, paths: list[str]) -> list[Path | NotUsable]:
        """The files of these paths, or why there is none. Of a repo only these are fetched, several at a time."""
        if self.source.local:
            return [self._tried(path) for path in paths]
        with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
            return list(pool.map(self._tried, paths))

    def _tried(self, path: str) -> Path | NotUsable:
        try:
            return self._picture(path)
        except NotUsable as reason:
            return reason

    def _picture(self, path: str) -> Path:
        if self.source.local:
            return file_inside(self.folder / "images" / self.image_size, path)
        refuse_leaving(path)
        return self._fetched(f"images/{self.image_size}/{path}")

    def _fetched(self, name: str) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        where = {"repo_type": "dataset", "revision": self.source.revision}
        try:
            return Path(patiently(lambda: hf_hub_download(self.source.repo_id, name, **where), self.source.repo_id))
        except EntryNotFoundError as error:
            raise NotUsable(MISSING) from error


def open_catalogue(path: str, *, revision: str | None = None, image_size: str = "small") -> Catalogue:
    """The catalogue of a folder or a dataset repo; its pictures may from then on be named by rows."""
    if image_size not in IMAGE_SIZES:
        raise ConfigError(f"image_size: {image_size!r} is not accepted; expected one of {', '.join(IMAGE_SIZES)}")
    if not Path(path).is_dir():
        return _of_repo(path, revision, image_size)
    folder = Path(path).resolve()
    _refuse_incomplete(folder, folder.name, image_size)
    allow_folder(folder / "images" / image_size)
    # Not sources.pin(), which looks at every file: here they are four hundred thousand.
    source = Source(folder.name, "dataset", _state(folder, image_size), _licence(folder), local=True)
    return Catalogue(source, folder, image_size)


def _of_repo(repo_id: str, revision: str | None, image_size: str) -> Catalogue:
    from huggingface_hub import constants, snapshot_download

    refuse_embedded_elsewhere(repo_id)
    source = pin(repo_id, "dataset", revision)
    patterns = [LISTINGS, TABLE, "LICENSE*", "*/LICENSE*"]
    folder = Path(
        patiently(
            lambda: snapshot_download(repo_id, repo_type="dataset", revision=source.revision, allow_patterns=patterns),
            repo_id,
        )
    )
    _refuse_incomplete(folder, repo_id, None)
    allow_folder(Path(constants.HF_HUB_CACHE) / f"datasets--{repo_id.replace('/', '--')}")
    return Catalogue(replace(source, licence=source.licence or _licence(folder)), folder, image_size)


def _refuse_incomplete(folder: Path, name: str, image_size: str | None) -> None:
    wanted = {LISTINGS: bool(_listing_files(folder)), TABLE: (folder / TABLE).is_file()}
    if image_size:
        wanted[f"images/{image_size}/"] = (folder / "images" / image_size).is_dir()
    if missing := [what for what, there in wanted.items() if not there]:
        packed = sorted(file.name for file in folder.glob("abo-*.tar"))
        hint = f"; unpack {', '.join(packed)} there first (tar -xf)" if packed else ""
        raise ConfigError(f"catalogue {name!r}: no {', no '.join(missing)}{hint}")


def _listing_files(folder: Path) -> list[Path]:
    """2 before 10, 9 before a: however many there are, in one order on every machine."""
    return sorted(folder.glob(LISTINGS), key=lambda path: (len(path.name), path.name))


def _cut_short(path: Path, lines: int) -> str:
    return f"{path.name}: cut short or damaged after line {lines}; fetch it again"


def _state(folder: Path, image_size: str) -> str:
    """A hash of listings and table, and of when files came to or left the folders of pictures."""
    digest = hashlib.sha256()
    for path in [*_listing_files(folder), folder / TABLE]:
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    images = folder / "images" / image_size
    for path in [images, *sorted(path for path in images.iterdir() if path.is_dir())]:
        digest.update(f"{path.name}\0{path.stat().st_mtime_ns}\0".encode())
    return digest.hexdigest()[:40]


def _licence(folder: Path) -> str | None:
    """What the copy's own files say: its README was once CC BY-NC 4.0 and later CC BY 4.0. The stricter one counts."""
    places = [folder / where for where in (".", "listings", "images")]
    files = [file for place in places for kind in ("LICENSE*", "README*") for file in sorted(place.glob(kind))]
    told = "\n".join(file.read_text(encoding="utf-8", errors="replace")[:100_000] for file in files if file.is_file())
    if _NON_COMMERCIAL.search(told):
        return "cc-by-nc-4.0"
    return "cc-by-4.0" if _ATTRIBUTION.search(told) else None
