"""Multiple-choice benchmarks of the Hub in one form: row_id, image, question, options, answer, task.

A set is recognised by its columns: MMBench's, A-OKVQA's or ScienceQA's. A row that cannot be asked is refused, and
counted by its reason.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tamis.config import ConfigError
from tamis.images import Unscorable, image_bytes
from tamis.named_files import NotUsable
from tamis.rows import read_rows, refuse_non_images

if TYPE_CHECKING:
    from datasets import Dataset, Features

    from tamis.run import Run
    from tamis.sources import Source

LETTERS = string.ascii_uppercase
MISSING = "nan"  # what published copies of MMBench hold where there is no hint, no third option, no answer
LOOKED_AT_ONCE = 64  # rows whose pictures are in memory

NO_KEY = "no key"
NO_QUESTION = "no question"
NO_TEXT = "an option that is no text"
TOO_FEW = "fewer than two options"
TOO_MANY = f"more than {len(LETTERS)} options"
TWICE = "two options are the same"
NO_SUCH_OPTION = "the key names no option"


class Asked(NamedTuple):
    question: str
    options: tuple[str, ...]
    answer: str
    task: str | None


@dataclass(frozen=True)
class Benchmark:
    """The questions that can be asked, and how many rows could not, by reason."""

    table: Dataset
    form: str  # whose columns it has
    refused: dict[str, int]
    source: Source


def benchmark_features() -> Features:
    from datasets import Features, Image, List, Value

    texts = {name: Value("string") for name in ("answer", "task")}
    features = {"row_id": Value("string"), "image": Image(decode=False), "question": Value("string")}
    return Features(features | {"options": List(Value("string"))} | texts)


def read_benchmark(
    path: str,
    *,
    run: Run,
    config_name: str | None = None,
    split: str = "test",
    revision: str | None = None,
    limit: int | None = None,
    id_column: str | None = None,
    text_only: bool = False,
    keep: Sequence[str] = (),
) -> Benchmark:
    """The hint stands before the question; ScienceQA's lecture, which tells how to solve it, is not shown.

    task: MMBench's sub-task, else null. text_only: rows without a picture are questions too, their image null
    (ScienceQA). keep: columns that come along under their names.
    """
    from datasets import Dataset, concatenate_datasets

    features = benchmark_features()
    if strangers := [name for name in keep if name in features]:
        raise ConfigError(f"keep: {strangers[0]!r} is the name of a column that is made here")
    rows, source = read_rows(
        path, run=run, config_name=config_name, split=split, revision=revision, limit=limit, id_column=id_column
    )
    form = _form_of(rows.features, source.repo_id)
    if absent := [name for name in keep if name not in rows.column_names]:
        raise ConfigError(f"keep: no column {absent[0]!r}; there are: {', '.join(rows.column_names)}")
    refuse_non_images(rows.features, "image")
    asked, reasons = _asked(rows, FORMS[form])
    for at, why in enumerate(_unpictured(rows)):
        no_picture_is_meant = text_only and why == "image: null"
        reasons[at] = reasons[at] or (None if no_picture_is_meant else why)
    kept = [at for at, reason in enumerate(reasons) if reason is None]
    refused = dict(Counter(filter(None, reasons)).most_common())
    if not kept:
        why = ", ".join(f"{reason}: {count}" for reason, count in refused.items())
        raise ConfigError(f"{source.repo_id!r}, split {split!r}: no question can be asked ({why})")
    made = {name: [None if one is None else getattr(one, name) for one in asked] for name in Asked._fields}
    told = Dataset.from_dict(made, features=type(features)({name: features[name] for name in made}))
    pictures = rows.select_columns(["row_id", "image"]).cast_column("image", features["image"])
    parts = [pictures, told] + ([rows.select_columns(list(keep))] if keep else [])
    table = concatenate_datasets(parts, axis=1)
    if len(kept) < len(table):  # flattened at once: scorers add their columns beside, and would do so each time
        table = table.select(kept).flatten_indices()
    return Benchmark(table.select_columns([*features, *keep]), form, refused, source)


def _form_of(features: Features, name: str) -> str:
    for form, (needed, place, _) in FORMS.items():
        if features.keys() >= {*needed, "image"} and (place is None or _is_whole(features[place])):
            return form
    known = "; ".join(
        f"{form}'s {', '.join(needed)}{' (a whole number)' if place else ''}"
        for form, (needed, place, _) in FORMS.items()
    )
    raise ConfigError(f"{name!r} has columns {', '.join(features)}; expected image and one of: {known}")


def _is_whole(feature: Any) -> bool:
    """Null in all rows is a key that every row lacks."""
    return str(getattr(feature, "dtype", None)).startswith(("int", "uint", "null"))


def _asked(rows: Dataset, form: Form) -> tuple[list[Asked | None], list[str | None]]:
    """Each row's question, or why there is none; pictures are left alone."""
    asked, reasons = [], []
    read = {*form.needed, *LETTERS, "hint", "category"}
    for row in rows.select_columns([column for column in rows.column_names if column in read]):
        try:
            one, why = form.read(row), None
        except NotUsable as reason:
            one, why = None, str(reason)
        asked.append(one)
        reasons.append(why)
    return asked, reasons


