"""Whether the remarks of an explanation are true of a picture of the embedded world, by what it was drawn with."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis.images import Unscorable
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features

SOUND = "no defect to name"


@dataclass(frozen=True)
class TrueRemarks:
    """Columns (float32, 0..1), higher is better:

    - NAME_share: of the different remarks in the explanation, those that are true. A praise is true where the picture
      has at least `threshold` of its trait, a blame where it has less. What is no remark of the embedded world is not.
    - NAME_defect_named: 1 where a remark blames the picture for the defect that it has, however weak that is; else 0.

    It knows the embedded world's critiques and nothing else. None where there is no explanation, or the picture's truth
    cannot be read; NAME_defect_named also where the picture has no defect.
    """

    name: Annotated[str, "begins the names of its columns"] = "true_remarks"
    explanation_column: Annotated[str, "the explanation, without its score line"] = "explained_score_explanation"
    traits_column: Annotated[str, "JSON: how much of each trait the picture has, 0 to 1"] = "truth_traits"
    defect_column: Annotated[str, "what spoils the picture, or none"] = "truth_defect"
    threshold: Annotated[float, "a picture with so much of a trait has it, 0 to 1"] = 0.5
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold: {self.threshold} is not accepted; expected more than 0, at most 1")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.explanation_column, self.traits_column, self.defect_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_{what}": Value("float32") for what in ("share", "defect_named")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ()

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        from tamis.tiny.critiques import TRAITS, trait_of

        told = text(row[self.explanation_column], longest=None, what="explanation")
        defect = text(row[self.defect_column], longest=100, what=self.defect_column)
        have = _traits(row[self.traits_column], self.traits_column, tuple(TRAITS))
        remarks = {one for one in (" ".join(part.lower().split()) for part in re.split(r"[,.;\n]", told)) if one}
        if not remarks:
            raise Unscorable("explanation: no remark in it")
        true = {
            remark
            for name, (praise, blame, _) in TRAITS.items()
            for remark, is_true in ((praise, have[name] >= self.threshold), (blame, have[name] < self.threshold))
            if is_true
        }
        spoilt = trait_of(defect)
        named = None if spoilt is None else float(TRAITS[spoilt][1] in remarks)
        return {"share": len(remarks & true) / len(remarks), "defect_named": named}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        scored = {f"{self.name}_{what}": values for what, values in batch.items()}
        return scored | {f"{self.name}_error": [SOUND if one is None else None for one in batch["defect_named"]]}


def _traits(told: Any, column: str, names: tuple[str, ...]) -> dict[str, float]:
    try:
        have = json.loads(text(told, longest=None, what=column))
    except json.JSONDecodeError as error:
        raise Unscorable(f"{column}: not JSON") from error
    if not isinstance(have, dict) or not all(isinstance(have.get(name), int | float) for name in names):
        raise Unscorable(f"{column}: not a number for each trait")
    return have
