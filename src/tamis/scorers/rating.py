"""What a judge thinks of a conversation about a picture, by several criteria at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.prompts import lines, names, render, source, variables
from tamis.prompts.tags import kept_inside
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features

FOLDER, LEVELS = "scale", ".levels"
TEXT, GENERAL, TASK = "conversation", "general_caption", "task_caption"  # variables of the prompts, and their tags


@dataclass(frozen=True)
class Rating:
    """What a judge thinks of a row's text, from one forward pass and nothing written; higher is better:

    - NAME_CRITERION (float32, 1..5), one for each criterion: 1 + the expected level of five.
    - NAME_CRITERION_probabilities (list): of the five levels, lowest first: the judge's reply as it was.
    - NAME_overall (float32, 1..5): their mean.

    The judge never sees the picture: criteria that hold the text against it (clarity, relevance, task_rarity) have
    captions of it to read. All criteria of a row are asked of one reading of its text, where the prompts begin alike
    and the model allows. Of a text or a caption that is longer the first longest_text characters are read: what stands
    behind them is neither rated nor missed, so that a long conversation seems to break off there.

    None where there is no text, where a general caption is asked for and there is none, or the judge refused; a row
    without a task caption is rated without.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the names of its columns"] = "rating"
    criteria: Annotated[list[str], "what is rated, each a prompt of tamis/prompts/scale with five levels"] = field(
        default_factory=lambda: ["informativeness", "complexity", "completeness"]
    )
    text_column: Annotated[str, "the whole conversation, a line a turn"] = "text"
    general_caption_column: Annotated[str | None, "what the picture shows; null: no criterion asks for it"] = None
    task_caption_column: Annotated[str | None, "what of it the task is about; null: there is none"] = None
    longest_text: Annotated[int, "characters read of a text or caption"] = 16_000
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64
    prompts: Annotated[tuple[str, ...], "the wording's own texts: an edited one is another key"] = field(
        init=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        self._refuse_unfit()
        asked = [f"{FOLDER}/{one}{levels}" for one in self.criteria for levels in ("", LEVELS)]
        object.__setattr__(self, "prompts", tuple(source(one, self.wording) for one in asked))

    @property
    def inputs(self) -> tuple[str, ...]:
        columns = (self.text_column, self.general_caption_column, self.task_caption_column)
        return tuple(column for column in columns if column is not None)

    @property
    def columns(self) -> Features:
        from datasets import Features, List, Value

        rated = {f"{self.name}_{what}": Value("float32") for what in (*self.criteria, "overall")}
        return Features(rated | {self._levels(one): List(Value("float32")) for one in self.criteria})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return self.text_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        told = {TEXT: self._told(row, self.text_column), GENERAL: "", TASK: ""}
        if self.general_caption_column:
            told[GENERAL] = self._told(row, self.general_caption_column)
        about = row[self.task_caption_column] if self.task_caption_column else None
        if about is not None and str(about).strip():
            told[TASK] = self._told(row, self.task_caption_column)
        return told

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        told = [dict(zip(batch, one, strict=True)) for one in zip(*batch.values(), strict=True)]
        requests = [judges.Request("", {one: self._question(one, row) for one in self.criteria}) for row in told]
        rows = [self._row(answers) for answers in self.judge.decide(requests, batch_size=len(requests))]
        return {column: [row[column] for row in rows] for column in [*self.columns, f"{self.name}_error"]}

    def _question(self, criterion: str, told: dict[str, str]) -> dict[str, Any]:
        prompt = f"{FOLDER}/{criterion}"
        asked = render(prompt, wording=self.wording, **{name: told[name] for name in variables(prompt, self.wording)})
        return {"type": "score", "instructions": asked, "criteria": lines(prompt + LEVELS, wording=self.wording)}

    def _row(self, answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
        rated: dict[str, Any] = {}
        for one in self.criteria:
            told = "error" not in answers[one]
            rated[f"{self.name}_{one}"] = 1 + answers[one]["score"] if told else None
            rated[self._levels(one)] = list(answers[one]["probabilities"].values()) if told else None
        refused = next((answers[one]["error"] for one in self.criteria if "error" in answers[one]), None)
        whole = [rated[f"{self.name}_{one}"] for one in self.criteria]
        overall = None if refused else sum(whole) / len(whole)
        return rated | {f"{self.name}_overall": overall, f"{self.name}_error": refused}

    def _levels(self, criterion: str) -> str:
        return f"{self.name}_{criterion}_probabilities"

    def _told(self, row: dict[str, Any], column: str) -> str:
        return kept_inside(text(row[column], longest=self.longest_text, what=column), TEXT, GENERAL, TASK)

    def _refuse_unfit(self) -> None:
        there = [one.removeprefix(f"{FOLDER}/").removesuffix(LEVELS) for one in names() if one.endswith(LEVELS)]
        there = [one for one in there if f"{FOLDER}/{one}" in names() and TEXT in variables(f"{FOLDER}/{one}")]
        if not self.criteria or len(set(self.criteria)) < len(self.criteria) or not set(self.criteria) <= set(there):
            told = f"expected some of {', '.join(there)}, each once"
            raise ValueError(f"criteria: {self.criteria} is not accepted; {told}")
        if self.longest_text < 1:
            raise ValueError(f"longest_text: {self.longest_text} is not accepted; expected 1 or more")
        read = set().union(*(variables(f"{FOLDER}/{one}", self.wording) for one in self.criteria))
        if GENERAL in read and self.general_caption_column is None:
            raise ValueError(f"general_caption_column: null; {', '.join(self.criteria)} ask for one")
        for name, column in ((GENERAL, self.general_caption_column), (TASK, self.task_caption_column)):
            if column is not None and name not in read:
                raise ValueError(f"{name}_column: {column!r}; {', '.join(self.criteria)} read no caption")
