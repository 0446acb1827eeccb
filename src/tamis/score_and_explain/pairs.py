"""Preference pairs of explained pictures: one set to learn scores from, and one to learn what is said for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis.config import ConfigError
from tamis.score_and_explain.fitness import counted
from tamis.score_and_explain.replies import reply
from tamis.training.conversations import messages

if TYPE_CHECKING:
    from datasets import Dataset, Features


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


def pairs(
    rows: Dataset,
    reasons: Sequence[str | None],
    *,
    prompt: str,
    name: str = "self_explanation",
    image_column: str = "image",
    score_column: str = "score",
    wrong_column: str = "wrong_score",
    iteration: int | None = None,
) -> Pairs:
    """A pair of each set for every row without a reason (`fitness.left_out`).

    rows: with the columns of a `self_explanation` scorer called `name`. prompt: what it asked, to be learnt to answer.
    Pictures are taken as they are stored, not written anew.
    """
    from datasets import Features

    if len(reasons) != len(rows):
        raise ValueError(f"{len(reasons)} reasons for {len(rows)} rows")
    kept = [at for at, reason in enumerate(reasons) if reason is None]
    if not kept:
        raise ConfigError(f"{name}: no row has two explanations that can be used")
    read = {"row_id": "row_id", "score": score_column, "wrong_score": wrong_column}
    read |= {"true": f"{name}_true", "wrong": f"{name}_wrong"}
    unused = set(range(len(rows))) - set(kept)

    def made(some: dict[str, list[Any]], numbers: list[int], contrast: bool) -> dict[str, list[Any]]:
        told: dict[str, list[Any]] = {column: [] for column in pair_features(iteration)}
        for place, number in enumerate(numbers):
            row = (
                {} if number in unused else _pair({key: some[of][place] for key, of in read.items()}, prompt, contrast)
            )
            for column, values in told.items():
                values.append(iteration if column == "iteration" else row.get(column))
        return told

    def paired(contrast: bool) -> Dataset:
        return _beside(
            rows, image_column, list(read.values()), made, Features(pair_features(iteration)), contrast, kept
        )

    scoring = paired(False)
    taught = scoring.select_columns(["row_id", "image", "prompt", "chosen"]).rename_column("chosen", "completion")
    return Pairs(scoring, paired(True), taught, counted(reasons))


def _pair(row: dict[str, Any], prompt: str, contrast: bool) -> dict[str, Any]:
    said = messages(prompt, reply(row["score"], row["true"]))
    held_to = row["score"] if contrast else row["wrong_score"]
    return {
        "row_id": str(row["row_id"]),
        "score": row["score"],
        "wrong_score": row["wrong_score"],
        "prompt": said["prompt"],
        "chosen": said["completion"],
        "rejected": messages(prompt, reply(held_to, row["wrong"]))["completion"],
        "explanation_true": row["true"],
        "explanation_wrong": row["wrong"],
    }


def _beside(
    rows: Dataset,
    image_column: str,
    read: list[str],
    made: Any,
    features: Features,
    contrast: bool,
    kept: list[int],
) -> Dataset:
    """What is made of the rows' texts, beside their pictures; selected last, or else the pictures would be copied."""
    from datasets import concatenate_datasets

    texts = rows.select_columns(list(dict.fromkeys(read)))
    told = texts.map(
        made,
        batched=True,
        with_indices=True,
        remove_columns=texts.column_names,
        features=features,
        fn_kwargs={"contrast": contrast},
        load_from_cache_file=False,
        desc="pairs",
    )
    shown = rows.select_columns([image_column])
    shown = shown if image_column == "image" else shown.rename_column(image_column, "image")
    beside = concatenate_datasets([told, shown], axis=1)
    return beside if len(kept) == len(rows) else beside.select(kept)
