"""The YAML header of a README and what the Hub derives from it. Cards are untrusted: none may break an answer."""

from __future__ import annotations

import datetime
import math
from functools import lru_cache
from pathlib import Path

import yaml

from tamis.localhub.commits import Commit
from tamis.localhub.repo import Repo

README = "README.md"
_LARGEST_HEADER = 1 << 20
_MOST_VALUES = 200_000
_DEEPEST = 60
# What PyYAML lets out instead of its own error: for deep nesting, for texts that do not fit a tag (`!!bool x`).
_SLIPS = (RecursionError, KeyError, AttributeError, IndexError, TypeError, OverflowError)
_LISTED_AS_TAGS = ("tags", "datasets", "license", "language", "task_categories", "size_categories")


def load_yaml(text: str) -> object:
    """Parses untrusted YAML into JSON values; raises ValueError with the parser's words."""
    if len(text) > _LARGEST_HEADER:
        raise ValueError("longer than 1 MiB")
    try:
        loaded = yaml.safe_load(text)
    except (yaml.YAMLError, *_SLIPS) as error:
        raise ValueError(str(error) or "not understood") from error
    return _as_json(loaded, [_MOST_VALUES])


def _as_json(value: object, budget: list[int], depth: int = 0) -> object:
    """JSON values only; the budget stops a few nested aliases from growing into gigabytes."""
    budget[0] -= 1
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if budget[0] < 0:
        raise ValueError(f"more than {_MOST_VALUES:,} values")
    match value:
        case dict():
            return {str(key): _as_json(item, budget, depth + 1) for key, item in value.items()}
        case list() | tuple() | set():
            return [_as_json(item, budget, depth + 1) for item in value]
        case datetime.date() | datetime.datetime():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "replace")
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value


def split_card(text: str) -> tuple[str, str]:
    """The YAML between the first two '---' lines, and the Markdown after it."""
    lines = text.lstrip("\ufeff").splitlines(keepends=True)
    if not lines or lines[0].rstrip() != "---":
        return "", text
    for number, line in enumerate(lines[1:], start=1):
        if line.rstrip() == "---":
            return "".join(lines[1:number]), "".join(lines[number + 1 :])
    return "", text


def parse_card(text: str) -> tuple[dict, str]:
    """Metadata and Markdown of a card; ValueError where the metadata is no YAML mapping."""
    header, body = split_card(text)
    data = load_yaml(header) if header.strip() else {}
    if not isinstance(data, dict):
        raise ValueError("the header must be a mapping of names to values")
    return data, body


@lru_cache(maxsize=128)
def _card(path: Path) -> tuple[dict, str, str]:
    """Kept by the object's path, which is named by its content."""
    text = path.read_bytes().decode("utf-8", "replace")
    try:
        data, body = parse_card(text)
    except ValueError as error:
        return {}, split_card(text)[1], str(error)
    return data, body, ""


def read_card(repo: Repo, commit: Commit) -> tuple[dict, str, str]:
    """Metadata, Markdown, and what is wrong with the metadata ('' when nothing is)."""
    entry = commit.files.get(README)
    if entry is None or entry.size > 4 * _LARGEST_HEADER:
        return {}, "", ""
    return _card(repo.objects.path(entry.object))


def tags(repo_type: str, data: dict, commit: Commit) -> list[str]:
    """The tags that the Hub shows and filters by."""
    found: list[str] = []
    for key in _LISTED_AS_TAGS:
        value = data.get(key)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                prefix = {"license": "license:", "datasets": "dataset:"}.get(key, "")
                if repo_type == "dataset" and key in ("language", "task_categories", "size_categories"):
                    prefix = f"{key}:"
                found.append(prefix + item)
    base = data.get("base_model")
    for item in base if isinstance(base, list) else [base]:
        if isinstance(item, str):
            found.append(f"base_model:{item}")
    for name in (library_name(data, commit), pipeline_tag(data)):
        if name and repo_type == "model":
            found.insert(0, name)
    if any(path.endswith(".safetensors") for path in commit.files):
        found.append("safetensors")
    return list(dict.fromkeys(found))


def library_name(data: dict, commit: Commit) -> str | None:
    if isinstance(data.get("library_name"), str):
        return data["library_name"]
    for path, library in (
        ("model_index.json", "diffusers"),
        ("adapter_config.json", "peft"),
        ("config.json", "transformers"),
    ):
        if path in commit.files:
            return library
    return None


def pipeline_tag(data: dict) -> str | None:
    return data["pipeline_tag"] if isinstance(data.get("pipeline_tag"), str) else None


def eval_results(repo: Repo, commit: Commit) -> list[dict]:
    """The entries of `.eval_results/*.yaml`, as the Hub reads them back."""
    entries: list[dict] = []
    for path, file in commit.files.items():
        if path.startswith(".eval_results/") and path.endswith((".yaml", ".yml")) and file.size <= _LARGEST_HEADER:
            try:
                loaded = load_yaml(repo.objects.read(file.object).decode("utf-8", "replace"))
            except ValueError as error:
                entries.append({"filename": path, "error": str(error)})
                continue
            for item in loaded if isinstance(loaded, list) else [loaded]:
                entries.append(_eval_entry(path, item))
    return entries


def _eval_entry(path: str, item: object) -> dict:
    dataset = item.get("dataset") if isinstance(item, dict) else None
    if not isinstance(dataset, dict) or "id" not in dataset or "task_id" not in dataset or "value" not in item:
        return {"filename": path, "error": "an entry needs dataset.id, dataset.task_id and value"}
    return {"filename": path, "verified": False, "data": item, "pullRequest": None}