def _unpictured(rows: Dataset) -> list[str | None]:
    """For each row why there is no picture's file; whether it can be decoded, scorers will say."""
    reasons: list[str | None] = []
    for start in range(0, len(rows), LOOKED_AT_ONCE):
        for value in rows[start : start + LOOKED_AT_ONCE]["image"]:
            try:
                image_bytes(value)
                reasons.append(None)
            except Unscorable as reason:
                reasons.append(str(reason))
    return reasons


def _mmbench(row: dict[str, Any]) -> Asked:
    options = {letter: row[letter] for letter in LETTERS if letter in row and not _is_missing(row[letter])}
    key = row["answer"]
    if _is_missing(key):
        raise NotUsable(NO_KEY)
    if str(key).strip() not in options:
        raise NotUsable(NO_SUCH_OPTION)
    return _checked(row, list(options.values()), options[str(key).strip()], row.get("category"))


def _indexed(row: dict[str, Any], place: str) -> Asked:
    options, key = row["choices"] or [], row[place]
    if key is None or key == -1:
        raise NotUsable(NO_KEY)
    if not 0 <= key < len(options):
        raise NotUsable(NO_SUCH_OPTION)
    return _checked(row, options, options[key], None)


def _checked(row: dict[str, Any], options: Sequence[Any], answer: Any, task: Any) -> Asked:
    if not all(isinstance(option, str) and option.strip() for option in options):
        raise NotUsable(NO_TEXT)
    options = tuple(option.strip() for option in options)
    if len(options) < 2:
        raise NotUsable(TOO_FEW)
    if len(options) > len(LETTERS):
        raise NotUsable(TOO_MANY)
    if len(set(options)) < len(options):
        raise NotUsable(TWICE)
    question, hint = row["question"], row.get("hint")
    if not isinstance(question, str) or not question.strip():
        raise NotUsable(NO_QUESTION)
    told = [] if _is_missing(hint) else [str(hint).strip()]
    task = None if _is_missing(task) else str(task).strip()
    return Asked("\n".join([*told, question.strip()]), options, answer.strip(), task)


def _is_missing(value: Any) -> bool:
    """ "None" and "NA" are texts, and options of some questions."""
    return value is None or (isinstance(value, str) and value.strip() in ("", MISSING)) or value != value


class Form(NamedTuple):
    needed: tuple[str, ...]  # columns
    place: str | None  # of these the one that holds the key's place, counted from 0; None: the key is a letter
    read: Callable[[dict[str, Any]], Asked]


FORMS = {
    "MMBench": Form(("question", "A", "B", "C", "D", "answer"), None, _mmbench),
    "A-OKVQA": Form(
        ("question", "choices", "correct_choice_idx"),
        "correct_choice_idx",
        lambda row: _indexed(row, "correct_choice_idx"),
    ),
    "ScienceQA": Form(("question", "choices", "answer"), "answer", lambda row: _indexed(row, "answer")),
}
