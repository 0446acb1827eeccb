"""Questions and answers about pictures, as training sees them: tokens, and which picture; pictures told by content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tamis.config import ConfigError
from tamis.images import Unscorable
from tamis.texts import text
from tamis.training.pictures import digest_of
from tamis.training.vqa_prompts import answer_ids, question_ids

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.training.pictures import Pictures
    from tamis.training.vqa_lora import VqaLora
    from tamis.training.vqa_model import VqaModel

LONGEST = 2000  # characters of a question


@dataclass(frozen=True)
class Columns:
    image: str
    question: str
    answer: str
    image_id: str | None

    def refuse_unfit(self, name: str, rows: Dataset) -> None:
        if len(rows) == 0:
            raise ConfigError(f"adapter {name!r}: no rows to learn from")
        for column in (self.image, self.question, self.answer):
            if column not in rows.column_names:
                raise ConfigError(
                    f"adapter {name!r}: column {column!r} is not among its rows'; there are: "
                    f"{', '.join(rows.column_names)}"
                )

    def of(self, rows: Dataset) -> Dataset:
        """What decides an adapter, images as they are stored."""
        from datasets import Image

        rows = rows.select_columns([self.image, self.question, self.answer])
        if isinstance(rows.features[self.image], Image):
            rows = rows.cast_column(self.image, Image(decode=False))
        return rows.with_format(None)

    def ids(self, rows: Dataset) -> Iterable[Any] | None:
        if self.image_id is None or self.image_id not in rows.column_names:
            return None
        return rows.with_format(None)[self.image_id]


@dataclass(frozen=True)
class Example:
    image: str  # a hash of its file
    question: list[int]
    answer: list[int]


@dataclass
class Rows:
    """What an adapter learns from."""

    examples: list[Example] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)  # by reason
    questions_cut: int = 0
    answers_cut: int = 0


def read(rows: Dataset, columns: Columns, pictures: Pictures) -> tuple[list[tuple[str, str, str]], Counter[str]]:
    """(picture, question, answer) of the rows that have all three; pictures become known to `pictures`.

    Two files under one image_id are refused: whoever splits by it would not split by picture.
    """
    kept, left_out = [], Counter()
    stored, ids, named = columns.of(rows), columns.ids(rows), {}
    for position, row in enumerate(stored):
        try:
            digest = digest_of(row[columns.image])
            question = text(row[columns.question], longest=LONGEST, what="question")
            answer = text(row[columns.answer], longest=LONGEST, what="answer")
        except Unscorable as reason:
            left_out[str(reason)] += 1
            continue
        if ids is not None and named.setdefault(ids[position], digest) != digest:
            raise ConfigError(f"{columns.image_id}: {ids[position]!r} names two different pictures")
        pictures.where.setdefault(digest, (stored, position))
        kept.append((digest, question, answer))
    return kept, left_out


def learnable(
    told: list[tuple[str, str, str]],
    left_out: Counter[str],
    unreadable: dict[str, str],
    model: VqaModel,
    config: VqaLora,
) -> Rows:
    """Rows of pictures that can be read, in tokens."""
    rows = Rows(left_out=left_out + Counter(unreadable[image] for image, _, _ in told if image in unreadable))
    told = [row for row in told if row[0] not in unreadable]
    asked = question_ids(
        model.tokenizer, [row[1] for row in told], prefix=config.question_prefix, longest=config.question_tokens
    )
    written = answer_ids(model.tokenizer, [row[2] for row in told], start=model.start, longest=config.answer_tokens)
    for (image, _, _), (question, question_cut), (answer, answer_cut) in zip(told, asked, written, strict=True):
        rows.examples.append(Example(image, question, answer))
        rows.questions_cut += question_cut
        rows.answers_cut += answer_cut
    return rows
