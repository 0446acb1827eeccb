"""The score that a judge guesses from an explanation alone: what an explanation is worth, and whom it agrees with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.prompts import lines, render, source
from tamis.prompts.tags import kept_inside
from tamis.score_and_explain.scales import LOW
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features

LONGEST = 4000  # characters of an explanation


@dataclass(frozen=True)
class GuessedScore:
    """Column NAME_score (float32, 1..10): 1 + the judge's expected level of ten, from the explanation, without the
    picture and without the score it was written for. It is no score of the picture: compared with the score that the
    explanation was given with, it tells whether the explanation supports that.

    A judge has its own leaning: ask several, none of them the model whose explanations they are. None where there is
    no explanation, or the judge refused.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the name of its column"] = "guessed_score"
    explanation_column: Annotated[str, "the explanation, without its score line"] = "explained_score_explanation"
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 256
    prompts: Annotated[tuple[str, ...], "the wording's own texts: an edited one is another key"] = field(
        init=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        names = ("score_and_explain/guess", "score_and_explain/guess.levels")
        object.__setattr__(self, "prompts", tuple(source(name, self.wording) for name in names))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.explanation_column,)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_score": Value("float32")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return self.explanation_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        told = text(row[self.explanation_column], longest=LONGEST, what="explanation").strip()
        return {"explanation": kept_inside(told, "explanation")}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        levels = lines("score_and_explain/guess.levels", wording=self.wording)
        requests = []
        for explanation in batch["explanation"]:
            asked = render("score_and_explain/guess", wording=self.wording, explanation=explanation)
            question = {"type": "score", "instructions": asked, "criteria": levels}
            requests.append(judges.Request("", {"guess": question}))
        answers = [one["guess"] for one in self.judge.decide(requests, batch_size=len(requests))]
        return {
            f"{self.name}_score": [None if "error" in one else LOW + one["score"] for one in answers],
            f"{self.name}_error": [one.get("error") for one in answers],
        }
