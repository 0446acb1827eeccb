"""One seed's line of models: the base, and after each iteration the same with one more merged adapter.

The model of an iteration is the base wearing the chain of merged adapters so far: it writes, it is what the next
adapters are trained beside and the reference of DPO, and it is what is measured and published.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.arm_names import folder
from tamis.score_and_explain.arm_forms import CONSISTENCY, MERGED, SCORING, SFT, ExplainArm
from tamis.training.chain import chained
from tamis.training.merge import Merge, MergedAdapter, merge_adapters, save_folded

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.score_and_explain.pairs import Pairs
    from tamis.sources import Source

PAIRS = (SCORING, CONSISTENCY)


@dataclass(frozen=True)
class Worn:
    """An arm of an iteration that is over: which model it is, and what that wears."""

    arm: ExplainArm
    name: str  # of its adapter, among all seeds
    model: dict[str, Any]  # settings of a judge
    path: Path | None  # its adapter, for the root; None: it is a model whole

    @property
    def leads(self) -> bool:
        return self.arm.name == MERGED


@dataclass
class Line:
    root: Source
    base: tuple[str, str | None]  # the root as the settings name it: repo or folder, revision
    seed: int
    main_seed: int
    run: Run
    iteration: int = 0  # how many are finished
    merged: list[Path] = field(default_factory=list)  # each trained beside those before it
    worn: Path | None = None  # all of them as one adapter of the root: what the next are trained beside
    ended: str | None = None  # why there is no further iteration
    collapsed: bool = False  # in its last iteration, which is measured all the same
    errors: dict[str, float] = field(default_factory=dict)  # what the rank of a merged adapter lost, by its name

    def name(self, arm: str) -> str:
        """Of an arm's adapter in the iteration under way."""
        return folder(f"{arm}.iteration-{self.iteration + 1}", self.seed, self.main_seed)

    @property
    def last(self) -> str:
        """The last merged model that did not collapse; the first, where that one did already."""
        return f"{MERGED}.iteration-{max(1, self.iteration - self.collapsed)}"

    def end(self, why: str, *, collapsed: bool = False) -> None:
        number = self.iteration + (not collapsed)  # a collapse is seen once the iteration is over
        self.ended, self.collapsed = f"seed {self.seed}, iteration {number}: {why}", collapsed
        self.run.say(f"no further iteration: {self.ended}")

    def wearing(self) -> dict[str, Any]:
        return {"adapter": str(self.worn)} if self.worn else {}

    def subsets(self, pairs: Pairs) -> dict[str, Dataset]:
        """What is trained on, by the adapter's name."""
        return {self.name(SCORING): pairs.scoring, self.name(CONSISTENCY): pairs.consistency}

    def merge(self, arms: list[ExplainArm], merge: Merge, rank: int) -> list[Worn]:
        """The arms of this iteration, whose adapters lie where they were trained; the next one begins here."""
        trained = {kind: self.run.output_dir / "adapters" / self.name(kind) for kind in (*PAIRS, SFT)}
        parts = {kind: trained[kind] for kind in PAIRS}
        links: dict[str, Path] = {}
        found: list[Worn] = []
        for arm in arms:
            name = self.name(arm.name)
            if arm.exact:
                model = {"model": self._folded(parts, merge, name), "revision": None}
                found.append(Worn(arm, name, model, None))
                continue
            if arm.merged:
                made = self._merged(parts, arm.merge or merge, rank, name)
                self.errors[name], links[arm.name] = made.relative_error, made.adapter.path
            elif arm.name in trained:
                links[arm.name] = trained[arm.name]
            else:
                continue  # the model as it is
            path = self._chained(links[arm.name], name)
            found.append(Worn(arm, name, {"adapter": str(path)}, path))
        self.merged.append(links[MERGED])
        self.worn = next(one.path for one in found if one.leads)
        self.iteration += 1
        return found

    def _merged(self, parts: dict[str, Path], merge: Merge, rank: int, name: str) -> MergedAdapter:
        made = None
        if self.run.is_main:
            given = None if merge.kind == "ties_factors" else rank
            where = self.run.output_dir / "adapters" / name
            made = merge_adapters(parts, merge, self.root, where, rank=given, device=models.device())
        return self.run.from_main(made)

    def _chained(self, link: Path, name: str) -> Path:
        where = self.run.output_dir / "chains" / name
        if self.run.is_main:
            chained([*self.merged, link], self.root, where)
        self.run.wait()
        return where

    def _folded(self, parts: dict[str, Path], merge: Merge, name: str) -> str:
        """The base with the chain and the merged change in its own weights, in a folder of its own."""
        from tamis.training.diffusion_models import training_dtype

        (model, revision), dtype = self.base, training_dtype()
        written = self.run.output_dir / "models" / name

        def load() -> tuple[Any, list[Any]]:
            from transformers import AutoModelForImageTextToText, AutoProcessor

            whole = AutoModelForImageTextToText.from_pretrained(
                model, revision=revision, dtype=dtype, use_safetensors=True
            )
            return whole, [AutoProcessor.from_pretrained(model, revision=revision)]

        if self.run.is_main:
            models.release()
            save_folded(load, parts, merge, self.root, written, dtype=dtype, worn=self.worn)
        self.run.wait()
        return str(written)
