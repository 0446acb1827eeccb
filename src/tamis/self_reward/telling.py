"""What a run of self_reward_lora measured, as tables and in a sentence: for cards and the page."""

from __future__ import annotations

from typing import Any

from tamis import cards
from tamis.tables import Lines, Name

WINS = "clip_similarity_win_rate"


def claim(results: dict[str, Any], best: str, paper: str) -> cards.Markdown:
    """How often the best arm wins against the base model, beside what the paper tells: its claim, as Markdown."""
    one = _compared(results, best, "none", WINS)
    if one is None or one["difference"] is None:
        return cards.Markdown("No picture could be compared with the base model's: the paper's claim was not tested.")
    return cards.Markdown(
        f"{cards.code(best)} wins against the base model by CLIP similarity in {_share(one)} of {one['n']:,} pairs of "
        f"pictures (p = {one['p']:.2g}, two-sided, by prompt). The paper tells {paper}, of other models, classes and "
        "prompts."
    )


def win_rates(results: dict[str, Any]) -> list[str]:
    """Metrics that are win rates, CLIP's first; those of parts of the prompts stand beside them."""
    known = dict.fromkeys(one["metric"] for one in results["comparisons"] if one["metric"].endswith("_win_rate"))
    return sorted(known, key=lambda metric: metric != WINS)


def wins(results: dict[str, Any], best: str, name: Name) -> tuple[list[str], Lines]:
    """A line a metric and rival, columns for all prompts and for parts of them."""
    metrics = [one["metric"] for one in results["comparisons"]]
    parts = dict.fromkeys(metric.removeprefix(WINS) for metric in metrics if metric.startswith(WINS))
    rivals = dict.fromkeys(one["b"] for one in results["comparisons"] if one["a"] == best)
    lines = []
    for metric in win_rates(results):
        for rival in rivals:
            told = [_compared(results, best, rival, f"{metric}{part}") for part in parts]
            if any(told):
                lines.append([name(metric), name(rival), *map(_rate, told)])
    return ["win rate", "against", *(part.lstrip("@") or "all prompts" for part in parts)], lines


def rounds(results: dict[str, Any], name: Name) -> tuple[list[str], Lines]:
    told = results["rounds"]
    means = list(told[0]["means"])
    head = ["round", "pictures", "passing", "prompts dropped", *map(name, means), "diversity", "best picture told by"]
    return head, [
        [
            one["round"],
            one["pictures"],
            one["passing"],
            ", ".join(f"{count} ({why})" for why, count in one["dropped"].items()) or "none",
            *(cards.number(one["means"][column]) for column in means),
            cards.number(one["diversity"]),
            ", ".join(f"{what} {count}" for what, count in one["decided_by"].items() if count) or "nothing",
        ]
        for one in told
    ]


def _compared(results: dict[str, Any], best: str, rival: str, metric: str) -> dict[str, Any] | None:
    """Clustered by the first of the ways to cluster: by prompt."""
    wanted = (best, rival, metric)
    return next((one for one in results["comparisons"] if (one["a"], one["b"], one["metric"]) == wanted), None)


def _rate(one: dict[str, Any] | None) -> cards.Markdown:
    if one is None or one["difference"] is None:
        return cards.Markdown("–")
    return cards.Markdown(f"{_share(one)}, p = {one['p']:.2g}, n = {one['n']:,}")


def _share(one: dict[str, Any]) -> str:
    reach = "" if one["low"] is None else f" [{0.5 + one['low']:.1%}, {0.5 + one['high']:.1%}]"
    return f"{0.5 + one['difference']:.1%}{reach}"
