"""AVA as it is handed out: AVA.txt, a folder of pictures named by their ids, and a list of those to test on.

AVA.txt                                   index, image id, how often 1, 2, ... 10 were given, two tags, challenge
images/ID.jpg                             or image/ID.jpg
aesthetics_image_lists/generic_test.jpgl  an id a line; where it is missing, the test split is drawn like the others
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tamis.config import ConfigError
from tamis.label_files import first_there, folder_of, lines, source_of
from tamis.named_files import NotUsable, file_inside
from tamis.score_and_explain.ratings import NO_VOTES, TWICE, Ratings, finished, of_means
from tamis.score_and_explain.scales import mean_of
from tamis.score_and_explain.splits import SHARES

if TYPE_CHECKING:
    from pathlib import Path

    from tamis.run import Run

FIELDS = 15
MALFORMED = f"a line that is not {FIELDS} whole numbers"
TEST_LIST = "aesthetics_image_lists/generic_test.jpgl"
_NUMBER = re.compile(r"[0-9]{1,9}")
_NUMBERS = re.compile(rf"[0-9]{{1,9}}(?:\s+[0-9]{{1,9}}){{{FIELDS - 1}}}", re.ASCII)


def read_ava(
    path: str, *, run: Run, limit: int | None = None, shares: dict[str, float] = SHARES, seed: int = 0
) -> Ratings:
    """A row a picture: row_id is its id, mean that of its votes. limit: the first lines of AVA.txt.

    Pictures of the test list are the test split; the others are drawn, by their share of what is left.
    """
    folder = folder_of(path)
    labels, images = first_there(folder, ["AVA.txt"]), first_there(folder, ["images", "image"])
    listed = [folder / TEST_LIST] if (folder / TEST_LIST).is_file() else []
    source = source_of(folder, [labels, *listed], [images])
    tested = {image_id for file in listed for image_id in _ids(file)}
    refused, rows = Counter[str](), dict[str, tuple[str, list[int]]]()
    for line in lines(labels, limit):
        try:
            image_id, votes = _read(line)
            if image_id in rows:
                raise NotUsable(TWICE)
            rows[image_id] = str(_picture(images, image_id)), votes
        except NotUsable as reason:
            refused[str(reason)] += 1
    votes = [counts for _, counts in rows.values()]
    table = of_means(
        list(rows),
        [file for file, _ in rows.values()],
        [mean_of(counts) for counts in votes],
        votes,
        ["test" if image_id in tested else None for image_id in rows],
    )
    made = finished(table, source, run=run, refused=refused, order=["test"] if listed else [], shares=shares, seed=seed)
    run.cite(source, rows=len(made.table))
    return made


def _read(line: str) -> tuple[str, list[int]]:
    if not _NUMBERS.fullmatch(line):
        raise NotUsable(MALFORMED)
    _, image_id, *counts = map(int, line.split())
    votes = counts[:10]
    if not any(votes):
        raise NotUsable(NO_VOTES)
    return str(image_id), votes


def _ids(file: Path) -> Iterator[str]:
    for line in lines(file):
        if not _NUMBER.fullmatch(line):
            raise ConfigError(f"{file.name}: {line[:40]!r} is no image id")
        yield str(int(line))


def _picture(images: Path, image_id: str) -> Path:
    return file_inside(images, f"{image_id}.jpg")
