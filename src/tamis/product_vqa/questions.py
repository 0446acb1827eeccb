"""Questions about pictures of products, a row each: read from a dataset, or made of listings that a judge wrote of."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tamis.config import ConfigError
from tamis.images import Unscorable, own_image
from tamis.product_vqa.answers import DIFFICULTIES, SEVERAL, VERDICT, difficulty_of, fault, same_question
from tamis.rows import read_rows, refuse_non_images

if TYPE_CHECKING:
    from datasets import Dataset, Features

    from tamis.run import Run
    from tamis.sources import Source

TWICE, UNKNOWN = "asked twice of one image", "a difficulty that is not known"
TOLERATED = (SEVERAL, VERDICT, TWICE)  # a published set is compared with as it is only where these may stay


@dataclass(frozen=True)
class Columns:
    """What the columns of a dataset of questions are called; None: it has none such."""

    image: str = "image"
    question: str = "question"
    answer: str = "answer"
    difficulty: str = "difficulty"
    image_id: str | None = None
    product_id: str | None = None
    title: str | None = None
    bullets: str | None = None

    @property
    def needed(self) -> tuple[str | None, ...]:
        return tuple(vars(self).values())


@dataclass(frozen=True)
class Questions:
    table: Dataset  # a row a question: question_features(), images undecoded
    refused: dict[str, int]  # rows that are none, by reason
    source: Source | None = None


def question_features() -> Features:
    """split: the one it was published in; None where it was in no split of several."""
    from datasets import Features, Image, List, Value

    texts = dict.fromkeys(("image_id", "question", "answer"), Value("string"))
    about = dict.fromkeys(("product_id", "title", "split"), Value("string")) | {"bullets": List(Value("string"))}
    told = {"row_id": Value("string"), "image": Image(decode=False)} | texts
    return Features(told | {"difficulty": Value("int64")} | about)


def read_questions(
    path: str,
    *,
    run: Run,
    columns: Columns = Columns(),  # noqa: B008 - it is frozen
    config_name: str | None = None,
    splits: Sequence[str] = ("train",),
    revision: str | None = None,
    limit: int | None = None,
    id_column: str | None = None,
    difficulties: Sequence[int] = DIFFICULTIES,
    keep: Sequence[str] = (),
) -> Questions:
    """The questions of a dataset. Its own splits are kept in the column split where several are read.

    image_id, where the dataset or a row has none, is a hash of the picture. limit: the first rows of each split. keep:
    reasons of TOLERATED that do not refuse a row, for who compares with others' numbers on the same rows. A dataset of
    CSV files is better read by `csv_files.read_csv`: the datasets library takes the words None and NA for no answer.
    """
    from datasets import concatenate_datasets

    parts, source = [], None
    for split in splits:
        rows, source = read_rows(
            path,
            run=run,
            config_name=config_name,
            split=split,
            revision=revision,
            limit=limit,
            id_column=id_column,
            needs=columns.needed,
        )
        parts.append(_formed(rows, columns, split if len(splits) > 1 else None))
    table = concatenate_datasets(parts)
    twice, often = Counter(table["row_id"][:]).most_common(1)[0]
    if often > 1:
        raise ConfigError(f"row_id: {twice!r} stands in more than one split; row ids must differ")
    table, refused = checked(table, difficulties=difficulties, keep=keep)
    return Questions(table, refused, source)


def to_questions(listings: Dataset, name: str = "product_questions", *, readable: bool = False) -> Questions:
    """A row a question, of listings with the columns of a `product_questions` scorer.

    row_id is the listing's, with the question's number. Two products with one picture may have been asked the same:
    that is asked once. readable: the writer saw every picture that it asks about; else they are opened here.
    """
    made = listings.map(
        _asked_of,
        batched=True,
        batch_size=256,
        remove_columns=listings.column_names,
        features=question_features(),
        fn_kwargs={"name": f"{name}_questions"},
        load_from_cache_file=False,
        desc="questions",
    )
    if not len(made):
        raise ConfigError(f"column {name}_questions: no question was written")
    return Questions(*checked(made, readable=readable))


def _asked_of(batch: dict[str, list[Any]], name: str) -> dict[str, list[Any]]:
    made: dict[str, list[Any]] = {column: [] for column in question_features()}
    for at, questions in enumerate(batch[name]):
        about = {column: batch[column][at] for column in ("image", "image_id", "title", "bullets")}
        about |= {"product_id": batch["item_id"][at], "split": None}
        for number, question in enumerate(questions or ()):
            row = about | question | {"row_id": f"{batch['row_id'][at]}-{number}"}
            for column, values in made.items():
                values.append(row[column])
    return made


def checked(
    table: Dataset,
    *,
    difficulties: Sequence[int] = DIFFICULTIES,
    keep: Sequence[str] = (),
    readable: bool = False,
) -> tuple[Dataset, dict[str, int]]:
    """The rows that are questions with an answer of one word about a picture, and how many are not, by reason.

    Where image_id is null, it becomes a hash of the picture. readable: the pictures were read before; those that have
    an id are not opened here.
    """
    if strangers := [reason for reason in keep if reason not in TOLERATED]:
        raise ConfigError(f"keep: {strangers[0]!r} is not accepted; expected some of {', '.join(map(repr, TOLERATED))}")
    image_ids = table["image_id"][:]
    nameless = [at for at, image_id in enumerate(image_ids) if image_id is None]
    images: list[Any] = image_ids if readable else pictures(table)
    if nameless:
        looked = pictures(table.select(nameless)) if readable else [images[at] for at in nameless]
        images, image_ids = list(images), list(image_ids)
        for at, image in zip(nameless, looked, strict=True):
            images[at], image_ids[at] = image, image if isinstance(image, str) else None
    asked, reasons, seen = zip(image_ids, *(table[column][:] for column in _READ), strict=True), [], set()
    for (image_id, question, answer, level), image in zip(asked, images, strict=True):
        key = (image_id, same_question(question or ""))
        reason = str(image) if isinstance(image, Unscorable) else _fault(question, answer, level, difficulties, keep)
        if reason is None and TWICE not in keep:
            reason = TWICE if key in seen else None
            seen.add(key)
        reasons.append(reason)
    refused = Counter(reason for reason in reasons if reason is not None)
    if len(refused) and not (kept := [at for at, reason in enumerate(reasons) if reason is None]):
        why = ", ".join(f"{reason}: {count}" for reason, count in refused.most_common())
        raise ConfigError(f"no question can be used ({why})")
    if refused:  # flattened at once: scorers add their columns beside, and would do so each time
        table = table.select(kept).flatten_indices()
        image_ids = [image_ids[at] for at in kept]
    if nameless:
        names = table.column_names
        table = table.remove_columns("image_id").add_column("image_id", image_ids, feature=table.features["image_id"])
        table = table.select_columns(names)
    return table, dict(refused.most_common())


_READ = ("question", "answer", "difficulty")


def _fault(
    question: str | None, answer: str | None, level: int | None, difficulties: Sequence[int], keep: Sequence[str]
) -> str | None:
    if question is None:
        return "no question"
    found = fault(answer or "")
    if found is not None and found not in keep:
        return found
    return None if level in difficulties else UNKNOWN


def pictures(table: Dataset) -> list[str | Unscorable]:
    """For each row a hash of its picture's file, or why there is no picture. A file is read once for all its rows."""
    known: dict[str, str | Unscorable] = {}
    found = []
    for row in table.select_columns(["image"]):
        value = row["image"]
        path = value.get("path") if value and value.get("bytes") is None else None
        if path is None or path not in known:
            looked = _looked_at(value, known)
            if path is not None:
                known[path] = looked
        else:
            looked = known[path]
        found.append(looked)
    return found


