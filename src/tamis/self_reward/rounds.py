"""Rounds: the pictures that a model draws to choose among, whether it still draws different ones, what grades it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tamis import arms, drawings
from tamis.arm_names import Arm, headline
from tamis.columns import column_values
from tamis.self_reward import choosing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from datasets import Dataset

    from tamis.topic_arms import Choice

FEWEST_CLASSES = 6  # of fewer, no sign flip of whole classes can give a p below 0.05
ROUND, EACH = "round", ("prompt_id", "class", "complexity")  # what a picture's row tells of its prompt


def leader(arms: list[Arm], number: int) -> Arm:
    """The arm whose adapter generates for the round after this one: the headline, in later rounds once more."""
    name = headline(arms)
    first = next(arm for arm in arms if arm.name == name)
    if number == 1:
        return first
    return Arm(f"{name}.round-{number}", first.way, first.k, marks=frozenset({f"round-{number}"}))


def wearing(
    choices: Iterable[Choice], paths: dict[Choice, Path], arm: Arm, *, seed: int, classes: Iterable[str]
) -> dict[str, Path]:
    """Class to the adapter of that arm: its own, or the one over all classes."""
    mine = [choice for choice in choices if (choice.arm, choice.seed) == (arm, seed)]
    return {label: paths[choice] for label in classes for choice in mine if choice.topic in ("", label)}


def features() -> dict[str, Any]:
    """Types of the rows that are drawn, known before there are prompts."""
    from datasets import Value

    return drawings.picture_features(dict.fromkeys(EACH, Value("string")))


def to_generate(prompts: Dataset, turns: int, *, number: int, seed: int, wearing: dict[str, Path]) -> Dataset:
    """A row a picture of every prompt that is trained on: what to draw, with which adapter, from which noise.

    number: the round, from 1; wearing: class to the adapter that the round before it made, none for the model alone.
    The noise is the same in every round, so that rounds differ by the model alone. row_id is the picture's, prompt_id
    its prompt's: whatever is joined is joined by them.
    """
    train = [row for row in prompts if row["use"] == "train"]
    worn = {(row["prompt_id"], f"round-{number}", seed): wearing.get(row["class"]) for row in train}
    made = _to_draw(train, worn, turns).rename_column("arm", ROUND)
    ids = [
        f"{row['prompt_id']}-{row[ROUND]}-{row['turn']}" for row in made.select_columns(["prompt_id", ROUND, "turn"])
    ]
    return made.add_column("row_id", ids)


def to_grade(prompts: Dataset, choices: Iterable[Choice], paths: dict[Choice, Path], turns: int) -> Dataset:
    """A row a picture of every prompt that was held out, by every arm and seed, and by the model alone."""
    heldout = [row for row in prompts if row["use"] == "heldout"]
    return _to_draw(heldout, _worn(heldout, choices, paths), turns)


def clusters(prompts: Dataset) -> list[str]:
    """Columns by which intervals are clustered: by class too where that can tell something."""
    return ["prompt_id", *(["class"] if len(set(prompts["class"][:])) >= FEWEST_CLASSES else [])]


def to_retain(
    prompts: Dataset, unrelated: Iterable[str], choices: Iterable[Choice], paths: dict[Choice, Path]
) -> Dataset:
    """A row a picture of every unrelated prompt, by every adapter and by the model alone."""
    classes = [""] if any(choice.topic == "" for choice in choices) else sorted(set(prompts["class"][:]))
    rows = [
        {"prompt_id": f"unrelated-{number}-{label}", "class": label, "complexity": "unrelated", "prompt": prompt}
        for label in classes
        for number, prompt in enumerate(unrelated)
    ]
    return _to_draw(rows, _worn(rows, choices, paths), 1)


def _worn(
    rows: list[dict[str, Any]], choices: Iterable[Choice], paths: dict[Choice, Path]
) -> dict[tuple[str, str, int], Path | None]:
    """(prompt, arm, seed) to the adapter: its class's, or the one over all classes."""
    choices = list(choices)
    found: dict[tuple[str, str, int], Path | None] = {}
    for seed in dict.fromkeys(choice.seed for choice in choices):
        found |= {(row["prompt_id"], "none", seed): None for row in rows}
    for choice in choices:
        mine = [row for row in rows if choice.topic in ("", row["class"])]
        found |= {(row["prompt_id"], choice.arm.name, choice.seed): paths[choice] for row in mine}
    return found


