"""The ten yes/no questions by which a text-to-image model's judge rewards its pictures (class-conditional
self-reward)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.images import decode_image
from tamis.prompts import self_reward, source
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features

SURE = 0.5  # a yes is more likely than a no


@dataclass(frozen=True)
class SelfReward:
    """What ten answers about a picture, its class and its prompt come to; higher is better:

    - NAME_score (float32, 0..1): the mean probability of the good answer, every question with its right sign.
    - NAME_points (float32, -1..9): as the published code counts, where a yes is what is more likely than a no: realism
      always earns a point, whatever the answer, and things that could be taken for the class earn one. Few different
      values: many ties.
    - NAME_answers: for each question its name and the probability of yes.

    Of a chat model the probabilities are not calibrated. None where the picture, its class or its prompt cannot be
    read, or the judge refused a question.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the names of its columns"] = "self_reward"
    image_column: Annotated[str, "the image"] = "image"
    class_column: Annotated[str, "what it is to show"] = "class"
    prompt_column: Annotated[str, "what it was drawn from"] = "prompt"
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64
    prompts: Annotated[tuple[str, ...], "the wording's own texts: an edited one is another key"] = field(
        init=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        asked = tuple(source(f"self_reward/{question}", self.wording) for question in self_reward.SIGNS)
        object.__setattr__(self, "prompts", asked)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column, self.class_column, self.prompt_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, List, Value

        answer = {"question": Value("string"), "yes": Value("float32")}
        shares = {f"{self.name}_{what}": Value("float32") for what in ("score", "points")}
        return Features(shares | {f"{self.name}_answers": List(answer)})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        told = [text(row[column], longest=2000).strip() for column in (self.class_column, self.prompt_column)]
        return {"image": decode_image(row[self.image_column]), "told": told}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        requests = [
            judges.Request(
                image,
                {
                    name: {"type": "noul", "instructions": instructions}
                    for name, instructions in self_reward.questions(*told, wording=self.wording).items()
                },
            )
            for image, told in zip(batch["image"], batch["told"], strict=True)
        ]
        rows = [self._row(answers) for answers in self.judge.decide(requests, batch_size=len(requests))]
        return {column: [row.get(column) for row in rows] for column in [*self.columns, f"{self.name}_error"]}

    def _row(self, answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
        refused = next((answer["error"] for answer in answers.values() if "error" in answer), None)
        if refused is not None:
            return {f"{self.name}_error": refused}
        yes = {name: answers[name]["noul"] for name in self_reward.SIGNS}
        good = [yes[name] if sign > 0 else 1 - yes[name] for name, sign in self_reward.SIGNS.items()]
        points = [self_reward.PUBLISHED_POINTS[name][0 if yes[name] > SURE else 1] for name in yes]
        values = {
            "score": sum(good) / len(good),
            "points": sum(points),
            "answers": [{"question": name, "yes": value} for name, value in yes.items()],
        }
        return {f"{self.name}_{what}": value for what, value in values.items()}
