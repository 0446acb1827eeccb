"""Pictures that arms draw from the same prompts and noise, as rows: what to draw, pairs to compare, what was kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tamis import arms
from tamis.arm_names import pooled
from tamis.columns import unit_vectors
from tamis.config import ConfigError
from tamis.generate import adapter_hash
from tamis.seeds import seed_of

if TYPE_CHECKING:
    from pathlib import Path

    from datasets import Dataset

TEXTS, NUMBERS = ("arm", "style", "prompt", "adapter", "adapter_hash"), ("seed", "turn", "image_seed")


def key(unit: str) -> tuple[str, ...]:
    """Columns that pictures of two arms have in common where they are compared. unit: of what prompts are, a topic."""
    return (unit, "style", "turn", "seed")


def picture_features(known: dict[str, Any]) -> dict[str, Any]:
    """Types of the rows that to_draw makes, of what they tell of their topic. A name that is needed here is refused."""
    from datasets import Value

    if taken := sorted({*TEXTS, *NUMBERS, "image", "image_error"} & set(known)):
        raise ConfigError(f"topic_columns: {', '.join(taken)}: a column of drawn pictures is called so; rename it")
    return known | dict.fromkeys(TEXTS, Value("string")) | dict.fromkeys(NUMBERS, Value("int64"))


def to_draw(
    topics: list[dict[str, Any]],
    worn: dict[tuple[str, str, int], Path | None],
    prompts: dict[str, dict[str, str]],
    turns: int,
    features: dict[str, Any],
    *,
    unit: str = "topic",
) -> Dataset:
    """A row a picture: what to draw, with which adapter, from which noise.

    topics: what each row tells of its topic (column `unit`), questions included; features: the types of that. worn:
    (topic, arm, seed) to the adapter's folder, None for the model alone. prompts: topic to {style: prompt}. The noise
    depends on topic, style, turn and seed, never on the arm.
    """
    from datasets import Dataset, Features

    known = {row[unit]: row for row in topics}
    rows = []
    for (topic, arm, seed), folder in worn.items():
        adapter = {"adapter": str(folder or ""), "adapter_hash": adapter_hash(folder) if folder else ""}
        for style, prompt in prompts[topic].items():
            for turn in range(turns):
                made = {"arm": arm, "seed": seed, "style": style, "turn": turn, "prompt": prompt}
                noise = {"image_seed": seed_of(topic, style, turn, seed, bits=48)}
                rows.append(known[topic] | made | noise | adapter)
    return Dataset.from_list(rows, features=Features(picture_features(features)))


def pairs(drawn: Dataset, contests: list[tuple[str, str]], prompt_column: str, *, unit: str = "topic") -> Dataset:
    """A row a contest of two arms over one prompt and noise: the pictures `first` and `second`, and the prompt.

    Of an arm with several draws the first one competes.
    """
    from datasets import concatenate_datasets

    at: dict[str, dict[tuple[Any, ...], int]] = defaultdict(dict)
    for row, (arm, *common) in enumerate(zip(drawn["arm"][:], *(drawn[name][:] for name in key(unit)), strict=True)):
        at[pooled(arm)].setdefault(tuple(common), row)
    met = [(a, b, common) for a, b in contests for common in at[a] if common in at[b]]
    sides = {"first": [at[a][common] for a, _, common in met], "second": [at[b][common] for _, b, common in met]}
    told = drawn.select(sides["first"]).select_columns([unit]).flatten_indices()
    prompts = drawn[prompt_column][:]
    added = {"prompt": [prompts[row] for row in sides["first"]], "a": [a for a, *_ in met], "b": [b for _, b, _ in met]}
    for name, values in added.items():
        told = told.add_column(name, values)
    parts = [
        drawn.select(rows).select_columns(["image"]).rename_columns({"image": name}).flatten_indices()
        for name, rows in sides.items()
    ]
    return concatenate_datasets([told, *parts], axis=1)


def with_retention(drawn: Dataset, embedding: str = "clip_embedding") -> Dataset:
    """Pictures of unrelated prompts with `retention`: how like the base model's own each is, by cosine; 1 the same.

    Rows with no adapter are the base model's, one for each prompt and noise, and have none themselves.
    """
    from datasets import Value

    vectors, usable = unit_vectors(drawn, embedding)
    noise = list(zip(drawn["prompt"][:], drawn["image_seed"][:], strict=True))
    adapters = drawn["adapter"][:]
    base = {key: row for row, key in enumerate(noise) if not adapters[row]}
    found: list[float | None] = []
    for row, key in enumerate(noise):
        other = base.get(key)
        fine = adapters[row] and other is not None and usable[row] and usable[other]
        found.append(float(vectors[row] @ vectors[other]) if fine else None)
    return drawn.add_column("retention", found, feature=Value("float32"))


def with_diversity(drawn: Dataset, group: Sequence[str], embedding: str = "clip_embedding") -> Dataset:
    """Pictures with `diversity`: the mean cosine distance to the others of their group (0: all the same, 2 at most).

    None where a picture has no embedding, or no other of its group has: `diversity_error` says which. It falls where a
    model collapses.
    """
    from datasets import Value

    vectors, usable = unit_vectors(drawn, embedding)
    members: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for row, key in enumerate(zip(*(drawn[name][:] for name in group), strict=True)):
        if usable[row]:
            members[key].append(row)
    found: list[float | None] = [None] * len(drawn)
    for rows in members.values():
        if len(rows) > 1:
            others = vectors[rows].sum(axis=0) - vectors[rows]
            for row, alike in zip(rows, (vectors[rows] * others).sum(axis=1) / (len(rows) - 1), strict=True):
                found[row] = max(0.0, 1.0 - float(alike))
    alone = "no other picture of its prompt to compare with"
    why = [
        None if value is not None else alone if usable[row] else f"{embedding} is null"
        for row, value in enumerate(found)
    ]
    drawn = drawn.add_column("diversity", found, feature=Value("float32"))
    return drawn.add_column("diversity_error", why, feature=Value("string"))


def nulls(drawn: Dataset, metrics: Sequence[str], contests: Dataset | None) -> dict[str, dict[str, int]]:
    """By reason: pictures that could not be drawn (column image), drawn ones without a metric, pairs not judged."""
    found = {"image": dict(Counter(why for why in drawn["image_error"][:] if why is not None))}
    found |= arms.nulls(drawn, metrics)
    return found | (arms.nulls(contests, ["pairwise_win"]) if contests is not None else {})