def _to_draw(rows: list[dict[str, Any]], worn: dict[tuple[str, str, int], Path | None], turns: int) -> Dataset:
    from datasets import Value

    known = [{name: row[name] for name in EACH} for row in rows]
    asked = {row["prompt_id"]: {row["complexity"]: row["prompt"]} for row in rows}
    types = dict.fromkeys(EACH, Value("string"))
    return drawings.to_draw(known, worn, asked, turns, types, unit="prompt_id")


def summary(pool: Dataset, number: int, *, reward: str) -> dict[str, Any]:
    """What results.json tells of a round: pictures, prompts by what became of them, means.

    Diversity is of the classes that take part: rounds are compared by it, and a class left out is in the first alone.
    """
    ranks, gone = column_values(pool, choosing.RANK), choosing.dropped(pool)
    unseen = choosing.unseen(pool)
    seen = pool.select([at for at, label in enumerate(pool["class"][:]) if label not in unseen])
    return {
        "round": number,
        "pictures": len(pool),
        "not_drawn": sum(why is not None for why in pool["image_error"][:]),
        "passing": int((~np.isnan(ranks)).sum()),
        "prompts": len(set(pool["prompt_id"][:])),
        "dropped": {reason: len(names) for reason, names in gone.items()},
        "decided_by": choosing.decided_by(pool, reward=reward),
        "unseen": unseen,
        "diversity": _mean(seen, "diversity"),
        "means": {name: _mean(pool, name) for name in (reward, choosing.CONFIDENCE, "clip_similarity")},
    }


def nulls(pools: Iterable[Dataset], columns: Iterable[str]) -> dict[str, dict[str, int]]:
    """Generated pictures of all rounds without a value, by column and reason."""
    from datasets import concatenate_datasets

    together = concatenate_datasets(list(pools))
    return drawings.nulls(together, arms.numeric(together, list(columns)), None)


def said(told: dict[str, Any]) -> str:
    dropped = "".join(f", {count} prompts dropped ({reason})" for reason, count in told["dropped"].items())
    spread = "" if told["diversity"] is None else f"; diversity {told['diversity']:.3f}"
    means = ", ".join(f"{name} {value:.3f}" for name, value in told["means"].items() if value is not None)
    return f"round {told['round']}: {told['passing']} of {told['pictures']} pictures pass{dropped}; {means}{spread}"


def ended(history: list[dict[str, Any]], most_lost: float) -> str | None:
    """Why the last of these rounds is not to be trained."""
    last = history[-1]
    if len(history) > 1 and last["unseen"]:
        return f"of {', '.join(last['unseen'])} no picture passes any more"
    return collapsed([one["diversity"] for one in history], most_lost)


def _mean(pool: Dataset, column: str) -> float | None:
    values = column_values(pool, column)
    return None if np.isnan(values).all() else float(np.nanmean(values))


def collapsed(by_round: list[float | None], share: float) -> str | None:
    """Why no further round is to be run: the last one's diversity fell by more than `share` of the first one's."""
    first, last = by_round[0], by_round[-1]
    if not first or last is None or last >= (1 - share) * first:
        return None
    return (
        f"diversity fell from {first:.3f} to {last:.3f} in round {len(by_round)}, by {1 - last / first:.0%} "
        f"({share:.0%} are accepted): the model draws the same again and again"
    )
