"""The settings of class-conditional self-reward: where prompts come from, who rewards pictures, what passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tamis.arm_names import Arm

REWARDS = {"corrected": "self_reward_score", "faithful": "self_reward_points"}


@dataclass(kw_only=True)
class SelfRewardSettings:
    """A recipe's flat config inherits them, beside RunConfig."""

    dataset: Annotated[str | None, "prompts by class, Hub id or local folder; null: the writer writes them"] = None
    dataset_config: Annotated[str | None, "config of that dataset"] = None
    split: Annotated[str, "split whose prompts are trained on; complex ones among them are not"] = "train"
    heldout_split: Annotated[str, "split whose prompts grade"] = "heldout"
    revision: Annotated[str | None, "branch, tag or commit; what it resolves to is recorded"] = None
    id_column: Annotated[str | None, "column whose values become prompt_id; none: SPLIT-INDEX"] = None
    class_column: Annotated[str, "what a prompt is about"] = "class"
    prompt_column: Annotated[str, "what is drawn"] = "prompt"
    complexity_column: Annotated[str | None, "plain or complex; null: all are plain"] = None
    classes: Annotated[list[str] | None, "what is drawn; null: every class of the dataset"] = None

    writer: Annotated[dict[str, Any] | None, "judge that writes prompts: {backend: ..., model: ...}"] = None
    prompts_per_class: Annotated[int, "prompts it writes for each class to be trained on"] = 100
    heldout_prompts: Annotated[int, "more of them, held out"] = 25
    complex_prompts: Annotated[int, "long ones besides, all held out"] = 25
    prompts_at_once: Annotated[int, "prompts asked for in one reply"] = 20
    candidates_per_prompt: Annotated[
        int, "pictures of each training prompt to choose among, each from its own seed"
    ] = 10
    judge: Annotated[dict[str, Any], "judge that rewards pictures: {backend: ..., model: ...}"]
    wording: Annotated[Literal["full", "short"], "of its questions; short: for models of a few million parameters"] = (
        "full"
    )
    ranking: Annotated[
        Literal["corrected", "faithful"], "corrected: every answer with its right sign; faithful: the published points"
    ] = "corrected"
    detector: Annotated[dict[str, Any], "settings of the scorer detection; its threshold is what passes"] = field(
        default_factory=dict
    )
    similarity: Annotated[dict[str, Any], "settings of the scorer text_similarity, caption against prompt"] = field(
        default_factory=dict
    )
    clip: Annotated[dict[str, Any], "settings of the scorer clip, which selects nothing"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.dataset is None) == (self.writer is None):
            raise ConfigError("dataset, writer: give one of them: prompts are read, or they are written")
        if self.writer is not None and not self.classes:
            raise ConfigError("classes: none; the writer has to be told what the prompts are to be about")
        for name, least in (
            ("prompts_per_class", 1),
            ("heldout_prompts", 1),
            ("complex_prompts", 0),
            ("prompts_at_once", 1),
            ("candidates_per_prompt", 2),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: {getattr(self, name)!r} is not accepted; expected {least} or more")

    @property
    def reward(self) -> str:
        """The column that pictures are ranked by."""
        return REWARDS[self.ranking]

    def refuse_unfit_choices(self, arms: Iterable[Arm]) -> None:
        """Arms that there cannot be, of these settings."""
        for arm in arms:
            if arm.k and not arm.percent and arm.k > self.candidates_per_prompt:
                raise ConfigError(f"arms: {arm.name}: there are {self.candidates_per_prompt} pictures a prompt")
            if "dpo" in arm.marks and arm.way == "bottom":
                raise ConfigError(f"arms: {arm.name}: the worst beside itself is no pair")
            if "dpo" in arm.marks and self.snr_gamma is not None:
                raise ConfigError(f"snr_gamma: pairs are not weighted by timestep; set it to null for {arm.name}")

    def writing(self) -> list[dict[str, Any]]:
        """The scorer that writes the prompts, where there is one."""
        if self.writer is None:
            return []
        counts = {"plain": self.prompts_per_class + self.heldout_prompts, "complex": self.complex_prompts}
        told = {"at_once": self.prompts_at_once, "wording": self.wording, "seed": self.seed}
        return [{"scorer": "prompt_writer", "judge": self.writer, **counts, **told}]

    def rewards(self) -> list[dict[str, Any]]:
        """Scorers of generated pictures: the judge's questions, the detector, the caption and its likeness, CLIP."""
        asked = {"judge": self.judge, "wording": self.wording}
        likeness = {"name": "caption_similarity", "text_column": "caption_text", "other_column": "prompt"}
        return [
            {"scorer": "self_reward", **asked},
            {"scorer": "detection", **self.detector},
            {"scorer": "caption", **asked},
            {"scorer": "text_similarity", **likeness, **self.similarity},
            self._clip(),
        ]

    def graders(self) -> list[dict[str, Any]]:
        """Scorers of what held-out prompts draw that belong to the recipe; a YAML's `grading` comes besides."""
        return [self._clip(), {"scorer": "detection", **self.detector}]

    def _clip(self) -> dict[str, Any]:
        return {"scorer": "clip", "text_column": "prompt", "embedding": True, **self.clip}
