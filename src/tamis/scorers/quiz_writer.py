"""The writer of quizzes: a row is a topic, and its score the questions that a judge makes of the topic's article."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.prompts import source
from tamis.quiz.questions import Topic, row_features, write_quizzes
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class QuizWriter:
    """Columns of a dataset with a row a topic. It is no score:

    - NAME_questions: the questions, each with its options and its answer, one of them.
    - NAME_repaired (int32): how often the quiz went back to the judge because it broke a rule, 0 to 2.

    None where the topic has no article, or its quiz broke a rule three times; the reason names the rule.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the names of its columns"] = "quiz_writer"
    topic_column: Annotated[str, "the topic's name"] = "topic"
    article_column: Annotated[str, "what is known of it"] = "article"
    lookalikes_column: Annotated[str | None, "names and articles of what it is taken for; null: ask of it alone"] = None
    count: Annotated[int, "questions a quiz"] = 10
    options: Annotated[int, "options a question"] = 4
    longest_article: Annotated[int, "characters read of an article"] = 8000
    max_new_tokens: Annotated[int, "tokens a quiz may take"] = 2048
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "topics a kill can cost"] = 4
    prompts: Annotated[tuple[str, ...], "the wording's own texts: an edited one is another key"] = field(
        init=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        object.__setattr__(self, "prompts", tuple(source(f"quiz/{name}", self.wording) for name in ("write", "repair")))
        for name, least in (("count", 1), ("options", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: {getattr(self, name)} is not accepted; expected {least} or more")

    @property
    def inputs(self) -> tuple[str, ...]:
        columns = (self.topic_column, self.article_column, self.lookalikes_column)
        return tuple(column for column in columns if column is not None)

    @property
    def columns(self) -> Features:
        from datasets import Features, List, Value

        return Features({f"{self.name}_questions": List(row_features()), f"{self.name}_repaired": Value("int32")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return self.article_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        article = text(row[self.article_column], longest=self.longest_article, what="article")
        others = (row[self.lookalikes_column] if self.lookalikes_column else None) or []
        lookalikes = {one["topic"]: one["article"][: self.longest_article] for one in others if one["article"]}
        return {"topic": Topic(row[self.topic_column], article, lookalikes)}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        settings = {"count": self.count, "options": self.options, "wording": self.wording}
        quizzes = write_quizzes(self.judge, batch["topic"], max_new_tokens=self.max_new_tokens, **settings)
        names = [topic.name for topic in batch["topic"]]
        written = [quizzes.written.get(name) for name in names]
        return {
            f"{self.name}_questions": [None if quiz is None else [one.row() for one in quiz] for quiz in written],
            f"{self.name}_repaired": [quizzes.repaired.get(name) for name in names],
            f"{self.name}_error": [quizzes.refused.get(name) for name in names],
        }
