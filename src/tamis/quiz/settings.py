"""The settings of quizzes: where candidates stand, who writes and takes the questions, who grades besides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis.config import ConfigError

if TYPE_CHECKING:
    from tamis.candidates import Columns

STYLES = {"photo": "diffusion/caption", "illustration": "diffusion/caption_illustration"}


@dataclass(kw_only=True)
class QuizSettings:
    """A recipe's flat config inherits them."""

    topic_column: Annotated[str, "what a picture is said to show"] = "topic"
    article_column: Annotated[str, "what is known of the topic, the same in all of its rows"] = "article"
    image_column: Annotated[str, "the picture"] = "image"
    author_column: Annotated[str | None, "who made it, for attribution"] = None
    licence_column: Annotated[str | None, "its licence; one that forbids derivatives is left out"] = None
    lookalike_column: Annotated[str | None, "what the topic is taken for"] = None
    lookalike_article_column: Annotated[str | None, "and the article on that"] = None
    topic_columns: Annotated[
        list[str],
        "more that is known of a topic, for grading; by the first, as its category, intervals are clustered too",
    ] = field(default_factory=list)
    topics: Annotated[list[str] | None, "only these topics"] = None
    allow_no_derivatives: Annotated[bool, "use pictures whose licence forbids derivatives all the same"] = False

    writer: Annotated[dict[str, Any], "judge that writes the quizzes: {backend: ..., model: ...}"]
    judge: Annotated[dict[str, Any], "judge that takes them: {backend: ..., model: ...}"]
    weaker_judge: Annotated[dict[str, Any] | None, "another taker, for the arms that end in .weaker"] = None
    wording: Annotated[Literal["full", "short"], "of the prompts; short: for models of a few million parameters"] = (
        "full"
    )
    questions: Annotated[int, "questions a quiz, those held out among them"] = 15
    heldout_questions: Annotated[int, "of these never used to select, only to grade"] = 5
    options: Annotated[int, "options a question"] = 4
    contrastive: Annotated[bool, "ask what tells the topic from its look-alike"] = False
    cannot_tell: Annotated[str | None, "the option that is never right; null: none"] = (
        "it cannot be told from the picture"
    )
    quiz_orders: Annotated[int, "orders of the options asked and averaged"] = 1

    def __post_init__(self) -> None:
        for name, least in (("questions", 1), ("quiz_orders", 1), ("options", 2), ("heldout_questions", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: {getattr(self, name)!r} is not accepted; expected {least} or more")
        if self.heldout_questions >= self.questions:
            raise ConfigError(
                f"heldout_questions: {self.heldout_questions} of {self.questions} questions leave none to select by"
            )

    def columns(self) -> Columns:
        from tamis.candidates import Columns

        return Columns(
            topic=self.topic_column,
            article=self.article_column,
            image=self.image_column,
            author=self.author_column,
            licence=self.licence_column,
            lookalike=self.lookalike_column,
            lookalike_article=self.lookalike_article_column,
            about_topic=tuple(self.topic_columns),
        )

    def reading(self) -> list[dict[str, Any]]:
        """Scorers: who writes the quizzes, who is asked them blind, who takes them on the candidates."""
        lookalikes = "lookalikes" if self.contrastive else None
        written = {"count": self.questions, "options": self.options, "lookalikes_column": lookalikes}
        taken = {"image_column": self.image_column, "left_out_column": "left_out", **self._asked()}
        scorers = [
            {"scorer": "quiz_writer", "judge": self.writer, "wording": self.wording, **written},
            {"scorer": "needs_picture", "judge": self.judge, "wording": self.wording},
            {"scorer": "quiz", "judge": self.judge, **taken},
        ]
        if self.weaker_judge:
            scorers.append({"scorer": "quiz", "name": "weaker_quiz", "judge": self.weaker_judge, **taken})
        return scorers

    def graders(self) -> list[dict[str, Any]]:
        """Scorers of what is drawn: the quiz that selected, and the questions that did not."""
        quiz = {"scorer": "quiz", "judge": self.judge, "image_column": "image", **self._asked()}
        heldout = quiz | {"name": "heldout_quiz", "questions_column": "heldout_questions"}
        return [quiz, *([heldout] if self.heldout_questions else [])]

    def prompt(self, topic: str, style: str) -> str:
        from tamis.prompts import render

        return render(STYLES[style], wording=self.wording, topic=topic)

    def _asked(self) -> dict[str, Any]:
        return {"wording": self.wording, "cannot_tell": self.cannot_tell, "orders": self.quiz_orders}
