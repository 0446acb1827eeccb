"""One iteration's pictures: which are explained, for which wrong score, and what becomes a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tamis import select
from tamis.config import ConfigError
from tamis.score_and_explain import fitness
from tamis.score_and_explain.justified import justified
from tamis.score_and_explain.pairs import Pairs, pairs
from tamis.score_and_explain.replying import with_reading
from tamis.score_and_explain.settings import ARGUED, EXPLAINED
from tamis.score_and_explain.wrong_scores import wrong_scores
from tamis.seeds import seed_of

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.metrics.stats import Estimate
    from tamis.score_and_explain.settings import ScoreAndExplainSettings

REASON = "left_out"
FIRST = 256  # pictures


@dataclass(frozen=True)
class Explained:
    iteration: int
    seed: int
    rows: Dataset  # every picture: both texts, what a judge guesses from each, and why they are not used
    pairs: Pairs
    argued: dict[str, Estimate] = field(default_factory=dict)  # of texts for either score, how many argue for it

    @property
    def reasons(self) -> list[str | None]:
        return self.rows[REASON][:]

    def told(self) -> dict[str, Any]:
        """What results.json has of it."""
        return {
            "iteration": self.iteration,
            "seed": self.seed,
            "pictures": len(self.rows),
            "usable": len(self.pairs),
            "left_out": self.pairs.left_out,
            "argued": {side: asdict(estimate) for side, estimate in self.argued.items()},
        }

    def said(self) -> str:
        wrong, right = self.argued["wrong"].value, self.argued["true"].value
        lost = "".join(f"; {count} left out: {reason}" for reason, count in self.pairs.left_out.items())
        return (
            f"iteration {self.iteration}: the model argues for {_share(wrong)} of the wrong scores, {_share(right)} of "
            f"the right ones; {len(self.pairs)} of {len(self.rows)} pictures make a pair{lost}"
        )


def to_explain(train: Dataset, iteration: int, seed: int, config: ScoreAndExplainSettings) -> Dataset:
    """The training pictures of this iteration, with a wrong score each."""
    from datasets import Value

    rows, most = train, config.pictures_per_iteration
    if most is not None and most < len(train):
        rows = select.random_k(train, k=most, seed=seed_of("pictures", iteration, seed, bits=31)).flatten_indices()
    wrong = wrong_scores(
        rows["row_id"][:], rows["score"][:], exclusion_radius=config.exclusion_radius, seed=seed, salt=iteration
    )
    return rows.add_column("wrong_score", wrong, feature=Value("int64"))


def first(asked: Dataset) -> Dataset:
    """Some of them, to see whether the model can follow the form before all are explained."""
    return asked.select(range(min(FIRST, len(asked))))


def paired(rows: Dataset, iteration: int, seed: int, prompt: str, config: ScoreAndExplainSettings) -> Explained | str:
    """rows: as to_explain() gave them, explained. prompt: what was asked.

    Where too few texts can be used: why. In the first iteration that ends the run.
    """
    from datasets import Value

    true, wrong, errors = (rows[f"{EXPLAINED}_{what}"][:] for what in ("true", "wrong", "error"))
    reasons = fitness.left_out(true, wrong, generic_share=config.generic_share, errors=errors)
    try:
        fitness.refuse_too_few(reasons, true, wrong, least_usable=config.least_usable)
    except ConfigError as error:
        if iteration == 1:
            raise
        return str(error)
    made = pairs(rows, reasons, prompt=prompt, iteration=iteration)
    told = rows.add_column(REASON, reasons, feature=Value("string"))
    return Explained(iteration, seed, _of(told, iteration, seed), made)


def weighed(made: Explained, read: Dataset) -> Explained:
    """read: some of its rows, with what a judge guesses from each text alone."""
    scores = {"true": read["score"][:], "wrong": read["wrong_score"][:]}
    argued = {
        side: justified(read[f"{ARGUED}_{side}_score"][:], scores[side], scores[other], seed=made.seed)
        for side, other in (("true", "wrong"), ("wrong", "true"))
    }
    return replace(made, rows=with_reading(made.rows, read, key=("row_id",)), argued=argued)


def _of(rows: Dataset, iteration: int, seed: int) -> Dataset:
    from datasets import Value

    for name, value in (("iteration", iteration), ("seed", seed)):
        rows = rows.add_column(name, [value] * len(rows), feature=Value("int64"))
    return rows


def untried(rows: Dataset, prompt: str) -> Dataset:
    """Pairs of words that say nothing, to time a training with."""
    told = rows.add_column(f"{EXPLAINED}_true", _words(len(rows), "good"))
    told = told.add_column(f"{EXPLAINED}_wrong", _words(len(rows), "bad"))
    return pairs(told, [None] * len(rows), prompt=prompt).scoring


def _words(count: int, word: str) -> Sequence[str]:
    return [f"{' '.join([word] * 40)}."] * count


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.0%}"
