"""AADB as it is handed out: a label file a split, and folders of pictures.

imgListFiles_label/imgListTrainRegression_score.txt       a picture a line: its file, its score from 0 to 1
imgListFiles_label/imgListValidationRegression_score.txt  (or beside the folders of pictures)
imgListFiles_label/imgListTestNewRegression_score.txt
datasetImages_originalSize/                               of training and validation
AADB_newtest_originalSize/                                of the test
datasetImages_warp256/                                    all of them, 256 x 256
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from tamis.config import ConfigError
from tamis.label_files import first_there, folder_of, lines, source_of
from tamis.named_files import MISSING, NotUsable, file_inside
from tamis.score_and_explain.ratings import NO_NUMBER, OUTSIDE, TWICE, Ratings, finished, of_means
from tamis.score_and_explain.scales import to_ten
from tamis.score_and_explain.splits import SHARES

if TYPE_CHECKING:
    from pathlib import Path

    from tamis.run import Run

LABELS = {
    split: f"imgList{name}Regression_score.txt"
    for split, name in {"train": "Train", "validation": "Validation", "test": "TestNew"}.items()
}
# Where a picture is looked for, in this order.
IMAGES = {
    "original": ("datasetImages_originalSize", "AADB_newtest_originalSize"),
    "warp256": ("datasetImages_warp256",),
}
MALFORMED = "a line that is not a file and a score"


def read_aadb(path: str, *, run: Run, image_size: str = "original", limit: int | None = None) -> Ratings:
    """A row a picture: row_id is its file's name, mean 1 + 9 times its score. limit: the first lines of each file.

    The new test list was drawn of the same pool as the lists before it: what stands in several lists stays in the last
    of train, validation, test.
    """
    if image_size not in IMAGES:
        raise ConfigError(f"image_size: {image_size!r} is not accepted; expected one of {', '.join(IMAGES)}")
    folder = folder_of(path)
    labels = {split: first_there(folder, [f"imgListFiles_label/{name}", name]) for split, name in LABELS.items()}
    images = [folder / name for name in IMAGES[image_size] if (folder / name).is_dir()]
    if not images:
        raise ConfigError(f"{folder.name!r}: no folder {', nor '.join(IMAGES[image_size])}")
    source = source_of(folder, list(labels.values()), images)
    refused, names, files, means, splits = Counter[str](), [], [], [], []
    for split, file in labels.items():
        seen = set()
        for line in lines(file, limit):
            try:
                name, score = _read(line)
                if name in seen:
                    raise NotUsable(TWICE)
                picture = _picture(images if split != "test" else images[::-1], name)
            except NotUsable as reason:
                refused[str(reason)] += 1
                continue
            seen.add(name)
            names.append(name)
            files.append(str(picture))
            means.append(to_ten(score, 0, 1))
            splits.append(split)
    table = of_means(names, files, means, [None] * len(names), splits)
    made = finished(table, source, run=run, refused=refused, order=list(LABELS), shares=SHARES, seed=0)
    run.cite(source, rows=len(made.table))
    return made


def _read(line: str) -> tuple[str, float]:
    try:
        name, told = line.rsplit(maxsplit=1)
        score = float(told)
    except ValueError as error:
        raise NotUsable(MALFORMED) from error
    if not math.isfinite(score):
        raise NotUsable(NO_NUMBER)
    if not 0 <= score <= 1:
        raise NotUsable(OUTSIDE)
    return name, score


def _picture(folders: list[Path], name: str) -> Path:
    """In the first of the folders that has it; a name that leaves one of them leaves all."""
    for folder in folders[:-1]:
        try:
            return file_inside(folder, name)
        except NotUsable as reason:
            if str(reason) != MISSING:
                raise
    return file_inside(folders[-1], name)
