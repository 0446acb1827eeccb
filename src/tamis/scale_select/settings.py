"""The settings of unified modality scoring: where the pool comes from, who judges it, what selects, who is measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis.config import ConfigError
from tamis.scale_select.rankings import DEFAULT

if TYPE_CHECKING:
    from tamis.arm_names import Arm

RARITY, LANGUAGE, LENGTH, ARMS = "corpus_rarity", "language", "reply_length", "arms"  # columns that the recipe adds
STAGES = ("image", "text", "task", "captions", "multimodal")
RATED_IMAGE, TEXT, TASK, GENERAL, SPECIAL, MULTIMODAL = (
    "rated_image",
    "text_quality",
    "task",
    "general_caption",
    "task_caption",
    "multimodal",
)


@dataclass(kw_only=True)
class ScaleSelectSettings:
    """A recipe's flat config inherits them, beside SeedSettings, VlmTuning and RunConfig."""

    sources: Annotated[list[dict[str, Any]], "of the pool: '{source: ShareGPT4V, rows: 289000, ...}'"]
    keep_columns: Annotated[list[str], "columns of the sources that come along"] = field(default_factory=list)
    text_only: Annotated[Literal["keep", "refuse"], "rows without a picture"] = "keep"
    most_turns: Annotated[int, "longer conversations are not read"] = 100
    streaming: Annotated[bool, "read the Hub row by row instead of downloading first"] = False
    wording: Annotated[Literal["full", "short"], "of prompts; short: for models of a few million parameters"] = "full"

    image_judge: Annotated[dict[str, Any], "sees pictures and rates their quality: settings of scorer rated_image"] = (
        field(default_factory=lambda: {"judge": {"model": "zhangzicheng/q-sit"}, "convention": "q_sit"})
    )
    text_judge: Annotated[dict[str, Any], "reads text: rates it, tells the task, rates it beside captions"] = field(
        default_factory=lambda: {"model": "Qwen/Qwen2.5-32B-Instruct"}
    )
    caption_judge: Annotated[dict[str, Any], "sees pictures and describes them"] = field(
        default_factory=lambda: {"model": "Qwen/Qwen2.5-VL-7B-Instruct"}
    )
    caption_tokens: Annotated[int, "tokens a caption may take"] = 512
    scorers: Annotated[list[dict[str, Any] | str], "more scores of the pool: FILE, or '{scorer: FILE, ...}'"] = field(
        default_factory=list
    )
    batch_size: Annotated[int, "rows a model call; halved by itself when memory runs out"] = 16
    stage: Annotated[
        Literal["image", "text", "task", "captions", "multimodal"] | None,
        "score the pool with this stage, and what it reads, and stop",
    ] = None

    rankings: Annotated[dict[str, dict[str, float]], "what arms select by: name to '{column: weight}'"] = field(
        default_factory=lambda: {name: dict(weights) for name, weights in DEFAULT.items()}
    )
    composition: Annotated[list[str], "columns whose mixture is told before and after"] = field(
        default_factory=lambda: ["source", "task_category", "task_subtask", "language", "reply_length"]
    )
    fault_column: Annotated[str | None, "column that names a row's known fault; `none`: sound"] = None
    arms: Annotated[
        list[str], "base, full, random-10pct, RANKING-10pct, with .per-source, .per-task or .per-length behind it"
    ] = field(default_factory=lambda: ["base", "full", "random-10pct", "scale-10pct"])
    random_draws: Annotated[int, "draws of every random arm"] = 3

    benchmarks: Annotated[list[dict[str, Any]], "multiple choice: '{dataset: ..., split: ..., name: ...}'"] = field(
        default_factory=list
    )
    option_reading: Annotated[
        list[Literal["letters", "words"]],
        "letters of listed options, or how likely each is as a reply; the first leads",
    ] = field(default_factory=lambda: ["letters"])
    reply_begun: Annotated[str, "of words: how a reply begins before the option"] = ""
    option_orders: Annotated[int, "of letters: orders of the options that a benchmark question is asked in"] = 1
    eval_batch_size: Annotated[int, "questions answered at once"] = 32
    replies: Annotated[int, "benchmark questions that base and the selected model answer in words, side by side"] = 12
    reply_tokens: Annotated[int, "tokens such an answer may take"] = 64
    not_run: Annotated[dict[str, str], "what the paper has and this run has not: name, and why"] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("sources: none; a pool has at least one")
        if not self.benchmarks:
            raise ConfigError("benchmarks: none; what a selection buys is measured on one")
        if taken := [name for name in self.keep_columns if name in (RARITY, LANGUAGE, LENGTH, ARMS)]:
            raise ConfigError(f"keep_columns: {taken[0]!r} is the name of a column that is made here")
        if not self.option_reading or len(set(self.option_reading)) < len(self.option_reading):
            raise ConfigError(f"option_reading: {self.option_reading} is not accepted; expected letters, words or both")
        if self.reply_begun and "words" not in self.option_reading:
            raise ConfigError(f"reply_begun: {self.reply_begun!r}: goes with words in option_reading")

    def refuse_unfit_numbers(self) -> None:
        for name in ("most_turns", "caption_tokens", "batch_size", "random_draws", "option_orders", "eval_batch_size"):
            self.refuse_below(name, 1)
        self.refuse_below("replies", 0)
        self.refuse_below("reply_tokens", 1)

    def by_seed(self) -> dict[int, list[Arm]]:
        """The arms that each seed trains, the main seed first; for another seed a random arm is drawn anew, once."""
        from tamis.scale_select import arm_forms

        own = {self.seed: arm_forms.expand(self.arms, self.rankings, self.random_draws)}
        return own | {seed: arm_forms.expand(self.other_seeds_arms, self.rankings, 1) for seed in self.other_seeds}

    def stages(self) -> dict[str, list[dict[str, Any]]]:
        """Scorers by stage, in the order in which they are attached: captions read the task, the last reads both."""
        read = {"judge": self.text_judge, "wording": self.wording}
        told = {"judge": self.caption_judge, "wording": self.wording, "max_new_tokens": self.caption_tokens}
        captions = {"general_caption_column": f"{GENERAL}_text", "task_caption_column": f"{SPECIAL}_text"}
        return {
            "image": [
                "image_quality",
                {"scorer": "rated_image", "name": RATED_IMAGE, "wording": self.wording, **self.image_judge},
            ],
            "text": [
                {
                    "scorer": "rating",
                    "name": TEXT,
                    "criteria": ["informativeness", "complexity", "completeness"],
                    **read,
                }
            ],
            "task": [{"scorer": "task", "name": TASK, **read}],
            "captions": [
                {"scorer": "caption", "name": GENERAL, "asked": "scale/general_caption", **told},
                {"scorer": "caption", "name": SPECIAL, "task_column": f"{TASK}_subtask", **told},
            ],
            "multimodal": [
                {
                    "scorer": "rating",
                    "name": MULTIMODAL,
                    "criteria": ["clarity", "relevance", "task_rarity"],
                    **captions,
                    **read,
                }
            ],
        }

    def reading(self) -> dict[str, Any]:
        """How the pool is read."""
        names = ("streaming", "keep_columns", "text_only", "most_turns")
        return {name: getattr(self, name) for name in names}

    def ranked(self) -> list[str]:
        """The columns that rows are ranked by."""
        from tamis.scale_select import rankings

        return [rankings.column(name) for name in self.rankings]

    def weighed(self) -> dict[str, str]:
        """Score columns that rankings weigh, by what they are called in a message; they must be numbers."""
        columns = [(name, column) for name, weights in self.rankings.items() for column in weights]
        return {f"rankings: {name}: {column}": column for name, column in columns if column != RARITY}

    def wanted_stages(self) -> tuple[str, ...]:
        """All of them; or the one that was asked for, behind those whose columns it reads."""
        if self.stage is None:
            return STAGES
        read_by = {"captions": ("task",), "multimodal": ("task", "captions")}
        return (*read_by.get(self.stage, ()), self.stage)
