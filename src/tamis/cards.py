"""Cards: pure values that render to Markdown with a YAML header. What comes from data is escaped, always."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tamis.metrics.stats import Comparison, Estimate
from tamis.sources import Source

# From free to strict. What is derived from several sources is never freer than the strictest of them.
LICENCES = (
    ("cc0-1.0", "pddl", "unlicense"),
    ("mit", "bsd-2-clause", "bsd-3-clause", "isc", "cdla-permissive-2.0"),
    ("apache-2.0",),
    ("cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "odc-by"),
    ("cc-by-sa-3.0", "cc-by-sa-4.0", "odbl"),
    ("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
    ("cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    ("cc-by-nd-4.0", "cc-by-nc-nd-4.0"),
)
_SHARE_ALIKE = {licence for group in LICENCES for licence in group if "-sa-" in licence or licence == "odbl"}
PICTURES = "its pictures"  # in the reason for a licence: those that state one each
_DATABASE = {"odc-by", "odbl"}  # terms of their own kind: those of Creative Commons do not contain them
# What renderers turn into a link without being asked: addresses, hosts, mail.
_ADDRESS = re.compile(r"//\w|www\.|\w@\w|\w\.[^\W\d_]{2}", re.IGNORECASE)


class Markdown(str):
    """Text that is Markdown by our own hand: rendered as it is. Every other text in a card is escaped."""


@dataclass(frozen=True)
class Card:
    """template: a jinja file whose first line opens the YAML header. metadata: that header. values: what it shows."""

    template: Path
    metadata: dict[str, Any]
    values: dict[str, Any] = field(default_factory=dict)

    def render(self) -> str:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        environment = Environment(
            loader=FileSystemLoader(self.template.parent),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # the output is Markdown; _escaped does what HTML escaping would not
        )
        header = yaml.safe_dump(self.metadata, sort_keys=False, allow_unicode=True, width=1000)
        values = {name: _escaped(value) for name, value in self.values.items()}
        return environment.get_template(self.template.name).render(values, metadata=header)


def template(name: str) -> Path:
    """A card template by its path in the repository; installed without one, from where setup.cfg puts them."""
    checkout = Path(__file__).resolve().parents[2] / name
    return checkout if checkout.is_file() else Path(sys.prefix) / "share" / "tamis" / name


def escape(text: str, longest: int = 300) -> Markdown:
    """Any text on one line, with nothing left in it that Markdown or HTML would act on.

    A word that looks like an address is shown as code, the one place where no renderer makes links by itself.
    """
    flat = _flat(text)
    if len(flat) > longest:
        flat = flat[: longest - 1] + "…"
    return Markdown(" ".join(code(word) if _ADDRESS.search(word) else _inert(word) for word in flat.split(" ")))


def _inert(word: str) -> str:
    word = word.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    word = re.sub(r"([\\`*_{}\[\]()#+!|~$^-])", r"\\\1", word)
    return re.sub(r"^(\d+)\.$", r"\1\\.", word)  # at the beginning of a line, a list would start


def _flat(text: str) -> str:
    """One line without what no eye sees: control characters, marks that turn the reading direction."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def code(text: str) -> Markdown:
    """An inline code span that its content cannot close."""
    flat = _flat(str(text)).replace("|", "\\|")
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return Markdown(f"{ticks}{pad}{flat}{pad}{ticks}")


