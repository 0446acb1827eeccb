"""The prompts of a run as rows: which a model is trained on, and which it never sees before it is graded by them."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis.candidates import folder_names
from tamis.config import ConfigError
from tamis.dry_run import elsewhere
from tamis.rows import read_rows
from tamis.scoring import attach_scores
from tamis.self_reward.writing import words
from tamis.sources import pin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datasets import Dataset

    from tamis.run import Run
    from tamis.sources import Source

COLUMNS = ("prompt_id", "class", "prompt", "complexity", "use")
COMPLEXITIES = ("plain", "complex")
USES = ("train", "heldout")


@dataclass(frozen=True)
class Prompts:
    table: Dataset  # a row a prompt, of classes that take part
    refused: dict[str, str]  # classes that cannot, and why
    left_out: dict[str, int]  # rows and lines that are no prompts here, by reason
    source: Source | None = None  # where they were read

    def counts(self) -> dict[str, int]:
        """How many are trained on, and how many of each complexity are held out."""
        uses, complexities = self.table["use"][:], self.table["complexity"][:]
        kinds = Counter(f"{use}, {complexity}" for use, complexity in zip(uses, complexities, strict=True))
        return dict(sorted(kinds.items(), reverse=True))

    def said(self, cut: dict[str, int]) -> list[str]:
        """What a user is told of them before they are drawn."""
        told = [f"prompts: {', '.join(f'{count} {kind}' for kind, count in self.counts().items())}"]
        told += [f"{count} not used: {why}" for why, count in self.left_out.items()]
        told += [f"left out: {label}: {why}" for label, why in self.refused.items()]
        if cut["prompts"]:
            read = f"the {cut['tokens']} tokens that the model's text encoder reads"
            told.append(f"{cut['prompts']} longer than {read}: cut there")
        return told


def gather(config: Any, writers: list[Any], run: Run) -> Prompts:
    """The prompts of a recipe's settings: read, or written.

    They are split before anything is drawn: what is held out was never generated from, chosen or trained on.
    """
    if writers:
        [writer] = writers
        how = {"class_column": "class", "heldout": config.heldout_prompts, "seed": config.seed}
        if config.dry_run:  # what writing takes shows in one class and a few prompts
            few = dataclasses.replace(writer, plain=config.heldout_prompts + 1, complex=0)
            with elsewhere(run):
                return of_written(attach_scores(of_classes(config.classes[:1]), few, run=run), writer.name, **how)
        made = of_written(attach_scores(of_classes(config.classes), writer, run=run), writer.name, **how)
        return dataclasses.replace(made, table=first(made.table, config.limit))
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
        stage["rows"] = len(made.table)
    return dataclasses.replace(made, table=first(made.table, config.limit), source=splits[USES[0]][1])


def of_written(rows: Iterable[dict[str, Any]], name: str, *, class_column: str, heldout: int, seed: int) -> Prompts:
    """The prompts that a prompt_writer of this name wrote.

    `heldout` plain ones a class, drawn by seed, are held out, and all complex ones: what a model was never shown, for
    another class neither.
    """
    made, refused, known, left_out = [], {}, list(rows), Counter()
    folders = folder_names([row[class_column] or "" for row in known])
    for row in known:
        label, plain = row[class_column], row[f"{name}_plain"]
        left_out.update({f"written, but: {one['reason']}": one["lines"] for one in row[f"{name}_left_out"] or ()})
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
    shown = {words(row["prompt"]) for row in made if row["use"] == "train"}
    fresh = [row for row in made if row["use"] == "train" or words(row["prompt"]) not in shown]
    left_out["held out, but trained on for another class"] += len(made) - len(fresh)
    return _prompts(fresh, refused, left_out)


def of_dataset(
    splits: dict[str, Dataset],
    *,
    class_column: str,
    prompt_column: str,
    complexity_column: str | None,
    classes: list[str] | None,
) -> Prompts:
    """The prompts of a dataset by use; complex ones are never trained on. row_id is their prompt_id.

    A text that stands in both uses is an error: it would be graded on what was trained.
    """
    made, left_out = [], Counter()
    for use, rows in splits.items():
        names = [name for name in (class_column, prompt_column, complexity_column) if name]
        _refuse_other_than_text(rows, names)
        for row in rows.select_columns(list(dict.fromkeys(("row_id", *names)))):
            label, prompt = row[class_column], row[prompt_column]
            if classes is not None and label not in classes:
                continue
            complexity = row[complexity_column] if complexity_column else "plain"
            if complexity not in COMPLEXITIES:
                raise ConfigError(f"complexity_column: {complexity!r} is not accepted; expected plain or complex")
            if not (label or "").strip() or not (prompt or "").strip():
                left_out["no class" if not (label or "").strip() else "no prompt"] += 1
            elif (use, complexity) == ("train", "complex"):
                left_out["complex: none is trained on"] += 1
            else:
                told = {"prompt_id": row["row_id"], "class": label, "prompt": prompt}
                made.append(told | {"complexity": complexity, "use": use})
    there = {row["class"] for row in made}
    if strangers := [name for name in classes or () if name not in there]:
        raise ConfigError(f"classes: {', '.join(map(repr, strangers))} is not in column {class_column!r}")
    texts = {use: {row["prompt"] for row in made if row["use"] == use} for use in USES}
    if shared := sorted(texts["train"] & texts["heldout"]):
        raise ConfigError(f"{len(shared)} prompts are held out and trained on, {shared[0]!r} among them")
    return _prompts(made, {}, left_out)


def _refuse_other_than_text(rows: Dataset, columns: list[str]) -> None:
    for name in columns:
        feature = rows.features[name]
        if getattr(feature, "dtype", None) not in ("string", "large_string"):
            kind = type(feature).__name__ if type(feature).__name__ != "Value" else feature.dtype
            raise ConfigError(f"column {name!r} is {kind}, not text")


def _prompts(rows: list[dict[str, Any]], refused: dict[str, str], left_out: Counter[str]) -> Prompts:
    """Of classes that have prompts for both uses."""
    from datasets import Dataset, Features, Value

    taken = Counter(row["prompt_id"] for row in rows)
    if twice := next((name for name, count in taken.items() if count > 1), None):
        raise ConfigError(f"prompt_id: {twice!r} is there twice")
    for use, lacks in zip(USES, ("no prompt to train on", "no prompt that is held out"), strict=True):
        there = {row["class"] for row in rows if row["use"] == use}
        refused |= {row["class"]: lacks for row in rows if row["class"] not in there | set(refused)}
    fit = [row for row in rows if row["class"] not in refused]
    if not fit:
        why = "; ".join(f"{label}: {reason}" for label, reason in refused.items())
        raise ConfigError(f"no class has prompts ({why or 'there is none'})")
    table = Dataset.from_list(fit, features=Features(dict.fromkeys(COLUMNS, Value("string"))))
    return Prompts(table, refused, {why: count for why, count in left_out.items() if count})


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
