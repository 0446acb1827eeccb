"""The prompts of a run as rows: which a model is trained on, and which it never sees before it is graded by them."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from tamis.candidates import folder_names
from tamis.config import ConfigError
from tamis.rows import read_rows
from tamis.scoring import attach_scores
from tamis.sources import pin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datasets import Dataset

    from tamis.run import Run
    from tamis.sources import Source

COLUMNS = ("prompt_id", "class", "prompt", "complexity", "use")
COMPLEXITIES = ("plain", "complex")
USES = ("train", "heldout")


def gather(config: Any, writers: list[Any], run: Run) -> tuple[Dataset, Source | None, dict[str, str]]:
    """The prompts of a recipe's settings, where they come from if they are read, and classes that have none.

    They are split before anything is drawn: what is held out was never generated from, chosen or trained on.
    """
    if writers:
        [writer] = writers
        written = attach_scores(of_classes(config.classes), writer, run=run)
        made, refused = of_written(
            written, writer.name, class_column="class", heldout=config.heldout_prompts, seed=config.seed
        )
        for label, why in refused.items():
            run.say(f"left out: {label}: {why}")
        return first(made, config.limit), None, refused
    with run.stage("read") as stage:
        columns = (config.class_column, config.prompt_column, config.complexity_column)
        splits = {
            use: read_rows(
                config.dataset,
                run=run,
                config_name=config.dataset_config,
                split=split,
                revision=config.revision,
                limit=None,
                id_column=config.id_column,
                needs=columns,
            )
            for use, split in zip(USES, (config.split, config.heldout_split), strict=True)
        }
        made = of_dataset(
            {use: rows for use, (rows, _) in splits.items()},
            class_column=config.class_column,
            prompt_column=config.prompt_column,
            complexity_column=config.complexity_column,
            classes=config.classes,
        )
        stage["rows"] = len(made)
    return first(made, config.limit), splits[USES[0]][1], {}


def said(prompts: Dataset, cut: dict[str, int]) -> str:
    """What a user is told of them before they are drawn."""
    told = f"prompts: {', '.join(f'{count} {kind}' for kind, count in counts(prompts).items())}"
    if cut["prompts"]:
        told += (
            f"; {cut['prompts']} longer than the {cut['tokens']} tokens that the model's text encoder reads: cut there"
        )
    return told


def of_written(
    rows: Iterable[dict[str, Any]], name: str, *, class_column: str, heldout: int, seed: int
) -> tuple[Dataset, dict[str, str]]:
    """The prompts that a prompt_writer of this name wrote, a row each; and classes that cannot take part, with why.

    `heldout` plain ones a class, drawn by seed, are held out, and all complex ones: what a model was never shown.
    """
    made, refused, known = [], {}, list(rows)
    folders = folder_names([row[class_column] or "" for row in known])
    for row in known:
        label, plain = row[class_column], row[f"{name}_plain"]
        if plain is None:
            refused[str(label)] = row[f"{name}_error"]
            continue
        if len(plain) <= heldout:
            refused[label] = f"{len(plain)} prompts written, {heldout} are to be held out"
            continue
        kept_back = set(random.Random(f"heldout {seed} {label}").sample(range(len(plain)), heldout))
        for at, prompt in enumerate(plain):
            told = {"class": label, "prompt": prompt, "complexity": "plain"}
            use = "heldout" if at in kept_back else "train"
            made.append(told | {"prompt_id": f"{folders[label]}-{at:03d}", "use": use})
        for at, prompt in enumerate(row[f"{name}_complex"]):
            told = {"class": label, "prompt": prompt, "complexity": "complex", "use": "heldout"}
            made.append(told | {"prompt_id": f"{folders[label]}-complex-{at:03d}"})
    if not made:
        why = "; ".join(f"{label}: {reason}" for label, reason in refused.items())
        raise ConfigError(f"no class has prompts ({why})")
    return _table(made), refused


def of_dataset(
    splits: dict[str, Dataset],
    *,
    class_column: str,
    prompt_column: str,
    complexity_column: str | None,
    classes: list[str] | None,
) -> Dataset:
    """The prompts of a dataset by use; complex ones are never trained on. row_id is their prompt_id.

    A text that stands in both uses is an error: it would be graded on what was trained.
    """
    made = []
    for use, rows in splits.items():
        for row in rows.select_columns(
            [name for name in dict.fromkeys(("row_id", class_column, prompt_column, complexity_column)) if name]
        ):
            complexity = row[complexity_column] if complexity_column else "plain"
            if complexity not in COMPLEXITIES:
                raise ConfigError(f"complexity_column: {complexity!r} is not accepted; expected plain or complex")
            if classes is not None and row[class_column] not in classes or (use, complexity) == ("train", "complex"):
                continue
            told = {"prompt_id": row["row_id"], "class": row[class_column], "prompt": row[prompt_column]}
            made.append(told | {"complexity": complexity, "use": use})
    there = {row["class"] for row in made}
    if strangers := [name for name in classes or () if name not in there]:
        raise ConfigError(f"classes: {', '.join(map(repr, strangers))} is not in column {class_column!r}")
    texts = {use: {row["prompt"] for row in made if row["use"] == use} for use in USES}
    if shared := sorted(texts["train"] & texts["heldout"]):
        raise ConfigError(f"{len(shared)} prompts are held out and trained on, {shared[0]!r} among them")
    for use in USES:
        if not texts[use]:
            raise ConfigError(f"no prompt is left to be {'trained on' if use == 'train' else 'held out'}")
    return _table(made)


def of_classes(classes: list[str]) -> Dataset:
    """A row a class, for a writer."""
    from datasets import Dataset

    if twice := next((name for name in classes if classes.count(name) > 1), None):
        raise ConfigError(f"classes: {twice!r} is there twice")
    return Dataset.from_dict({"row_id": classes, "class": classes})


def without(prompts: Dataset, classes: Iterable[str]) -> Dataset:
    """The prompts of other classes."""
    gone = set(classes)
    if not gone:
        return prompts
    rows = [at for at, label in enumerate(prompts["class"][:]) if label not in gone]
    return prompts.select(rows).flatten_indices()


def first(prompts: Dataset, limit: int | None) -> Dataset:
    """The first so many of each class, use and complexity."""
    if limit is None:
        return prompts
    seen: Counter[tuple[str, ...]] = Counter()
    kept = []
    for at, kind in enumerate(zip(*(prompts[name][:] for name in ("class", "use", "complexity")), strict=True)):
        seen[kind] += 1
        if seen[kind] <= limit:
            kept.append(at)
    return prompts.select(kept).flatten_indices()


def counts(prompts: Dataset) -> dict[str, int]:
    """How many are trained on, and how many of each complexity are held out."""
    kinds = Counter(
        f"{use}, {complexity}" for use, complexity in zip(prompts["use"][:], prompts["complexity"][:], strict=True)
    )
    return dict(sorted(kinds.items(), reverse=True))


def _table(rows: list[dict[str, Any]]) -> Dataset:
    from datasets import Dataset, Features, Value

    taken = [row["prompt_id"] for row in rows]
    if len(set(taken)) < len(taken):
        raise ConfigError(f"prompt_id: {next(one for one in taken if taken.count(one) > 1)!r} is there twice")
    return Dataset.from_list(rows, features=Features(dict.fromkeys(COLUMNS, Value("string"))))


def too_long(prompts: Iterable[str], base_model: str, revision: str | None) -> dict[str, int]:
    """How many prompts are longer than the model's text encoders read, and how many tokens those read.

    The shortest-sighted of them counts: what is beyond it is cut.
    """
    from diffusers import DiffusionPipeline
    from transformers import AutoTokenizer

    base = pin(base_model, "model", revision)
    where = {} if base.local else {"revision": base.revision}
    parts = DiffusionPipeline.load_config(base_model, **where)
    names = [name for name in parts if name.startswith("tokenizer") and isinstance(parts[name], list | tuple)]
    tokenizers = [AutoTokenizer.from_pretrained(base_model, subfolder=name, **where) for name in names]
    shortest = min(tokenizers, key=lambda tokenizer: tokenizer.model_max_length)
    most = shortest.model_max_length
    return {"prompts": sum(len(shortest(prompt)["input_ids"]) > most for prompt in prompts), "tokens": most}
