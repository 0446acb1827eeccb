"""The settings of recipes that train arms: with which seeds; of those whose arms draw, how, and who compares them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis.config import ConfigError

if TYPE_CHECKING:
    from tamis.arm_names import Arm, Forms
    from tamis.generate import Drawing


@dataclass(kw_only=True)
class SeedSettings:
    """A recipe's flat config inherits them, beside RunConfig; it has `arms`."""

    other_seeds: Annotated[list[int], "train and measure the arms of other_seeds_arms once more with each"] = field(
        default_factory=list
    )
    other_seeds_arms: Annotated[list[str], "arms that the other seeds repeat"] = field(default_factory=list)

    def refuse_unfit_seeds(self) -> None:
        if strangers := set(self.other_seeds_arms) - set(self.arms):
            raise ConfigError(f"other_seeds_arms: {', '.join(sorted(strangers))} is not among arms")
        if bool(self.other_seeds) != bool(self.other_seeds_arms):
            raise ConfigError("other_seeds and other_seeds_arms: one without the other says nothing; give both or none")
        if len({self.seed, *self.other_seeds}) <= len(self.other_seeds):
            raise ConfigError(f"other_seeds: {self.other_seeds} is not accepted; expected others than seed {self.seed}")


@dataclass(kw_only=True)
class ArmSettings(SeedSettings):
    """Of arms that draw. A recipe's flat config inherits them, beside RunConfig and DiffusionLora; it has `wording`."""

    random_draws: Annotated[int, "draws of every random arm"] = 1

    num_inference_steps: Annotated[int, "steps of the sampler"] = 50
    guidance_scale: Annotated[float, "how far from the unconditioned prediction"] = 7.5
    eval_batch_size: Annotated[int, "pictures drawn at once"] = 4
    grading: Annotated[list[dict[str, Any] | str], "more scorers of what is drawn: FILE, or '{scorer: FILE, ...}'"] = (
        field(default_factory=list)
    )
    pairwise: Annotated[dict[str, Any] | None, "pairs of arms: '{judge: {...}, ...}', settings of that scorer"] = None
    pairwise_column: Annotated[str, "what both pictures of a pair are held against"] = "prompt"
    unrelated_prompts: Annotated[list[str], "prompts of other things: what a LoRA left unharmed (retention)"] = field(
        default_factory=list
    )
    retention_model: Annotated[str, "CLIP whose embeddings retention compares"] = "openai/clip-vit-large-patch14"

    def refuse_unfit_arms(self, forms: Forms) -> None:
        for name in ("random_draws", "eval_batch_size", "num_inference_steps"):
            self.refuse_below(name, 1)
        if not any(arm.way == "top" and not arm.marks and not arm.percent for arm in self.by_seed(forms)[self.seed]):
            raise ConfigError(f"arms: {self.arms} has no arm for the claim to be about; give at least one plain top-K")
        self.refuse_unfit_seeds()

    def by_seed(self, forms: Forms) -> dict[int, list[Arm]]:
        """The arms that each seed trains and draws, the main seed first."""
        own = {self.seed: forms.expand(self.arms, self.random_draws)}
        return own | {seed: forms.expand(self.other_seeds_arms, 1) for seed in self.other_seeds}  # a seed is a draw

    def drawing(self) -> Drawing:
        from tamis.generate import Drawing

        return Drawing(
            model=self.base_model,
            revision=self.base_revision,
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            side=self.resolution,
        )

    @property
    def paired_by(self) -> str | None:
        return self.pairwise_column if self.pairwise else None

    def referee(self) -> list[dict[str, Any]]:
        """The scorer that compares pictures of two arms, where there is one."""
        return [{"scorer": "pairwise", "wording": self.wording, **self.pairwise}] if self.pairwise else []

    def onlooker(self) -> list[dict[str, Any]]:
        """The scorer whose embeddings tell what a LoRA changed where nothing was asked of it."""
        return [{"scorer": "clip", "model": self.retention_model, "text_column": None, "embedding": True}]
