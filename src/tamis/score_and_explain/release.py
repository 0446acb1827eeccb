"""What score_and_explain publishes: pairs by iteration, all explanations and replies, the adapters, and both cards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis import cards, lora_cards, report, tables
from tamis.metrics.stats import Estimate
from tamis.score_and_explain import pictures, sheets, telling
from tamis.score_and_explain.arm_forms import BASE, CONSISTENCY, SCORING
from tamis.score_and_explain.settings import REPLY

if TYPE_CHECKING:
    from pathlib import Path

    from datasets import Dataset

    from tamis.score_and_explain.arm_forms import ExplainArm
    from tamis.score_and_explain.deciding import Decided
    from tamis.score_and_explain.explaining import Explained
    from tamis.scoring import Scorer
    from tamis.sources import Source

TASK = "image-text-to-text"
SHOWN = 12  # pictures of a sheet
LEADING = ("spearman", "spearman_expected", "consistency_spearman")
COLLAPSES = ("wellformed", "mode_share", "distinct_explanations")


@dataclass(frozen=True)
class ScoreAndExplainRelease:
    dataset_id: str
    model_id: str
    source: Source
    base: Source
    splits: dict[str, Dataset]  # of the pictures
    explained: list[Explained]  # iterations of the main seed
    replies: Dataset
    truths: list[str]  # metrics that graders of replies gave
    arms: list[ExplainArm]  # of the main seed
    paths: dict[str, Path]  # adapters by their folder
    results: dict[str, Any]
    decided: Decided | None  # the last merged model as a decision model
    scorers: list[Scorer]  # of explanations and replies
    paper: dict[str, tuple[Any, ...]]  # as cards.differences takes it

    # ---- what is published -------------------------------------------------------------------------------------------

    def configs(self) -> dict[str, Any]:
        """The two sets of pairs with a split an iteration, all explanations, all replies."""
        from datasets import concatenate_datasets

        found: dict[str, Any] = {}
        for kind in (SCORING, CONSISTENCY):
            found[kind] = {
                f"iteration_{one.iteration}": self._shown(getattr(one.pairs, kind)) for one in self.explained
            }
        everything = concatenate_datasets([one.rows.remove_columns("image") for one in self.explained])
        return found | {"explanations": everything, "replies": self.replies}

    def _shown(self, rows: Dataset) -> Dataset:
        """With its pictures where their licence is known; row_id names them all the same."""
        return rows if self._pictured else rows.remove_columns("image")

    @property
    def _pictured(self) -> bool:
        return self.source.licence is not None

    def adapter_files(self) -> dict[str, str]:
        return self.decided.files if self.decided else {}

    def pictures(self) -> dict[str, bytes]:
        found = {
            "pictures/curves.png": pictures.curves(
                self.results["arms"], self.columns_shown, [arm.name for arm in self.arms if arm.name != BASE]
            )
        }
        if self._pictured:
            latest = self.explained[-1]
            found["pictures/pairs.png"] = sheets.examples(latest.rows, latest.reasons, seed=self._seed)
            found["pictures/replies.png"] = sheets.replies(
                self.splits["test"], self._replies_of(BASE, self.last), count=SHOWN, seed=self._seed
            )
        return found

    def _replies_of(self, *arms: str) -> dict[str, dict[str, str | None]]:
        """Arm to row_id to the raw reply, of the main seed."""
        names = ("arm", "seed", "row_id", f"{REPLY}_reply")
        found: dict[str, dict[str, str | None]] = {arm: {} for arm in arms}
        for arm, seed, row_id, said in zip(*(self.replies[name][:] for name in names), strict=True):
            if arm in found and seed == self._seed:
                found[arm][row_id] = said
        return found

    @property
    def last(self) -> str:
        return self.results["last"]

    @property
    def columns_shown(self) -> list[str]:
        """Metrics of the main tables and of the curves; the others are told behind them."""
        return [name for name in (*LEADING, *self.truths, *COLLAPSES) if name in self.results["arms"][BASE]]

    @property
    def _others(self) -> list[str]:
        measured = dict.fromkeys(name for told in self.results["arms"].values() for name in told if "@" not in name)
        return [name for name in measured if name not in self.columns_shown]

    def _leading(self, metric: str) -> bool:
        return metric in self.columns_shown

    @property
    def _seed(self) -> int:
        return self.results["config"]["seed"]

    # ---- cards -------------------------------------------------------------------------------------------------------

    def adapter_card(self) -> cards.Card:
        licence, why = self._licence()
        metadata = lora_cards.adapter_header(
            self.model_id,
            self.dataset_id,
            self.base.repo_id,
            licence,
            self.results,
            self.columns_shown,
            library="peft",
            task=TASK,
        )
        return cards.Card(cards.template("model_cards/score_and_explain.md.jinja"), metadata, self._values(why))

    def dataset_card(self) -> cards.Card:
        licence, why = self._licence()
        rows = sum(2 * len(one.pairs) for one in self.explained)
        metadata = lora_cards.dataset_header(
            self.dataset_id, licence, source=self.source.repo_id, rows=rows, tags=["dpo", "preference", "aesthetics"]
        )
        metadata |= {"task_categories": [TASK], "language": ["en"]}
        return cards.Card(cards.template("dataset_cards/score_and_explain.md.jinja"), metadata, self._values(why))

    def page(self, shown: dict[str, bytes]) -> str:
        told = self.results
        lost = telling.left_out(told)
        return report.html(
            title=f"score_and_explain: {len(self.paths)} adapters of {self.base.repo_id}",
            summary=[
                ("pictures", f"{self.source.repo_id} at {self.source.revision[:12]}"),
                ("base model", f"{self.base.repo_id} at {self.base.revision[:12]}"),
                ("iterations", str(len(self.explained))),
                ("seed", str(self._seed)),
            ],
            tables={
                "Arms": telling.which(self.arms, str),
                "On the test split": telling.means(told, self.columns_shown, str),
                f"{self.last} against the others": tables.comparisons(told, self.last, str, self._leading),
                "What there was to learn from": telling.explained(told, str),
                **({"Left out": lost} if lost else {}),
                "Merging": telling.merging(told, str),
                "Training": tables.training(told, str),
            },
            pictures={name.split("/")[-1].split(".")[0]: data for name, data in shown.items()},
            pool=self.splits["test"],
            groups={},
            image_column=None,
            shown=[],
        )

    def loading(self) -> str:
        from tamis.prompts import render

        config = self.results["config"]
        prompt = render("score_and_explain/explain", wording=config["wording"], lowest=1, highest=10)
        return lora_cards.loading_critic(self.base.repo_id, self.model_id, self.last, prompt, config["max_new_tokens"])

    # ---- what they tell ----------------------------------------------------------------------------------------------

    def _values(self, why_licence: str) -> dict[str, Any]:
        told, config, code = self.results, self.results["config"], cards.code
        lost = telling.left_out(told)
        first = next(one for one in told["iterations"] if one["seed"] == config["seed"])
        now = {"comparisons": telling.leading(told["comparisons"], self.last)}
        return lora_cards.how_made(told, self.source.repo_id) | {
            "repo_id": cards.Markdown(self.model_id),
            "dataset_id": cards.Markdown(self.dataset_id),
            "base": code(self.base.repo_id),
            "adapters": len(self.paths),
            "trained_on": telling.trained_on(told),
            "tested": len(self.splits["test"]),
            "last": code(self.last),
            "last_name": self.last,
            "ended": cards.escape("; ".join(told["ended"].values()), longest=600) if told["ended"] else None,
            "loading": cards.fenced(self.loading(), "python"),
            "loading_rows": cards.fenced(self._loading_rows(), "python"),
            "which": cards.table(*telling.which(self.arms, code)),
            "arms": cards.table(*telling.means(told, self.columns_shown, code)),
            "comparisons": cards.table(*tables.comparisons(now, self.last, code, self._leading)),
            "all_comparisons": cards.table(*tables.comparisons(told, self.last, code)),
            "other_metrics": cards.table(*telling.means(told, self._others, code)),
            "judges": cards.table(*telling.by_judge(told, list(config["guessers"]), code)),
            "guessers": cards.Markdown(telling.guessers(config["guessers"], self.base.repo_id)),
            "argued_wrong": cards.interval(Estimate(**first["argued"]["wrong"])),
            "argued_right": cards.interval(Estimate(**first["argued"]["true"])),
            "first_guesser": code(next(iter(config["guessers"]))),
            "explained": cards.table(*telling.explained(told, code)),
            "left_out": cards.table(*lost) if lost else cards.Markdown("None."),
            "refused": cards.table(["not read", "how many"], [list(item) for item in told["refused"].items()])
            if told["refused"]
            else None,
            "merging": cards.table(*telling.merging(told, code)),
            "decision": cards.Markdown(telling.decision(told["decision"])) if self.decided else None,
            "loading_decision": cards.fenced(self.decided.three_lines(self.model_id, self.base.repo_id), "python")
            if self.decided
            else None,
            "training": cards.table(*tables.training(told, code)),
            "replies": len(self.replies),
            "nulls_replies": cards.nulls_table(told["nulls_replies"], len(self.replies)),
            "metric_meanings": lora_cards.meanings(self.scorers),
            "columns": lora_cards.meanings(self.scorers),
            "pictured": self._pictured,
            "split_table": cards.table(
                ["split", "pairs"],
                [[f"iteration_{one.iteration}", len(one.pairs)] for one in self.explained],
            ),
            "why_licence": why_licence,
            "differences": lora_cards.differences(
                config | {"dataset": self.source.repo_id, "base_model": self.base.repo_id}, self.paper
            ),
        }

    def _licence(self) -> tuple[str, str]:
        return cards.derived_licence([self.base, self.source])

    def _loading_rows(self) -> str:
        last = f"iteration_{self.explained[-1].iteration}"
        return (
            "from datasets import load_dataset\n\n"
            f'pairs = load_dataset("{self.dataset_id}", "scoring", split="{last}")\n'
            f'replies = load_dataset("{self.dataset_id}", "replies", split="train")'
        )