def fenced(text: str, language: str) -> Markdown:
    """A code block that its content cannot close."""
    text = "".join(character for character in text if character.isprintable() or character in "\n\t")
    fence = "`" * max(3, max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    return Markdown(f"{fence}{language}\n{text.rstrip()}\n{fence}")


def table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Markdown:
    """Cells and heads are escaped: a head may name a class or a topic."""
    head, *lines = [[_escaped(cell) for cell in row] for row in (header, *rows)]
    lines = [head, ["---"] * len(head), *lines]
    return Markdown("\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines))


def number(value: float | None) -> Markdown:
    if value is None:
        return Markdown("–")
    return Markdown(f"{value:,}" if isinstance(value, int) else f"{value:.4g}")


def interval(estimate: Estimate) -> Markdown:
    """0.412 [0.380, 0.444], n = 120"""
    if estimate.value is None:
        return Markdown(f"– (n = {estimate.n:,}, {estimate.nulls:,} null)")
    reach = "" if estimate.low is None else f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    nulls = f", {estimate.nulls:,} null" if estimate.nulls else ""
    return Markdown(f"{estimate.value:.3f}{reach}, n = {estimate.n:,}{nulls}")


def difference(comparison: Comparison) -> Markdown:
    if comparison.difference is None:
        return Markdown("–")
    p = "no p" if comparison.p is None else "p < 0.001" if comparison.p < 0.001 else f"p = {comparison.p:.3f}"
    reach = "" if comparison.low is None else f" [{comparison.low:+.3f}, {comparison.high:+.3f}]"
    text = f"{comparison.difference:+.3f}{reach}, {p}, n = {comparison.n:,}"
    return Markdown(re.sub(r"[-+]0\.000", "0.000", text))


def differences(ours: dict[str, Any], paper: dict[str, tuple[Any, ...]]) -> Markdown:
    """A list of the settings that are others here. paper: a setting's value there, then other names of the same."""
    return Markdown(
        "\n".join(
            f"- {name}: {code(str(ours[name])) if ours[name] != '' else 'empty'} here, "
            f"{code(str(theirs[0]))} in the paper"
            for name, theirs in paper.items()
            if str(ours[name]).lower() not in {str(one).lower() for one in theirs}
        )
    )


def derived_licence(sources: Iterable[Source], of_rows: Iterable[str | None] = ()) -> tuple[str, str]:
    """The Hub's licence id for what is made of these sources, and the reason in words.

    of_rows: licences that the rows used state for themselves, as pictures of Wikimedia Commons do; None where one has
    none.
    """
    sources, of_rows = list(sources), list(of_rows)
    # A repo may state several, as "mit, cc-by-nc-4.0": its rows come under all of them.
    terms = {source.address: (source.licence or "unknown").split(", ") for source in sources}
    own = [_licence_id(licence) for licence in of_rows]
    if own:
        terms[PICTURES] = sorted(set(own))
    unknown = [address for address, licences in terms.items() if "unknown" in licences]
    if unknown:
        names = [f"{own.count('unknown'):,} of {PICTURES}" if name == PICTURES else name for name in unknown]
        verb = "states" if len(unknown) == 1 and unknown != [PICTURES] else "state"
        return "unknown", f"{' and '.join(names)} {verb} no licence, so neither can what is made of them."
    stated = {licence for licences in terms.values() for licence in licences}
    if len(stated) == 1:
        return stated.pop(), f"That of {', '.join(terms)}."
    together = ", ".join(f"{address} ({', '.join(licences)})" for address, licences in terms.items())
    if _no_single_one(stated):
        return "other", f"The terms of all its sources apply together: {together}."
    strictness = {licence: rank for rank, group in enumerate(LICENCES) for licence in group}
    strictest = max(stated, key=lambda licence: (strictness[licence], licence))
    return strictest, f"The strictest of its sources: {together}."


def _licence_id(stated: str | None) -> str:
    """As the Hub spells it: "CC BY-SA 4.0" is cc-by-sa-4.0. Only blanks, as good as none: unknown."""
    plain = re.sub(r"[\s_-]+", "-", (stated or "").strip().lower()) or "unknown"
    return {"cc0": "cc0-1.0", "public-domain": "cc0-1.0", "pd": "cc0-1.0"}.get(plain, plain)


def _no_single_one(stated: set[str]) -> bool:
    """Whether none of several licences contains the terms of the others."""
    known = {licence for group in LICENCES for licence in group}
    share_alike = stated & _SHARE_ALIKE
    return (
        not stated <= known
        or any("-nd-" in licence for licence in stated)  # what is made of it may not be shared at all
        or len(share_alike) > 1
        or bool(share_alike)
        and any("-nc-" in licence for licence in stated - share_alike)
        or bool(stated & _DATABASE)
        and any(licence.startswith("cc-by") for licence in stated)
    )


def model_index(
    name: str,
    task: str,
    dataset: str,
    arms: dict[str, dict[str, Estimate]],
    *,
    revision: str | None,
    seeds: dict[str, int],
) -> list[dict[str, Any]]:
    """`model-index` of a model card: every arm's metrics, each with n, interval and seeds beside its value.

    revision: the dataset's commit; None where it has none yet, since both are published together. seeds: of each arm.
    """
    from huggingface_hub.repocard_data import EvalResult, eval_results_to_model_index

    results = [
        EvalResult(
            task_type=task,
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_revision=revision,
            metric_type=metric,
            metric_name=f"{metric} ({arm})",
            metric_value=round(estimate.value, 6),
            metric_args={
                "arm": arm,
                "n": estimate.n,
                "nulls": estimate.nulls,
                "low": estimate.low if estimate.low is None else round(estimate.low, 6),
                "high": estimate.high if estimate.high is None else round(estimate.high, 6),
                "seeds": seeds[arm],
            },
        )
        for arm, metrics in arms.items()
        for metric, estimate in metrics.items()
        if estimate.value is not None
    ]
    return eval_results_to_model_index(name, results)


def sources_table(sources: Iterable[dict[str, Any]]) -> Markdown:
    return table(
        ["what", "repo", "commit", "licence", "rows"],
        (
            [
                source["repo_type"],
                Markdown(code(source["repo_id"]) + (" (local folder)" if source["local"] else "")),
                code(source["revision"][:12]),
                source["licence"] or "not stated",
                number(source["rows"]),
            ]
            for source in sources
        ),
    )


def nulls_table(nulls: dict[str, dict[str, int]], rows: int) -> Markdown:
    lines = [
        [Markdown(", ".join(map(code, columns))), number(count), f"{count / rows:.2%}", reason]
        for columns, reason, count in nulls_by_reason(nulls)
    ]
    return table(["column", "rows", "share", "why there is no score"], lines) if lines else Markdown("None.")


def nulls_by_reason(nulls: dict[str, dict[str, int]]) -> list[tuple[list[str], str, int]]:
    """Columns that lack the same rows for the same reasons told once: (columns, reason, rows), most rows first."""
    alike: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for column, reasons in nulls.items():
        alike.setdefault(tuple(sorted(reasons.items())), []).append(column)
    told = [(columns, reason, count) for reasons, columns in alike.items() for reason, count in reasons]
    return sorted(told, key=lambda line: -line[2])


def _escaped(value: Any) -> Any:
    if isinstance(value, Markdown) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    raise TypeError(f"a card shows text, numbers, lists and mappings, not a {type(value).__name__}")
