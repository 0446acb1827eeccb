"""What a model says for a picture's true score, and for a wrong one: held to the score, it goes on from there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.config import ConfigError
from tamis.images import Unscorable, decode_image
from tamis.prompts import render
from tamis.score_and_explain.replies import begun
from tamis.score_and_explain.scales import HIGH, LOW
from tamis.seeds import seed_of

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class SelfExplanation:
    """Columns NAME_true, NAME_wrong (string): the explanations for the two scores, no score line, no space around.

    It is no score. An explanation may be empty, or in no form to be used: `score_and_explain.fitness` tells. Words that
    are drawn (temperature above 0) are the same again for the same batch_size. None where the image cannot be read, a
    score is not one of 1 to 10, or both are the same.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}; it may wear a LoRA"]
    name: Annotated[str, "begins the names of its columns"] = "self_explanation"
    image_column: Annotated[str, "the image"] = "image"
    score_column: Annotated[str, "its true score, 1 to 10"] = "score"
    wrong_column: Annotated[str, "the wrong one"] = "wrong_score"
    temperature: Annotated[float, "how varied; 0: the likeliest words"] = 0.7
    max_new_tokens: Annotated[int, "tokens an explanation may take"] = 256
    seed: Annotated[int, "what the words are drawn from, with the rows' scores"] = 0
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64
    prompt: Annotated[str, "the wording's own text: an edited one is another key"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        asked = render("score_and_explain/explain", wording=self.wording, lowest=LOW, highest=HIGH)
        object.__setattr__(self, "prompt", asked)
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(f"temperature: {self.temperature} is not accepted; expected 0 or more")
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens: {self.max_new_tokens} is not accepted; expected 1 or more")
        if isinstance(self.judge, judges.ApiJudge) and not self.judge.continues:
            raise ConfigError(f"{self.name}: judge: continues: needed, the score is given and the server is to go on")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column, self.score_column, self.wrong_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features(dict.fromkeys((f"{self.name}_true", f"{self.name}_wrong"), Value("string")))

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        scores = [_score(row[column], column) for column in (self.score_column, self.wrong_column)]
        if scores[0] == scores[1]:
            raise Unscorable(f"{self.wrong_column}: the true score")
        return {"image": decode_image(row[self.image_column]), "scores": scores}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        rows = list(zip(batch["image"], batch["scores"], strict=True))
        # The same image and prompt twice: the judge reads them once.
        asks = [judges.Ask(self.prompt, (image,), begun(score)) for image, scores in rows for score in scores]
        written = self.judge.write(
            asks,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            seed=seed_of("self-explanation", self.seed, batch["scores"], bits=31),
            batch_size=len(asks),
        )
        texts = [text.strip() for text in written]
        return {f"{self.name}_true": texts[::2], f"{self.name}_wrong": texts[1::2]}


def _score(value: Any, column: str) -> int:
    if value is None:
        raise Unscorable(f"{column}: null")
    if isinstance(value, bool) or value not in range(LOW, HIGH + 1):
        raise Unscorable(f"{column}: not one of {LOW} to {HIGH}")
    return int(value)
