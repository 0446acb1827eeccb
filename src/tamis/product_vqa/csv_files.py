"""Questions as CSV, in the report's form: image_id, path, question, answer, difficulty; and nothing is taken for null.

None, NA and nan are answers like others. An empty cell is null.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tamis.config import ConfigError
from tamis.durable import write_file
from tamis.images import Unscorable, allow_folder, image_bytes
from tamis.named_files import NotUsable, file_inside
from tamis.product_vqa.answers import DIFFICULTIES, difficulty_of
from tamis.product_vqa.questions import Questions, checked, pictures, question_features

if TYPE_CHECKING:
    from datasets import Dataset

FIELDS = ("image_id", "path", "question", "answer", "difficulty")


def read_csv(
    path: str | Path,
    images: str | Path,
    *,
    limit: int | None = None,
    difficulties: Sequence[int] = DIFFICULTIES,
    keep: Sequence[str] = (),
) -> Questions:
    """The questions of a file, or of all *.csv of a folder in the order of their names; paths are relative to images.

    row_id is FILE-INDEX; image_id, where its cell is empty, a hash of the picture. keep: as in read_questions. limit:
    the first rows of all.
    """
    from datasets import Dataset

    folder = Path(images)
    if not folder.is_dir():
        raise ConfigError(f"images: {folder.name!r} is no folder")
    allow_folder(folder)
    refused = Counter[str]()
    columns: dict[str, list] = {name: [] for name in question_features()}
    for row_id, row in _rows(_files(Path(path)), limit):
        try:
            file = file_inside(folder, row["path"])
        except NotUsable as reason:
            refused[str(reason)] += 1
            continue
        told = {name: row[name].strip() or None for name in ("image_id", "question", "answer")}
        told |= {"row_id": row_id, "image": {"bytes": None, "path": str(file)}}
        told["difficulty"] = difficulty_of(row["difficulty"])
        for name, values in columns.items():
            values.append(told.get(name))
    if not columns["row_id"]:
        why = ", ".join(f"{reason}: {count}" for reason, count in refused.items()) or "there is none"
        raise ConfigError(f"{Path(path).name}: no question can be used ({why})")
    table, more = checked(
        Dataset.from_dict(columns, features=question_features()), difficulties=difficulties, keep=keep
    )
    return Questions(table, dict((refused + Counter(more)).most_common()))


def write_csv(questions: Dataset, path: Path, *, images: Path | None = None) -> None:
    """The questions as one file in UTF-8, every cell quoted. images: a folder that their pictures are written to.

    `path` is what a picture is called there, by its content, whether it is written or not. A cell that a spreadsheet
    would take for a formula is written as it is: it is data, and is read back as such.
    """
    text, called = io.StringIO(), dict[str, str]()
    table = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    table.writerow(FIELDS)
    for row, name in zip(questions, pictures(questions), strict=True):
        if isinstance(name, Unscorable):
            raise ValueError(f"{row['row_id']}: {name}")
        if name not in called:
            called[name] = f"{name[:2]}/{name}{_ending(image_bytes(row['image']))}"
        where = called[name]
        if images is not None and not (images / where).exists():
            (images / where).parent.mkdir(parents=True, exist_ok=True)
            write_file(images / where, image_bytes(row["image"]))
        table.writerow([row["image_id"], where, row["question"], row["answer"], row["difficulty"]])
    write_file(path, text.getvalue().encode())


def _ending(content: bytes) -> str:
    from PIL import Image

    kind = Image.open(io.BytesIO(content)).format  # only its header is read, and pictures() found it to be a picture
    return {"JPEG": ".jpg", "MPO": ".jpg"}.get(kind, f".{kind.lower()}")


def _files(path: Path) -> list[Path]:
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise ConfigError(f"{path.name!r}: no CSV file")
    return files


def _rows(files: list[Path], limit: int | None) -> Iterator[tuple[str, dict[str, str]]]:
    """Cells as texts: a short line's last ones are empty, a long line is an error, since its commas are not quoted."""
    count = 0
    for file in files:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened, restval="", strict=True)
            try:
                if missing := [name for name in FIELDS if name not in (rows.fieldnames or ())]:
                    raise ConfigError(f"{file.name}: no column {', '.join(missing)}")
                for index, row in enumerate(rows):
                    if None in row:
                        raise ConfigError(f"{file.name}: line {rows.line_num} has more cells than there are columns")
                    if count == limit:
                        return
                    count += 1
                    yield f"{file.stem}-{index}", row
            except (csv.Error, UnicodeDecodeError) as error:
                raise ConfigError(f"{file.name}: cannot be read after line {rows.line_num}: {error}") from error