def _looked_at(value: Any, known: dict[str, str | Unscorable]) -> str | Unscorable:
    content = (value or {}).get("bytes")
    name = hashlib.sha256(content).hexdigest()[:16] if content else None
    if name in known:
        return known[name]
    try:
        name = hashlib.sha256(own_image(value)).hexdigest()[:16]
    except Unscorable as reason:
        return reason
    known[name] = name
    return name


def _formed(rows: Dataset, columns: Columns, split: str | None) -> Dataset:
    """The rows under our own names; images are taken as they are stored, and not written anew."""
    from datasets import Dataset, concatenate_datasets

    features, count = question_features(), len(rows)
    refuse_non_images(rows.features, columns.image)
    pictured = rows.select_columns(["row_id", columns.image]).rename_columns({columns.image: "image"})
    pictured = pictured.cast_column("image", features["image"])  # of a column of bytes; of images it copies nothing
    told: dict[str, pa.Array | pa.ChunkedArray] = {"split": pa.array([split] * count, type=pa.string())}
    for name in ("question", "answer", "image_id", "product_id", "title"):
        given = getattr(columns, name)
        told[name] = pa.nulls(count, pa.string()) if given is None else _texts(rows, given, name)
    levels = [difficulty_of(value) for value in rows[columns.difficulty][:]]
    told["difficulty"] = pa.array(levels, type=pa.int64())
    told["bullets"] = _bullets(rows, columns.bullets)
    beside = {name: feature for name, feature in features.items() if name not in ("row_id", "image")}
    schema = type(features)(beside).arrow_schema
    made = Dataset(pa.Table.from_arrays([told[name] for name in beside], schema=schema))
    return concatenate_datasets([pictured, made], axis=1).select_columns(list(features))


def _texts(rows: Dataset, column: str, what: str) -> pa.Array:
    """As text, without space around; what is empty is null, and what is the word None is that word."""
    kind = getattr(rows.features[column], "dtype", None)
    if kind not in ("string", "large_string"):
        raise ConfigError(f"{what}_column: {column!r} is {kind or type(rows.features[column]).__name__}, not text")
    values = pc.utf8_trim_whitespace(rows.with_format("arrow")[column][:].cast(pa.string()))
    return pc.if_else(pc.equal(values, ""), None, values)


def _bullets(rows: Dataset, column: str | None) -> Any:
    kind = pa.list_(pa.string())
    if column is None:
        return pa.nulls(len(rows), kind)
    values = rows.with_format("arrow")[column][:]
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = pc.split_pattern(values.cast(pa.string()), "\n")
    try:
        return values.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConfigError(f"bullets_column: {column!r} is {values.type}, not texts") from error
