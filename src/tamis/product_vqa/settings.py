"""The settings of single-word questions about products: where they come from, who answers them, what is measured."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis.config import ConfigError
from tamis.product_vqa.arm_forms import AS_8BIT, BASE, ON_8BIT

if TYPE_CHECKING:
    from tamis.product_vqa.arm_forms import VqaArm
    from tamis.training.adapter import Adapter

SHARES = ("train", "validation", "test")
NAME = re.compile(r"\w[\w-]*", re.ASCII)


@dataclass(kw_only=True)
class ProductVqaSettings:
    """A recipe's flat config inherits them, beside SeedSettings, VqaLora and RunConfig."""

    dataset: Annotated[str | None, "questions: a Hub id, a local folder, or CSV files; null: they are written"] = None
    dataset_config: Annotated[str | None, "config of that dataset"] = None
    revision: Annotated[str | None, "branch, tag or commit; what it resolves to is recorded"] = None
    id_column: Annotated[str | None, "column whose values become row_id; none: SPLIT-INDEX"] = None
    read_splits: Annotated[list[str], "splits of it that are read"] = field(default_factory=lambda: ["train"])
    image_column: Annotated[str, "the product's picture"] = "image"
    question_column: Annotated[str, "the question"] = "question"
    answer_column: Annotated[str, "its answer, one word"] = "answer"
    difficulty_column: Annotated[str, "0, 1, 2, 3 or 5"] = "difficulty"
    image_id_column: Annotated[str | None, "what names a picture; null: its content"] = None
    product_id_column: Annotated[str | None, "what names a product; null: nothing"] = None
    title_column: Annotated[str | None, "the product's title; null: it has none"] = None
    bullets_column: Annotated[str | None, "the seller's text, or a list of them; null: there is none"] = None
    images_folder: Annotated[
        str | None, "dataset is a CSV file or a folder of them, as the report's: what `path` in them is relative to"
    ] = None
    csv: Annotated[bool, "write the questions as such files too, with their pictures, to output_dir/csv"] = False

    listings: Annotated[str | None, "or a catalogue in the files of Amazon Berkeley Objects: folder or Hub id"] = None
    image_size: Annotated[Literal["small", "original"], "which of its pictures"] = "small"
    locale: Annotated[str, "the English preferred, where a product has several"] = "en_US"
    writer: Annotated[dict[str, Any] | None, "judge that writes the questions: {backend: ..., model: ...}"] = None
    writer_sees: Annotated[bool, "show it the picture; not for a model that reads text alone"] = True
    wording: Annotated[Literal["full", "short"], "of prompts; short: for models of a few million parameters"] = "full"

    split_by: Annotated[Literal["image", "own"], "image: no picture in two splits; own: as the dataset has them"] = (
        "image"
    )
    validation_share: Annotated[float, "of the pictures, for choosing among shapes"] = 0.1
    test_share: Annotated[float, "of the pictures, for measuring"] = 0.25

    scorers: Annotated[list[dict[str, Any] | str], "scores of the questions: FILE, or '{scorer: FILE, ...}'"] = field(
        default_factory=list
    )
    select_by: Annotated[str | None, "the score column that top-Ppct arms rank the training rows by"] = None
    batch_size: Annotated[int, "rows a model call; halved by itself when memory runs out"] = 16

    arms: Annotated[list[str], "base, SHAPE, and SHAPE.by-row, .top-50pct, .random-50pct, .on-8bit, .8bit"] = field(
        default_factory=lambda: ["base", "r16-query-value-out"]
    )
    baselines: Annotated[list[dict[str, Any]], "other models that answer: '{scorer: FILE, name: ARM, ...}'"] = field(
        default_factory=list
    )
    not_run: Annotated[dict[str, str], "models that the report has and this run has not: name, and why"] = field(
        default_factory=dict
    )
    chat_models: Annotated[list[dict[str, Any]], "chat models, plain and tuned: '{name: ARM, base_model: ...}'"] = (
        field(default_factory=list)
    )
    metrics: Annotated[list[dict[str, Any] | str], "scorers that hold an answer against the right one"] = field(
        default_factory=lambda: ["exact", "wups", "meteor"]
    )

    def __post_init__(self) -> None:
        if (self.dataset is None) == (self.listings is None):
            raise ConfigError("dataset, listings: give one of them: questions are read, or written of a catalogue")
        if (self.listings is None) != (self.writer is None):
            raise ConfigError("listings, writer: one without the other: a judge writes the questions of a catalogue")
        if self.listings is not None and self.split_by == "own":
            raise ConfigError("split_by: own: a catalogue has no splits; expected image")
        if BASE not in self.arms:
            raise ConfigError(f"arms: {self.arms}: base is not among them; what a LoRA buys is told against it")
        if not any(_named(metric) == "exact" for metric in self.metrics):
            raise ConfigError("metrics: exact is not among them; shapes are chosen, and marks counted, by it")
        if self.split_by == "own" and set(self.read_splits) != set(SHARES):
            raise ConfigError(f"read_splits: {self.read_splits}: with split_by: own they are {', '.join(SHARES)}")
        if min(self.validation_share, self.test_share) <= 0 or self.validation_share + self.test_share >= 1:
            told = f"{self.validation_share:g} and {self.test_share:g}"
            raise ConfigError(
                f"validation_share, test_share: {told} are not accepted; expected shares whose sum is < 1"
            )
        names = [one.get("name") for one in [*self.baselines, *self.chat_models]]
        for name in names:
            if not isinstance(name, str) or not NAME.fullmatch(name) or names.count(name) > 1 or name in self.arms:
                raise ConfigError(
                    f"baselines, chat_models: name: {name!r} is not accepted; each needs one of its own, of letters, "
                    "digits, _ and -"
                )

    def wants(self, mark: str) -> bool:
        return any(name.endswith(f".{mark}") for name in self.arms)

    @property
    def in_8bit(self) -> bool:
        return self.wants(AS_8BIT) or self.wants(ON_8BIT)

    def by_seed(self) -> dict[int, list[VqaArm]]:
        """The arms that each seed trains, the main seed first."""
        from tamis.product_vqa.arm_forms import parse

        own = {self.seed: [parse(name) for name in dict.fromkeys(self.arms)]}
        return own | {seed: [parse(name) for name in self.other_seeds_arms] for seed in self.other_seeds}

    def shares(self) -> dict[str, float]:
        return dict(
            zip(
                SHARES,
                (1 - self.validation_share - self.test_share, self.validation_share, self.test_share),
                strict=True,
            )
        )

    def writing(self) -> list[dict[str, Any]]:
        """The scorer that writes the questions of a catalogue, where it is one."""
        if self.writer is None:
            return []
        shown = {"image_column": "image" if self.writer_sees else None}
        return [{"scorer": "product_questions", "judge": self.writer, "wording": self.wording, **shown}]

    def answering(self, vocabulary: list[str], tuned: dict[str, Adapter]) -> list[dict[str, Any]]:
        """Scorers of the baselines, one that ranks a vocabulary with that of the training rows; of the chat models, as
        they are and tuned."""
        from tamis.product_vqa import chat

        given = {"clip_vocabulary": {"vocabulary": vocabulary}}
        others = [given.get(one.get("scorer"), {}) | one for one in self.baselines]
        return others + chat.answering(self.chat_models, tuned, wording=self.wording)

    def blip(self) -> dict[str, Any]:
        """Settings of the scorer blip_vqa: the questions are put as in training."""
        return {
            "model": self.base_model,
            "revision": self.base_revision,
            "question_prefix": self.question_prefix,
            "question_tokens": self.question_tokens,
            "answer_tokens": self.answer_tokens,
        }


def _named(scorer: dict[str, Any] | str) -> str:
    return scorer if isinstance(scorer, str) else str(scorer.get("scorer"))
