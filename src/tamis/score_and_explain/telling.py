"""Tables of what was written and what it bought, iteration by iteration: for cards and for the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tamis import cards, tables
from tamis.metrics.stats import Estimate
from tamis.score_and_explain.arm_forms import BASE, CONSISTENCY, MERGED, SCORING, SFT, ExplainArm, iteration_of

Name = Callable[[str], str]
Table = tuple[list[str], list[list[Any]]]


def means(results: dict[str, Any], metrics: list[str], name: Name) -> Table:
    """As tables.means; where there are several seeds, behind each arm how many of them it has."""
    head, lines = tables.means(results, metrics, name)
    seeds = [next(iter(told.values()))["seeds"] for told in results["arms"].values()]
    if max(seeds) == 1:
        return head, lines
    return [head[0], "seeds", *head[1:]], [[line[0], own, *line[1:]] for line, own in zip(lines, seeds, strict=True)]


def which(arms: list[ExplainArm], name: Name) -> Table:
    return ["arm", "which"], [[name(arm.name), _meaning(arm)] for arm in arms]


def _meaning(arm: ExplainArm) -> str:
    if arm.exact:
        return (
            "the same two folded into the model's own weights, nothing lost to a rank; in bfloat16 or fewer bits these "
            "round away what is small beside them"
        )
    if arm.merge is not None:
        density = "" if arm.merge.kind == "linear" else f", density {arm.merge.density:g}"
        return f"the same two, merged by {arm.merge.kind.replace('_', ' of ')}{density}"
    return {
        BASE: "the model as it is",
        SCORING: "DPO: the right score with its text against a wrong one with its",
        CONSISTENCY: "DPO: the right score in both, its own text against that of a wrong one",
        SFT: "tuned on the right scores and their texts alone",
        MERGED: "scoring and consistency made one; the next iteration begins with it",
    }[arm.name]


def explained(results: dict[str, Any], name: Name) -> Table:
    """A line for each iteration and seed: pictures, pairs, and the share of wrong scores that were argued for."""
    lines = [
        [
            one["iteration"],
            one["seed"],
            one["pictures"],
            f"{one['usable']} ({one['usable'] / one['pictures']:.1%})",
            *(cards.interval(Estimate(**one["argued"][side])) for side in ("wrong", "true")),
        ]
        for one in results["iterations"]
    ]
    return ["iteration", "seed", "pictures", "usable", "wrong scores argued for", "right scores argued for"], lines


def left_out(results: dict[str, Any]) -> Table | None:
    """How many pairs of the main seed were not used, a line a reason, a column an iteration."""
    main = [one for one in results["iterations"] if one["seed"] == results["config"]["seed"]]
    reasons = list(dict.fromkeys(reason for one in main for reason in one["left_out"]))
    lines = [[reason, *(one["left_out"].get(reason, 0) for one in main)] for reason in reasons]
    return (["reason", *(f"iteration {one['iteration']}" for one in main)], lines) if lines else None


def merging(results: dict[str, Any], name: Name) -> Table:
    lines = [[name(arm), f"{error:.1%}"] for arm, error in results["merging"].items()]
    return ["adapter", "error of its rank"], lines


def leading(comparisons: list[dict[str, Any]], last: str) -> list[dict[str, Any]]:
    """Those that the claim is about: the last merged model against the model as it is, and against the other arms of
    its iteration."""
    now = iteration_of(last)[1]
    return [one for one in comparisons if one["a"] == last and iteration_of(one["b"])[1] in (0, now)]


def by_judge(results: dict[str, Any], judges: list[str], name: Name) -> Table:
    """How well each judge's guesses agree with the scores, and how much higher they are: its leaning."""
    metrics = [f"{metric}@judge={judge}" for metric in ("consistency_spearman", "consistency_bias") for judge in judges]
    return tables.means(results, metrics, name)


def trained_on(results: dict[str, Any]) -> str:
    """How many pictures an iteration explains."""
    counts = sorted({one["pictures"] for one in results["iterations"]})
    return " or ".join(f"{count:,}" for count in counts)


def guessers(settings: dict[str, dict[str, Any]], base: str) -> str:
    """Who the judges are, and whether one of them is the model that was tuned, as it is."""
    told = ", ".join(f"{cards.code(name)} is {cards.code(judge['model'])}" for name, judge in settings.items())
    related = [name for name, judge in settings.items() if judge["model"] == base]
    own = "".join(f" {cards.code(name)} is the tuned model as it is: its guesses stand apart." for name in related)
    return f"{told}.{own}"


def decision(told: dict[str, Any]) -> str:
    """What the decision model's temperatures were fitted on, and what that did."""
    fitted = ", ".join(f"{value:.3f} ({kind})" for kind, value in told["temperature"].items())
    before, after = told["before"], told["after"]
    return (
        f"Temperature {fitted}, fitted on {told['fitted_on']} pictures of the validation split. On {after['n']} of the "
        f"test split: negative log-likelihood of the scores {before['nll']:.3f} before, {after['nll']:.3f} after; "
        f"expected calibration error {before['ece']:.3f} before, {after['ece']:.3f} after."
    )
