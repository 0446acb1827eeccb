"""Candidates: pictures of topics with an article on each, as collected from Wikipedia and Wikimedia Commons, in any
dataset that has a topic, a text and an image column."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tamis.config import ConfigError
from tamis.quiz.questions import row_features

if TYPE_CHECKING:
    from datasets import Dataset, Features

LEFT_OUT = "left_out"  # column of the pool: why a candidate may not be chosen; null: it may
# A LoRA is made from its pictures: a licence that allows no derivatives forbids that.
NO_DERIVATIVES = re.compile(
    r"(?<![a-z])(nd|no[ _-]?deriv(s|ative|atives)?|all[ _-]rights[ _-]reserved)(?![a-z])", re.IGNORECASE
)


@dataclass(frozen=True)
class Columns:
    """What the columns of a dataset of candidates are called."""

    topic: str
    article: str
    image: str
    author: str | None = None
    licence: str | None = None
    lookalike: str | None = None  # the name of what a topic is taken for
    lookalike_article: str | None = None
    about_topic: tuple[str, ...] = ()  # more that is known of a topic and the same in all of its rows: its category

    @property
    def needed(self) -> tuple[str, ...]:
        own = (value for name, value in vars(self).items() if name != "about_topic")
        return (*(name for name in own if name is not None), *self.about_topic)


@dataclass(frozen=True)
class Candidates:
    pool: Dataset  # every row
    left_out: list[str | None]  # of each row: why it may not be chosen
    topics: Dataset  # a row a topic: topic, article, lookalikes, and what else is known of it
    columns: Columns
    refused: dict[str, str]  # topics that cannot take part, and why

    @property
    def names(self) -> list[str]:
        """The topics that take part."""
        return [name for name in self.topics["topic"][:] if name not in self.refused]

    def participating(self) -> Dataset:
        """The rows of `topics` that take part."""
        from datasets import Dataset

        rows = [row for row in self.topics if row["topic"] not in self.refused]
        return Dataset.from_list(rows, features=self.topics.features)

    def without(self, refused: dict[str, str]) -> Candidates:
        """Less topics that are found unfit; an error where none would be left."""
        fewer = replace(self, refused=self.refused | refused)
        if not fewer.names:
            why = "; ".join(f"{count} of them: {reason}" for reason, count in Counter(fewer.refused.values()).items())
            raise ConfigError(f"no topic is left of {len(self.topics)} ({why})")
        return fewer

    def to_score(self, questions: dict[str, list[dict[str, Any]]]) -> Dataset:
        """The pool with `questions`, its topic's, and `left_out`, why a row may not be chosen and so is not asked."""
        from datasets import List, Value

        names = self.pool[self.columns.topic][:]
        reasons = [why or self.refused.get(name) for name, why in zip(names, self.left_out, strict=True)]
        asked = [questions.get(name) for name in names]
        pool = self.pool.add_column(LEFT_OUT, reasons, feature=Value("string"))
        return pool.add_column("questions", asked, feature=List(row_features()))

    def by_topic(self, scored: Dataset) -> dict[str, Dataset]:
        """Each topic's rows of a scored pool, topics that take part alone."""
        at: dict[str, list[int]] = {name: [] for name in self.names}
        for position, name in enumerate(scored[self.columns.topic][:]):
            if name in at:
                at[name].append(position)
        return {name: scored.select(positions) for name, positions in at.items()}


def gather(pool: Dataset, columns: Columns, *, only: list[str] | None, allow_no_derivatives: bool) -> Candidates:
    """The topics of a pool and its rows' fitness. only: these topics; the rows of others are then left aside."""
    from datasets import Dataset

    _refuse_unfit(pool, columns)
    if only is not None:
        there = set(pool[columns.topic][:])
        if strangers := [topic for topic in only if topic not in there]:
            raise ConfigError(f"topics: {', '.join(map(repr, strangers))} is not in column {columns.topic!r}")
        wanted = set(only)
        # Flattened at once: the few rows' images are written anew here, and never again by the scorers.
        pool = pool.select([at for at, topic in enumerate(pool[columns.topic][:]) if topic in wanted])
        pool = pool.flatten_indices()
    topics = _topics(pool, columns)
    if not topics:
        raise ConfigError(f"topic_column: {columns.topic!r} is empty in every row")
    left_out = _left_out(pool, columns, allow_no_derivatives)
    refused = {row["topic"]: "no article" for row in topics if not row["article"]}
    known = Dataset.from_list(topics, features=_topic_features(pool, columns))
    return Candidates(pool, left_out, known, columns, {}).without(refused)


