"""Which of two images shows a prompt better: pairs agree with people far better than points do."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.images import decode_image
from tamis.prompts import render, source
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class Pairwise:
    """Column NAME_win (float32, 0..1): the probability that the first image shows the prompt better than the second;
    higher is better, for the first.

    Both orders are asked and averaged, so that a judge that always prefers what it sees first says 0.5. None where an
    image or the prompt cannot be read, or the judge refused.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the name of its column"] = "pairwise"
    first_column: Annotated[str, "the image that may win"] = "first"
    second_column: Annotated[str, "the image it is compared with"] = "second"
    prompt_column: Annotated[str, "what both are to show"] = "prompt"
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64
    prompt: Annotated[str, "the wording's own text: an edited one is another key"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        object.__setattr__(self, "prompt", source("pairwise/better", self.wording))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.first_column, self.second_column, self.prompt_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_win": Value("float32")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        images = {"first": decode_image(row[self.first_column]), "second": decode_image(row[self.second_column])}
        return images | {"prompt": text(row[self.prompt_column], longest=2000)}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        there = self._first_shown_wins(batch["first"], batch["second"], batch["prompt"])
        back = self._first_shown_wins(batch["second"], batch["first"], batch["prompt"])
        wins, reasons = [], []
        for one, other in zip(there, back, strict=True):
            refused = next((value for value in (one, other) if isinstance(value, str)), None)
            wins.append(None if refused else (one + 1 - other) / 2)
            reasons.append(refused)
        return {f"{self.name}_win": wins, f"{self.name}_error": reasons}

    def _first_shown_wins(self, left: list[Any], right: list[Any], prompts: list[str]) -> list[float | str]:
        requests = [
            judges.Request(
                {"A": one, "B": other},
                {
                    "better": {
                        "type": "choice",
                        "instructions": render("pairwise/better", wording=self.wording, prompt=prompt),
                        "criteria": {"first": None, "second": None},
                    }
                },
            )
            for one, other, prompt in zip(left, right, prompts, strict=True)
        ]
        # "second" as option A of pictures A and B would mislead; the pictures change places instead of the options.
        judge = replace(self.judge, order_seed=None)
        answers = [one["better"] for one in judge.decide(requests, batch_size=len(requests))]
        return [answer["error"] if "error" in answer else answer["probabilities"]["first"] for answer in answers]
