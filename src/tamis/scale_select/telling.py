"""Tables of the pool, of what was selected and what it bought: for cards, which want names as code, and the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tamis import cards, tables
from tamis.arm_names import Arm
from tamis.metrics.stats import Estimate
from tamis.scale_select.arm_forms import BASE, FULL, RANDOM, drawn_like

Name = Callable[[str], str]
Table = tuple[Sequence[str], list[list[Any]]]


def pool(results: dict[str, Any]) -> Table:
    """A line a source: read, usable, wanted, taken."""
    lines = [
        [name, told["read"], told["there"], "all" if told["wanted"] is None else told["wanted"], told["taken"]]
        for name, told in results["pool"].items()
    ]
    return ["source", "read", "usable", "asked for", "in the pool"], lines


def counted(results: dict[str, Any], what: str) -> Table | None:
    """Rows that were refused, or repaired, by source and reason."""
    lines = [[name, why, count] for name, told in results[what].items() for why, count in told.items()]
    return (["source", "why" if what == "refused" else "how", "rows"], lines) if lines else None


def which(arms: Sequence[Arm], rows: dict[str, int], rankings: dict[str, dict[str, float]], name: Name) -> Table:
    return ["arm", "rows", "which"], [[name(arm.name), rows.get(arm.name, 0), meaning(arm, rankings)] for arm in arms]


def meaning(arm: Arm, rankings: dict[str, dict[str, float]]) -> str:
    if arm.way == BASE:
        return "the model as it is"
    if arm.way == FULL:
        return "every row of the pool"
    if arm.way == RANDOM:
        told = f"drawn by seed among the rows that the composite scored, draw {arm.draw}"
    else:
        weights = rankings[arm.way]
        parts = [column if weight == 1 else f"{weight:g} x {column}" for column, weight in weights.items()]
        told = f"the highest {'mean of ' if len(parts) > 1 else ''}{', '.join(parts)}"
    kept = [
        f"in the shares that {mark.removeprefix('per-')}s have among the scored rows"
        for mark in sorted(arm.marks)
        if mark != "matched"
    ]
    longer = ["for as many steps as the largest arm"] if arm.matched else []
    return "; ".join([told, *kept, *longer])


def accuracies(results: dict[str, Any]) -> list[str]:
    """The metrics that tell how often an answer was right, the leading one first: one for each way to read options."""
    return [metric for metric in results["metrics"] if metric.endswith("_accuracy")]


def scores(results: dict[str, Any], best: str, name: Name, metric: str) -> Table:
    """Accuracy of every arm, as a share of full data's, and the difference of the selected arm to it."""
    found = {one["b"]: one for one in results["comparisons"] if one["a"] == best and one["metric"] == metric}
    lines = []
    for arm, told in results["arms"].items():
        share = results["relative"][metric].get(arm)
        spread = results["draws"][metric].get(arm, {})
        lines.append(
            [
                name(arm),
                cards.interval(Estimate.of(told[metric])),
                "–" if share is None else f"{share:.1%}",
                "–" if spread.get("deviation") is None else f"{spread['lowest']:.3f} to {spread['highest']:.3f}",
                "–" if arm not in found else tables.difference(found[arm]),
                "–" if arm not in found else _over_trainings(found[arm]),
            ]
        )
    head = ["arm", metric, "of full data's", "draws and seeds: lowest to highest", f"{best} minus it"]
    return [*head, "over draws and seeds too"], lines


def _over_trainings(told: dict[str, Any]) -> str:
    return "–" if told["over_trainings"] is None else "[{:+.3f}, {:+.3f}]".format(*told["over_trainings"])


def by_part(results: dict[str, Any], part: str, name: Name) -> Table | None:
    """A line an arm, a column a sub-task, or a benchmark where there are several."""
    parts = list(dict.fromkeys(one for told in results["arms"].values() for one in told if f"@{part}=" in one))
    parts = [one for one in parts if one.startswith(f"{results['metrics'][0]}@")]
    lines = []
    for arm, told in results["arms"].items():
        known = [told.get(one) for one in parts]
        lines.append([name(arm), *("–" if one is None else cards.interval(Estimate.of(one)) for one in known)])
    return (["arm", *(one.partition("=")[2] for one in parts)], lines) if len(parts) > 1 else None


def stages(results: dict[str, Any]) -> Table:
    """What each stage cost in the last start of the run: what stands in the journal cost an earlier one."""
    lines = []
    for one in results["stages"]:
        rows = one.get("rows")
        if one["name"].startswith("publish"):
            continue
        found = one.get("chunks_reused", 0) or one.get("adapters_reused", 0)
        rate = None if found else one.get("rows_per_second")
        rows = "–" if rows is None else rows
        lines.append([one["name"], rows, f"{one['seconds']:,.1f}", "–" if rate is None else rate, found or "–"])
    return ["stage", "rows", "seconds", "rows a second", "chunks or models found made"], lines


def tasks(results: dict[str, Any], name: Name) -> Table | None:
    """How often a judge read a benchmark question's task as people did, the confusion matrix behind it."""
    if results["tasks"] is None:
        return None
    head, lines = results["tasks"]["table"]
    by = {one: cards.interval(Estimate(**told)) for one, told in results["tasks"]["by_subtask"].items()}
    return [head[0], "right", *head[1:]], [[name(line[0]), by.get(line[0], "–"), *line[1:]] for line in lines]


def verdict(results: dict[str, Any], best: str) -> str:
    """The claim, held against what was measured: whichever way it falls."""
    tuned = "Tuned on the selected rows it is"
    told = [_held(results, best, drawn_like(best), tuned, "on as many rows drawn at random")]
    if FULL in results["arms"]:
        told.append(_held(results, best, FULL, tuned, "on the whole pool"))
    if FULL in results["arms"] and (longer := f"{best}.matched") in results["arms"]:
        told.append(_held(results, longer, FULL, "Tuned on them for as many steps it is", "on the whole pool"))
    told.append(_held(results, best, BASE, "It is", "the model as it is"))
    return " ".join(told)


def _held(results: dict[str, Any], arm: str, other: str, subject: str, what: str) -> str:
    metric = results["metrics"][0]
    one = next(one for one in results["comparisons"] if (one["a"], one["b"], one["metric"]) == (arm, other, metric))
    if one["low"] is None:
        return f"{subject} compared with {what}: nothing can be told, too few questions."
    low, high = one["over_trainings"] or (one["low"], one["high"])
    way = "better than" if low > 0 else "worse than" if high < 0 else "not clearly other than"
    points = f"{100 * one['difference']:+.1f} points {_points(one['low'], one['high'])}"
    if one["over_trainings"]:
        points += f", {_points(low, high)} with what other draws and seeds would give"
    elif other != BASE:
        points += ", one training of one of them: another may give another figure"
    among = ""
    if other.startswith(f"{RANDOM}-"):
        drawn, own = results["draws"][metric][other], results["arms"][arm][metric]["value"]
        among = f" (its draws and seeds, one by one: {drawn['lowest']:.3f} to {drawn['highest']:.3f}; here {own:.3f})"
        # A single training among the drawn ones: there is no interval that knows of it.
        if not one["over_trainings"] and drawn["lowest"] <= own <= drawn["highest"]:
            way = "not clearly other than"
    return f"{subject} {way} {what}: {points}{among}."


def _points(low: float, high: float) -> str:
    return f"[{100 * low:.1f}, {100 * high:.1f}]"