def folder_names(topics: list[str]) -> dict[str, str]:
    """For each topic a name that a folder and a repository take; two topics never share one."""
    found: dict[str, str] = {}
    for topic in topics:
        plain = re.sub(r"[^\w-]+", "-", topic, flags=re.ASCII).strip("-")[:100] or "topic"
        name, number = plain, 2
        while name.lower() in {other.lower() for other in found.values()}:  # not every disk tells dax from Dax
            name, number = f"{plain}-{number}", number + 1
        found[topic] = name
    return found


def _refuse_unfit(pool: Dataset, columns: Columns) -> None:
    texts = {name: value for name, value in vars(columns).items() if name not in ("image", "author", "about_topic")}
    for setting, column in texts.items():
        kind = getattr(pool.features.get(column), "dtype", None)
        if column is not None and kind not in ("string", "large_string"):
            raise ConfigError(f"{setting}_column: {column!r} is {kind or 'no column of numbers or texts'}, not text")
    for name in (LEFT_OUT, "questions"):
        if name in pool.column_names:
            raise ConfigError(f"the dataset has a column {name!r} already, which is added here: rename it")


def _topic_features(pool: Dataset, columns: Columns) -> Features:
    """Said, not guessed from the rows: where no topic has a look-alike, a list of nothing would have no type."""
    from datasets import Features, List, Value

    article = {"topic": Value("string"), "article": Value("string")}
    about = {name: pool.features[name] for name in columns.about_topic}
    return Features(article | about | {"lookalikes": List(article)})


def _left_out(pool: Dataset, columns: Columns, allow_no_derivatives: bool) -> list[str | None]:
    reasons: list[str | None] = [None if topic else "no topic" for topic in pool[columns.topic][:]]
    if columns.licence and not allow_no_derivatives:
        for at, licence in enumerate(pool[columns.licence][:]):
            if reasons[at] is None and licence and NO_DERIVATIVES.search(licence):
                reasons[at] = "its licence forbids derivatives"
    return reasons


def _topics(pool: Dataset, columns: Columns) -> list[dict[str, Any]]:
    """In the order of their names, so that the order of the rows decides nothing."""
    read = [name for name in columns.needed if name not in (columns.image, columns.author, columns.licence)]
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in pool.select_columns(list(dict.fromkeys(read))):
        if row[columns.topic]:
            rows[row[columns.topic]].append(row)
    topics = []
    for topic in sorted(rows):
        told = {"topic": topic, "article": _usual(rows[topic], columns.article) or ""}
        told |= {name: _the_same(rows[topic], name, topic) for name in columns.about_topic}
        topics.append(told | {"lookalikes": _lookalikes(rows[topic], columns)})
    return topics


def _the_same(rows: list[dict[str, Any]], name: str, topic: str) -> Any:
    if any(row[name] != rows[0][name] for row in rows):
        raise ConfigError(f"topic_columns: {name!r} is not the same in all rows of {topic!r}")
    return rows[0][name]


def _usual(rows: list[dict[str, Any]], column: str) -> str | None:
    """The text that most rows have, the longest of several; rows of a topic may have been collected at many times."""
    texts = Counter(row[column].strip() for row in rows if row[column] and row[column].strip())
    return max(texts, key=lambda text: (texts[text], len(text), text)) if texts else None


def _lookalikes(rows: list[dict[str, Any]], columns: Columns) -> list[dict[str, str]]:
    if columns.lookalike is None or columns.lookalike_article is None:
        return []
    pairs = {(row[columns.lookalike], row[columns.lookalike_article]) for row in rows}
    return [{"topic": name, "article": article} for name, article in sorted(pair for pair in pairs if all(pair))]
