"""Preference pairs of explained pictures: one set to learn scores from, and one to learn what is said for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis.config import ConfigError
from tamis.score_and_explain.fitness import counted
from tamis.score_and_explain.replies import reply
from tamis.score_and_explain.settings import EXPLAINED
from tamis.training.conversations import messages

if TYPE_CHECKING:
    from datasets import Dataset

READ = ("row_id", "score", "wrong_score", f"{EXPLAINED}_true", f"{EXPLAINED}_wrong")


@dataclass(frozen=True)
class Pairs:
    """Sets of the same rows in the same order, beside the pictures where they are stored."""

    scoring: Dataset  # chosen: the true score and its text; rejected: the wrong score and its text
    consistency: Dataset  # chosen: the same; rejected: the true score, and the text for the wrong one
    taught: Dataset  # prompt, and the chosen reply as completion, to be learnt without a pair
    left_out: dict[str, int]  # rows that made no pair, by reason

    def __len__(self) -> int:
        return len(self.scoring)


def pair_features(iteration: int | None = None) -> dict[str, Any]:
    """Beside image. explanation_true, explanation_wrong: what chosen and rejected say, for a person to read."""
    from datasets import List, Value

    message = List({"role": Value("string"), "content": Value("string")})
    told = {"row_id": Value("string"), "score": Value("int64"), "wrong_score": Value("int64")}
    told |= {} if iteration is None else {"iteration": Value("int64")}
    told |= dict.fromkeys(("prompt", "chosen", "rejected"), message)
    return told | dict.fromkeys(("explanation_true", "explanation_wrong"), Value("string"))


def pairs(rows: Dataset, reasons: Sequence[str | None], *, prompt: str, iteration: int | None = None) -> Pairs:
    """A pair of each set for every row without a reason (`fitness.left_out`).

    rows: as the scorer self_explanation leaves them. prompt: what it asked, to be learnt to answer. Pictures are taken
    as they are stored, not written anew.
    """
    if len(reasons) != len(rows):
        raise ValueError(f"{len(reasons)} reasons for {len(rows)} rows")
    kept = [at for at, reason in enumerate(reasons) if reason is None]
    if not kept:
        raise ConfigError(f"{EXPLAINED}: no row has two explanations that can be used")
    scoring, consistency = (_paired(rows, kept, prompt, iteration, contrast=contrast) for contrast in (False, True))
    taught = scoring.select_columns(["row_id", "image", "prompt", "chosen"]).rename_column("chosen", "completion")
    return Pairs(scoring, consistency, taught, counted(reasons))


def _paired(rows: Dataset, kept: list[int], prompt: str, iteration: int | None, *, contrast: bool) -> Dataset:
    """What is made of the rows' texts, beside their pictures; selected last, or else the pictures would be copied."""
    from datasets import Features, concatenate_datasets

    features, used = Features(pair_features(iteration)), set(kept)
    nothing = dict.fromkeys(features)
    beside = {} if iteration is None else {"iteration": iteration}

    def made(row: dict[str, Any], number: int) -> dict[str, Any]:
        return _pair(row, prompt, contrast) | beside if number in used else nothing

    texts = rows.select_columns(list(READ))
    told = texts.map(
        made,
        with_indices=True,
        remove_columns=texts.column_names,
        features=features,
        load_from_cache_file=False,
        desc="pairs",
    )
    found = concatenate_datasets([told, rows.select_columns(["image"])], axis=1)
    return found if len(kept) == len(rows) else found.select(kept)


def _pair(row: dict[str, Any], prompt: str, contrast: bool) -> dict[str, Any]:
    true, wrong = row[f"{EXPLAINED}_true"], row[f"{EXPLAINED}_wrong"]
    said = messages(prompt, reply(row["score"], true))
    held_to = row["score"] if contrast else row["wrong_score"]
    return {
        "row_id": str(row["row_id"]),
        "score": row["score"],
        "wrong_score": row["wrong_score"],
        "prompt": said["prompt"],
        "chosen": said["completion"],
        "rejected": messages(prompt, reply(held_to, wrong))["completion"],
        "explanation_true": true,
        "explanation_wrong": wrong,
    }
