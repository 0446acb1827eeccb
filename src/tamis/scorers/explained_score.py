"""A model's score of a picture, and its reason, as score_and_explain trains it to give both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.images import decode_image
from tamis.prompts import render
from tamis.score_and_explain.replies import Parsed, parse
from tamis.score_and_explain.scales import HIGH, LOW
from tamis.score_and_explain.score_lines import LINES, expected

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class ExplainedScore:
    """What the model replies when it is asked for a score and its reason, greedily; scores are 1..10, higher is better:

    - NAME_score (float32, whole numbers): the score of the reply.
    - NAME_explanation: the reply's reason, without its score line.
    - NAME_reply: the reply as it was written.
    - NAME_expected (float32): the mean of 1 to 10 by the probability that the model gives each whole score line, which
      is continuous where the reply's score has many ties. It needs no well-formed reply.
    - NAME_probabilities: of the ten lines, 1 first; they sum to 1, however much the model would rather write.

    None where the image cannot be read; score and explanation are None where the reply has not the form it was asked
    for, or nothing was written. With `expected: false`, as for a judge on a server, there are no columns of lines.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the names of its columns"] = "explained_score"
    image_column: Annotated[str, "the image"] = "image"
    expected: Annotated[bool, "read the probability of each score line too; of a model on this machine alone"] = True
    max_new_tokens: Annotated[int, "tokens a reply may take"] = 256
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64
    prompt: Annotated[str, "the wording's own text: an edited one is another key"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        asked = render("score_and_explain/explain", wording=self.wording, lowest=LOW, highest=HIGH)
        object.__setattr__(self, "prompt", asked)
        if self.expected and not isinstance(self.judge, judges.LocalJudge):
            raise ValueError(
                "expected: a server does not tell how likely a model is to write a text; set expected: false, and no "
                "expected score is given"
            )
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens: {self.max_new_tokens} is not accepted; expected 1 or more")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column,)

    @property
    def columns(self) -> Features:
        from datasets import Features, List, Value

        kinds = {"score": Value("float32"), "explanation": Value("string"), "reply": Value("string")}
        if self.expected:
            kinds |= {"expected": Value("float32"), "probabilities": List(Value("float32"))}
        return Features({f"{self.name}_{what}": kind for what, kind in kinds.items()})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"image": decode_image(row[self.image_column])}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        asks = [judges.Ask(self.prompt, (image,)) for image in batch["image"]]
        replies = self.judge.write(asks, max_new_tokens=self.max_new_tokens, batch_size=len(asks))
        rows = [self._row(reply) for reply in replies]
        if self.expected:
            told = self.judge.likelihoods(asks, [LINES] * len(asks), batch_size=len(asks))
            for row, likely in zip(rows, told, strict=True):
                row["probabilities"], row["expected"] = expected(likely)
        return {
            **{column: [row[column.removeprefix(f"{self.name}_")] for row in rows] for column in self.columns},
            f"{self.name}_error": [row["error"] for row in rows],
        }

    def _row(self, reply: str) -> dict[str, Any]:
        found = parse(reply)
        if not isinstance(found, Parsed):
            return {"score": None, "explanation": None, "reply": reply, "error": f"reply: {found}"}
        return {"score": float(found.score), "explanation": found.explanation, "reply": reply, "error": None}
