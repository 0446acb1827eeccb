"""The numbers that a card claims, as rows of a table. A card is untrusted: whatever does not fit is left out."""

from __future__ import annotations

from dataclasses import dataclass

from tamis.localhub.cells import shown

# Told by the table's own columns, or of no use to a reader.
_KNOWN = {"type", "name", "value", "verified", "verifyToken", "args"}


@dataclass(frozen=True)
class Metrics:
    """Rows of the same length as `columns`: what was measured where, then whatever else the card tells of it."""

    columns: list[str]
    rows: list[list[str]]


def from_model_index(model_index: object, eval_results: list[dict]) -> Metrics:
    found = [*_of_model_index(model_index), *_of_eval_results(eval_results)]
    extra = list(dict.fromkeys(key for _, more in found for key in more))
    return Metrics(
        ["Task", "Dataset", "Metric", "Value", *extra],
        [[*first, *(more.get(key, "") for key in extra)] for first, more in found],
    )


Row = tuple[list[str], dict[str, str]]


def _of_model_index(model_index: object) -> list[Row]:
    rows: list[Row] = []
    for model in _mappings(model_index):
        for result in _mappings(model.get("results")):
            task, dataset = _mapping(result.get("task")), _mapping(result.get("dataset"))
            where = [_first(dataset, "name", "type"), _first(dataset, "config"), _first(dataset, "split")]
            for metric in _mappings(result.get("metrics")):
                told = {**_mapping(metric.get("args")), **{key: metric[key] for key in metric if key not in _KNOWN}}
                first = [
                    _first(task, "name", "type"),
                    " · ".join(filter(None, where)),
                    _first(metric, "name", "type"),
                    _value(metric.get("value")),
                ]
                rows.append((first, {str(key): _value(value) for key, value in told.items()}))
    return rows


def _of_eval_results(entries: list[dict]) -> list[Row]:
    rows: list[Row] = []
    for entry in entries:
        data = entry.get("data")
        if data:
            dataset = _mapping(data.get("dataset"))
            first = [_first(dataset, "task_id"), _first(dataset, "id"), "evaluation", _value(data.get("value"))]
            more = {key: _value(data[key]) for key in ("date", "notes") if data.get(key) is not None}
            rows.append((first, more))
    return rows


def _mapping(value: object) -> dict:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[dict]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _first(mapping: dict, *keys: str) -> str:
    return next((_value(mapping[key]) for key in keys if mapping.get(key) is not None), "")


def _value(value: object) -> str:
    return "" if value is None else shown(value)
