"""The technical quality of an image as a judge rates it: five levels, read from one forward pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis import judge as judges
from tamis.images import decode_image
from tamis.judge.shares import shares
from tamis.prompts import lines, render, source
from tamis.scale_select.quality_words import CONVENTIONS, squared

if TYPE_CHECKING:
    from datasets import Features
    from PIL import Image


@dataclass(frozen=True)
class RatedImage:
    """Column NAME_level (float32, 1..5), higher is better: 1 + the expected level of five, 5 a picture that is sharp
    and clean everywhere. Continuous, with few ties. NAME_probabilities (list): of the five levels, worst first.

    convention: levels asks any judge that sees a typed question about blur and noise. The others ask a model as it was
    tuned, by the first token of each of five words that end a sentence, softmax over these alone, and need a judge on
    this machine: q_sit (zhangzicheng/q-sit, q-sit-mini), q_realign (q-future/Q-ReAlign-Mini-0.8B, -Lite-4B, -Pro-9B),
    q_align (models that are tuned by Q-Align's; one-align itself cannot be loaded). They were tuned on what people find
    good, which is more than blur and noise, and give 0..1 in their own code: NAME_level is 1 + 4 times that.

    None where the image cannot be read, or the judge refused.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the name of its column"] = "rated_image"
    image_column: Annotated[str, "the image"] = "image"
    convention: Annotated[
        Literal["levels", "q_sit", "q_align", "q_realign"],
        "levels: a typed question, for any judge; the others: as models of that family were tuned to be asked",
    ] = "levels"
    wording: Annotated[str, "of levels: full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 256
    prompts: Annotated[tuple[str, ...], "the wording's own texts: an edited one is another key"] = field(
        init=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        by_levels = self.convention == "levels"
        if not by_levels and not isinstance(self.judge, judges.LocalJudge):
            raise ValueError(
                f"convention: {self.convention} reads the probability of words, which a server does not tell; expected "
                "levels, or a judge on this machine"
            )
        names = ("scale/image_quality", "scale/image_quality.levels") if by_levels else ()
        object.__setattr__(self, "prompts", tuple(source(name, self.wording) for name in names))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column,)

    @property
    def columns(self) -> Features:
        from datasets import Features, List, Value

        return Features({f"{self.name}_level": Value("float32"), f"{self.name}_probabilities": List(Value("float32"))})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        image = decode_image(row[self.image_column])
        asked = CONVENTIONS.get(self.convention)
        return {"image": squared(image) if asked and asked.square else image}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        told = self._by_levels(batch["image"]) if self.convention == "levels" else self._by_words(batch["image"])
        expected = [None if isinstance(one, str) else _expected(one) for one in told]
        return {
            f"{self.name}_level": expected,
            f"{self.name}_probabilities": [None if isinstance(one, str) else one for one in told],
            f"{self.name}_error": [one if isinstance(one, str) else None for one in told],
        }

    def _by_levels(self, images: list[Image.Image]) -> list[list[float] | str]:
        """The probability of each level, or why there is none."""
        question = {
            "type": "score",
            "instructions": render("scale/image_quality", wording=self.wording),
            "criteria": lines("scale/image_quality.levels", wording=self.wording),
        }
        requests = [judges.Request(image, {"quality": question}) for image in images]
        answers = [one["quality"] for one in self.judge.decide(requests, batch_size=len(requests))]
        return [one["error"] if "error" in one else list(one["probabilities"].values()) for one in answers]

    def _by_words(self, images: list[Image.Image]) -> list[list[float] | str]:
        asked = CONVENTIONS[self.convention]
        asks = [judges.Ask(asked.prompt, (image,), asked.begun) for image in images]
        told = self.judge.likelihoods(asks, [asked.words] * len(asks), batch_size=len(asks), first_tokens=True)
        return [shares(one) for one in told]


def _expected(probabilities: list[float]) -> float:
    """Of 1 to 5, worst first."""
    return math.fsum(level * share for level, share in enumerate(probabilities, start=1))
