"""The settings of scoring and self-explanation: which pictures, what is written about them, who judges it."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis.config import ConfigError
from tamis.score_and_explain.collapse import Limits
from tamis.score_and_explain.wrong_scores import MOST

if TYPE_CHECKING:
    from tamis.score_and_explain.arm_forms import ExplainArm
    from tamis.training.merge import Merge
    from tamis.training.vlm_lora import VlmLora

NAME = re.compile(r"\w[\w-]*", re.ASCII)
EXPLAINED = "self_explanation"  # begins the columns of the texts that pairs are made of
ARGUED = "argued"  # of what a judge guesses from them: ARGUED_true, ARGUED_wrong
REPLY = "explained_score"  # of what a model replies by itself


@dataclass(kw_only=True)
class ScoreAndExplainSettings:
    """A recipe's flat config inherits them, beside SeedSettings, DpoLora and RunConfig."""

    dataset: Annotated[str, "pictures with scores: a Hub id or a folder"]
    kind: Annotated[
        Literal["scored", "ava", "aadb"], "scored: any dataset with such columns; ava, aadb: a folder as handed out"
    ] = "scored"
    dataset_config: Annotated[str | None, "config of that dataset"] = None
    revision: Annotated[str | None, "branch, tag or commit; what it resolves to is recorded"] = None
    id_column: Annotated[str | None, "column whose values become row_id; none: SPLIT-INDEX"] = None
    read_splits: Annotated[list[str], "splits of it; of one alone, validation and test are drawn"] = field(
        default_factory=lambda: ["train"]
    )
    image_column: Annotated[str, "the picture"] = "image"
    score_column: Annotated[str | None, "its score; null: votes_column has it"] = None
    votes_column: Annotated[str | None, "or how often 1, 2, ... 10 were given"] = None
    scale: Annotated[list[float] | None, "lowest and highest score there can be: they become 1 and 10"] = None
    keep_columns: Annotated[list[str], "columns that come along, for grading"] = field(default_factory=list)
    image_size: Annotated[Literal["original", "warp256"], "which of AADB's pictures"] = "original"

    wording: Annotated[Literal["full", "short"], "of prompts; short: for models of a few million parameters"] = "full"
    iterations: Annotated[int, "how often the model writes its pairs anew, and is tuned on them"] = 4
    pictures_per_iteration: Annotated[int | None, "training pictures drawn for each; null: all of them"] = None
    exclusion_radius: Annotated[int, "a wrong score lies at least this far from the right one"] = 2
    temperature: Annotated[float, "of the explanations that pairs are made of; 0: the likeliest words"] = 0.7
    max_new_tokens: Annotated[int, "tokens an explanation may take"] = 256
    generic_share: Annotated[float, "an explanation that so large a share of the pictures has is generic"] = 0.02
    least_usable: Annotated[float, "share of the pictures whose pair can be used; with fewer the run ends"] = 0.1

    merge_kind: Annotated[Literal["ties", "ties_factors", "linear"], "how scoring and consistency become merged"] = (
        "ties"
    )
    merge_density: Annotated[float, "share of a change that TIES keeps"] = 0.5
    merge_scale: Annotated[float, "the merged change is multiplied by it"] = 1.0
    merge_r: Annotated[int, "rank that it is written with; the error is told"] = 64
    sft_learning_rate: Annotated[float, "of the arm sft"] = 1e-4

    arms: Annotated[list[str], "base, scoring, consistency, merged, sft, merged.exact, .linear, .ties-0.2, ..."] = (
        field(default_factory=lambda: ["base", "scoring", "consistency", "merged", "sft"])
    )
    batch_size: Annotated[int, "pictures a model call; halved by itself when memory runs out"] = 16
    guessers: Annotated[dict[str, dict[str, Any]], "judges that guess a score from its explanation, by name"] = field(
        default_factory=dict
    )
    guessed_rows: Annotated[int | None, "test pictures whose explanations they read; null: all"] = 1000
    grading: Annotated[list[dict[str, Any] | str], "more scorers of replies: FILE, or '{scorer: FILE, ...}'"] = field(
        default_factory=list
    )
    decision: Annotated[bool, "publish the merged scorer as a decision model too"] = True
    least_wellformed: Annotated[float, "share of well-formed replies; no iteration follows on fewer"] = (
        Limits.wellformed
    )
    most_one_score: Annotated[float, "share of replies that have one score; none follows on more"] = Limits.one_score
    least_diversity: Annotated[float, "of the base's share of different explanations; none follows on less"] = (
        Limits.diversity
    )

    def __post_init__(self) -> None:
        columns = {name: getattr(self, f"{name}_column") for name in ("score", "votes")}
        if self.kind == "scored" and sum(column is not None for column in columns.values()) != 1:
            raise ConfigError("score_column, votes_column: give one of them")
        given = [f"{name}_column" for name, column in columns.items() if column is not None]
        given += [name for name in ("scale", "dataset_config", "revision", "id_column") if getattr(self, name)]
        given += ["keep_columns"] * bool(self.keep_columns)
        if self.kind != "scored" and given:
            raise ConfigError(f"{', '.join(given)}: not used with kind: {self.kind}, which has a form of its own")
        if not self.guessers:
            raise ConfigError("guessers: none; consistency is measured by judges that read explanations alone")
        if len(self.kin) == len(self.guessers):
            raise ConfigError(f"guessers: {', '.join(self.guessers)}: the tuned model alone; give another judge")
        for name in self.guessers:
            if not NAME.fullmatch(name):
                raise ConfigError(f"guessers: {name!r} is not accepted as a name; letters, digits, _ and - make one")
        if self.load_in_4bit and any(arm.startswith("sft") for arm in self.arms):
            raise ConfigError("arms: sft: is not trained on a base in 4 bits; leave one of them out")

    def refuse_unfit_shares(self) -> None:
        self.refuse_below("exclusion_radius", 1, MOST)
        for name in ("iterations", "max_new_tokens", "merge_r", "batch_size", "pictures_per_iteration", "guessed_rows"):
            self.refuse_below(name, 1)
        for name in ("generic_share", "least_usable", "least_wellformed", "most_one_score", "least_diversity"):
            self.refuse_below(name, 0, 1)
        self.refuse_below("temperature", 0)
        self.refuse_below("sft_learning_rate", 0)
        self.refuse_below("merge_density", 0, 1)
        self.merging()  # looks at its own settings

    def by_seed(self) -> dict[int, list[ExplainArm]]:
        """The arms of each seed, the main seed first."""
        from tamis.score_and_explain.arm_forms import parse

        own = {self.seed: [parse(name) for name in dict.fromkeys(self.arms)]}
        return own | {seed: [parse(name) for name in self.other_seeds_arms] for seed in self.other_seeds}

    def limits(self) -> Limits:
        return Limits(wellformed=self.least_wellformed, one_score=self.most_one_score, diversity=self.least_diversity)

    def merging(self) -> Merge:
        from tamis.training.merge import Merge

        return Merge(kind=self.merge_kind, density=self.merge_density, scale=self.merge_scale)

    def model(self, **worn: Any) -> dict[str, Any]:
        """The model that is tuned, as a judge: it writes explanations, and it is measured."""
        known = {"backend": "transformers", "model": self.base_model, "revision": self.base_revision}
        known |= {"quantization": "4bit" if self.load_in_4bit else None, "max_pixels": self.max_pixels}
        return known | worn

    def explaining(self, judge: dict[str, Any], seed: int = 0) -> list[dict[str, Any]]:
        """The scorer that explains the right score and a wrong one."""
        told = {"temperature": self.temperature, "max_new_tokens": self.max_new_tokens, "wording": self.wording}
        return [{"scorer": "self_explanation", "name": EXPLAINED, "judge": judge, "seed": seed, **told}]

    def weighing(self) -> list[dict[str, Any]]:
        """Scorers by which the first judge tells what those two texts argue for."""
        judge = next(iter(self.guessers.values()))
        told = {"scorer": "guessed_score", "judge": judge, "wording": self.wording}
        return [
            told | {"name": f"{ARGUED}_{side}", "explanation_column": f"{EXPLAINED}_{side}"}
            for side in ("true", "wrong")
        ]

    def replying(self, judge: dict[str, Any]) -> list[dict[str, Any]]:
        """The scorer that has a model score and explain by itself."""
        told = {"max_new_tokens": self.max_new_tokens, "wording": self.wording}
        return [{"scorer": "explained_score", "name": REPLY, "judge": judge, **told}]

    @property
    def kin(self) -> list[str]:
        """Guessers that are the tuned model as it is: told for themselves, since they lean as it does."""
        return [name for name, judge in self.guessers.items() if judge.get("model") == self.base_model]

    def guessing(self) -> list[dict[str, Any]]:
        """Scorers that read the explanations of replies, one for each judge."""
        told = {"explanation_column": f"{REPLY}_explanation", "wording": self.wording}
        return [
            {"scorer": "guessed_score", "name": f"guess_{name}", "judge": judge, **told}
            for name, judge in self.guessers.items()
        ]

    def sft(self) -> VlmLora:
        """Of the arm sft: as the others, its own loss and rate."""
        from tamis.training.vlm_lora import VlmLora

        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(VlmLora)}
        return VlmLora(**shared | {"learning_rate": self.sft_learning_rate})
