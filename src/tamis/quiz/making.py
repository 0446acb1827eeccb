"""Making quizzes: written by a judge, asked once without a picture, split into one to select by and one held out."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis.quiz.questions import row_features
from tamis.scoring import attach_scores

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.scorers.needs_picture import NeedsPicture
    from tamis.scorers.quiz_writer import QuizWriter

LEAST_MISSED = 0.5  # of the orders of its options; below, the judge answers the question without the picture
USES = ("quiz", "heldout", "dropped", "unchecked")


@dataclass(frozen=True)
class QuizSet:
    table: Dataset  # a row a question: what it is, how it did without a picture, its use
    refused: dict[str, str]  # topics without a quiz, and why

    def of(self, use: str) -> dict[str, list[dict[str, Any]]]:
        """topic to its questions of that use, as rows."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        names = list(row_features())
        for row in self.table:
            if row["use"] == use:
                found[row["topic"]].append({name: row[name] for name in names})
        return dict(found)

    def told(self, topics: Dataset) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """What a drawn picture's row tells of its topic: what is known of it, both quizzes; and their types."""
        quiz, heldout = self.of("quiz"), self.of("heldout")
        known = _told_of(topics)
        rows = [
            {name: row[name] for name in known}
            | {"questions": quiz.get(row["topic"], []), "heldout_questions": heldout.get(row["topic"], [])}
            for row in topics
        ]
        return rows, told_features(topics)

    def counts(self) -> dict[str, int]:
        found = Counter(self.table["use"][:])
        return {use: found[use] for use in USES}


def told_features(topics: Dataset) -> dict[str, Any]:
    """Types of what QuizSet.told tells, known before there are quizzes."""
    from datasets import List

    asked = dict.fromkeys(("questions", "heldout_questions"), List(row_features()))
    return {name: topics.features[name] for name in _told_of(topics)} | asked


def _told_of(topics: Dataset) -> list[str]:
    return [name for name in topics.column_names if name not in ("article", "lookalikes")]


def make_quizzes(
    topics: Dataset,
    writer: QuizWriter,
    blind: NeedsPicture,
    *,
    heldout: int,
    run: Run,
    batch_size: int,
) -> QuizSet:
    """The quizzes of these topics (columns topic, article, lookalikes).

    Of a topic's questions those that the judge answers without a picture are dropped, those that it refuses to be asked
    without one are set aside as unchecked; `heldout` of the others, drawn by the run's seed, never select. A topic
    whose quiz would be left without a question is refused.
    """
    from datasets import Dataset, Features, Value

    written = attach_scores(topics, writer, run=run, batch_size=writer.rows_per_chunk)
    refused = {
        row[writer.topic_column]: f"no quiz: {row[f'{writer.name}_error']}"
        for row in written
        if row[f"{writer.name}_error"] is not None
    }
    questions = [one for row in written[f"{writer.name}_questions"] for one in row or ()]
    features = Features(row_features())
    if not questions:
        columns = features | {"use": Value("string")}
        return QuizSet(Dataset.from_dict({name: [] for name in columns}, features=Features(columns)), refused)
    asked = attach_scores(Dataset.from_list(questions, features=features), blind, run=run, batch_size=batch_size)

    uses = _uses(asked, blind, heldout, run.seed)
    known = [1 - value if value is not None else 0.0 for value in asked[f"{blind.name}_surprise"][:]]
    asked = asked.remove_columns("blind_confidence").add_column("blind_confidence", known, feature=Value("float32"))
    table = asked.add_column("use", uses, feature=Value("string"))
    left = {topic for topic, use in zip(table["topic"][:], uses, strict=True) if use == "quiz"}
    for topic in dict.fromkeys(table["topic"][:]):
        if topic not in left:
            refused[topic] = "no quiz: no question needs the picture"
    return QuizSet(table, refused)


def _uses(asked: Dataset, blind: NeedsPicture, heldout: int, seed: int) -> list[str]:
    uses: list[str] = []
    by_topic: dict[str, list[int]] = defaultdict(list)
    for position, (topic, missed) in enumerate(zip(asked["topic"][:], asked[f"{blind.name}_missed"][:], strict=True)):
        uses.append("unchecked" if missed is None else "dropped" if missed < LEAST_MISSED else "quiz")
        if uses[-1] == "quiz":
            by_topic[topic].append(position)
    for topic, positions in by_topic.items():
        spare = min(heldout, len(positions) - 1)  # the quiz itself comes first
        for position in random.Random(f"heldout {seed} {topic}").sample(positions, spare):
            uses[position] = "heldout"
    return uses
