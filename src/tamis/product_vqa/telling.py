"""Tables of what was asked and what was answered: for cards, which want names as code, and for the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tamis import cards, tables
from tamis.metrics.stats import Estimate
from tamis.product_vqa.arm_forms import BASE, BY_ROW, own_base
from tamis.product_vqa.measuring import CHOSEN_BY, IN_8BIT

Name = Callable[[str], str]
Table = tuple[list[str], list[list[Any]]]


def levels_of(results: dict[str, Any]) -> list[str]:
    return [level for level in results["asked"] if level != "all"]


def by_level(results: dict[str, Any], metric: str, name: Name) -> Table:
    """A line an arm, a column a difficulty."""
    levels = levels_of(results)
    lines = []
    for arm, told in results["arms"].items():
        known = [told.get(f"{metric}@level={level}") for level in levels]
        lines.append([name(arm), *("–" if one is None else cards.interval(Estimate(**one)) for one in known)])
    return ["arm", *(f"difficulty {level}" for level in levels)], lines


def over_base(results: dict[str, Any], metrics: Sequence[str], name: Name) -> Table | None:
    """Every arm against its own model as it is, on the same questions."""
    return _pairs(results, metrics, name, lambda a, b: b == own_base(a))


def gains(results: dict[str, Any], arms: Sequence[str]) -> list[dict[str, Any]]:
    """Comparisons of these arms with their own models as they are."""
    return [one for one in results["comparisons"] if one["a"] in arms and one["b"] == own_base(one["a"])]


def best_by_level(results: dict[str, Any], best: str, metrics: Sequence[str], name: Name) -> Table:
    """The best shape against the model as it is, a line a difficulty."""
    found = {(one["metric"], one["a"], one["b"]): one for one in results["comparisons"]}
    lines = []
    for level in levels_of(results):
        told = [found.get((f"{metric}@level={level}", best, BASE)) for metric in metrics]
        lines.append([f"difficulty {level}", *("–" if one is None else tables.difference(one) for one in told)])
    return ["", *map(name, metrics)], lines


def asked(results: dict[str, Any], columns: Sequence[str], name: Name) -> Table:
    """What the questions are like: how many of each difficulty, and the means of their scores."""
    lines = [
        [level, told["questions"], *(cards.interval(Estimate(**told[column])) for column in columns)]
        for level, told in results["asked"].items()
    ]
    return ["difficulty", "questions", *map(name, columns)], lines


def leak(results: dict[str, Any], best: str) -> cards.Markdown | None:
    """What a split that does not look at pictures lets through, and what it seems to buy."""
    if "row" not in results["leak"]:
        return None
    told, code = results["leak"], cards.code
    text = (
        f"Split by row, {told['row']['images']['share']:.1%} of the test pictures stand in the training split too, and "
        f"with them {told['row']['rows']['share']:.1%} of the test questions; in the split of the other "
        f"arms, {told['image']['images']['share']:.1%}."
    )
    found = {(one["a"], one["b"]): one for one in results["comparisons"] if one["metric"] == CHOSEN_BY}
    arms = [one for one in results["arms"] if one.endswith(f".{BY_ROW}") and not one.startswith(f"{BASE}.")]
    arm = next((one for one in arms if one == f"{best}.{BY_ROW}"), arms[0])
    gain, own = found.get((arm, f"{BASE}.{BY_ROW}")), found.get((best, BASE))
    if gain and own:
        text += (
            f" In {code(CHOSEN_BY)} {code(arm)} gains {tables.difference(gain)} over the model as it is on its own "
            f"test questions, {code(best)} {tables.difference(own)} on its own."
        )
    return cards.Markdown(text)


def leaks(results: dict[str, Any], metrics: Sequence[str], name: Name) -> Table | None:
    """Each shape split by row against the same split by picture, on questions that neither was tuned on."""
    return _pairs(results, metrics, name, lambda a, b: a == f"{b}.{BY_ROW}" and b != BASE)


def eight_bit(results: dict[str, Any], metrics: Sequence[str], name: Name) -> Table | None:
    """The change of every metric where a LoRA is worn by the base in 8 bits, and where it was tuned there."""
    return _pairs(results, metrics, name, lambda a, b: a.endswith(IN_8BIT) and b == a.rpartition(".")[0])


def _pairs(
    results: dict[str, Any], metrics: Sequence[str], name: Name, wanted: Callable[[str, str], bool]
) -> Table | None:
    """A line for each pair of arms that is wanted, a column for each metric."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in results["comparisons"]:
        if wanted(one["a"], one["b"]) and one["metric"] in metrics:
            found.setdefault((one["a"], one["b"]), {})[one["metric"]] = tables.difference(one)
    lines = [[name(a), name(b), *(told.get(metric, "–") for metric in metrics)] for (a, b), told in found.items()]
    return (["arm", "minus", *map(name, metrics)], lines) if lines else None


def footprint(results: dict[str, Any]) -> str:
    """How much smaller the model in 8 bits is, and how fast."""
    told = results["eight_bit"]
    small, speed = told["footprint"], told["questions_per_second"]
    return (
        f"Its quantised layers take {small['linear'] / small['linear_float16']:.1%} of what they take in float16; the "
        f"whole model {_megabytes(small['total'])}, {_megabytes(small['total_float16'])} in float16, "
        f"{_megabytes(small['total_float32'])} in float32. Here, on {told['device']}, it answers {speed['8bit']:,.1f} "
        f"questions a second, in {told['dtype']} {speed['unquantised']:,.1f}."
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
