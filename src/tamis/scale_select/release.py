"""What scale_select publishes: the scored pool, the rows of every arm, all answers, tuned models, and both cards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tamis import cards, lora_cards, report, sql, tables
from tamis.metrics.stats import Estimate
from tamis.scale_select import arm_forms, composition, faults, plots, rankings, reasons, telling, ties

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datasets import Dataset

    from tamis.arm_names import Arm
    from tamis.scale_select.composition import Mixture, Shift
    from tamis.scale_select.faults import Found
    from tamis.scale_select.ties import Ties
    from tamis.scoring import Scorer
    from tamis.sources import Source

TASK = "image-text-to-text"
LONGEST = 400  # characters of a reply in a table
EXAMPLES = 3  # rows of a group in a table


@dataclass(frozen=True)
class ScaleSelectRelease:
    dataset_id: str
    model_id: str
    sources: list[Source]  # of the pool
    exam_sources: list[Source]  # of the benchmarks, whose questions stand in the answers
    base: Source
    pool: Dataset  # with every score, and the arms of each row
    subsets: dict[str, Dataset]  # by the folder of an arm and seed
    answers: Dataset
    replies: Dataset  # of the model as it is and of the best arm, side by side
    arms: list[Arm]  # of the main seed
    paths: dict[str, Path]
    results: dict[str, Any]
    best: str
    mixtures: list[Mixture]
    shifts: list[Shift]
    ties: dict[str, Ties]  # by arm
    faults: list[Found]
    measured: list[str]  # score columns of the pool
    scorers: list[Scorer]
    paper: dict[str, tuple[Any, ...]]  # as cards.differences takes it

    # ---- what is published -------------------------------------------------------------------------------------------

    def configs(self) -> dict[str, Any]:
        """The whole scored pool, the selected rows as they are trained on, the row ids of every arm, all answers."""
        found: dict[str, Any] = {"scores": self._shown(self.pool), self.best: self._shown(self.subsets[self.best])}
        ids = {arm: rows.select_columns(["row_id", "source"]) for arm, rows in self.subsets.items()}
        plain = {arm for arm in ids if arm.partition(".seed-")[0] == arm_forms.FULL} | {self.best}
        found |= {f"{arm}.rows": rows for arm, rows in ids.items() if arm not in plain}
        return found | {"answers": self.answers} | ({"replies": self.replies} if len(self.replies) else {})

    def _shown(self, rows: Dataset) -> Dataset:
        """With its pictures where their licences are known; row_id and source name them all the same."""
        return rows if self._pictured else rows.remove_columns("image")

    @property
    def _pictured(self) -> bool:
        """A source's licence is that of its pictures where they come with it; pictures in a folder have their own."""
        own = not any(entry.get("image_folder") for entry in self.results["config"]["sources"])
        return own and all(source.licence not in (None, "unknown") for source in self.sources)

    def pictures(self) -> dict[str, bytes]:
        told = self.results
        found = {
            "pictures/arms.png": plots.arms(told["arms"], told["draws"], telling.accuracies(told), self.best),
            "pictures/scores.png": report.histograms(self.pool, self.subsets[self.best], self._ranked_by),
        }
        if self.shifts:
            found["pictures/composition.png"] = composition.shift_plot(self.shifts)
        if self._pictured:
            sheet = report.contact_sheet(self.pool, self._ranked_groups, "image", self.by)
            found["pictures/examples.jpg"] = sheet
        return found

    @property
    def by(self) -> str:
        return rankings.column(rankings.COMPOSITE)

    @property
    def _ranked_by(self) -> list[str]:
        """The composite, and what it is the mean of."""
        return [self.by, *self.results["config"]["rankings"][rankings.COMPOSITE]]

    @cached_property
    def examples(self) -> dict[str, list[tuple[int, str]]]:
        """Rows worth a look by where they stand to the cut, and why they do."""
        weighed = self.results["config"]["rankings"][rankings.COMPOSITE]
        scorers = {column.rpartition("_")[0] for column in weighed}  # what their overall is the mean of tells more
        parts = [name for name in self.measured if name in weighed or name.rpartition("_")[0] in scorers]
        return reasons.examples(self.pool, self.subsets[self.best], self.by, parts, seed=self.results["config"]["seed"])

    @property
    def _ranked_groups(self) -> dict[str, list[int]]:
        return {group: rows for group, rows in self._positions.items() if group != "not ranked"}

    @property
    def _positions(self) -> dict[str, list[int]]:
        return {group: [position for position, _ in told] for group, told in self.examples.items()}

    # ---- cards -------------------------------------------------------------------------------------------------------

    @property
    def columns_shown(self) -> list[str]:
        return self.results["metrics"]

    @property
    def _whole(self) -> bool:
        return self.results["config"]["tuning"] != "lora"

    def adapter_card(self) -> cards.Card:
        licence, why = self._licence()
        metadata = lora_cards.adapter_header(
            self.model_id,
            self.dataset_id,
            self.base.repo_id,
            licence,
            self.results,
            self.columns_shown,
            library="transformers" if self._whole else "peft",
            task=TASK,
        )
        if self._whole:
            metadata["base_model_relation"] = "finetune"
            metadata["tags"] = [tag for tag in metadata["tags"] if tag != "lora"]
        return cards.Card(cards.template("model_cards/scale_select.md.jinja"), metadata, self._values(why))

    def dataset_card(self) -> cards.Card:
        licence, why = self._licence(self.exam_sources)
        source = self.sources[0].repo_id if len(set(self.sources)) == 1 else None
        metadata = lora_cards.dataset_header(
            self.dataset_id, licence, source=source, rows=len(self.pool), tags=["visual-instruction-tuning"]
        )
        metadata |= {"task_categories": [TASK], "source_datasets": self._source_names}
        return cards.Card(cards.template("dataset_cards/scale_select.md.jinja"), metadata, self._values(why))

    @property
    def _source_names(self) -> list[str]:
        return sorted({"original" if source.local else source.repo_id for source in self.sources})

    def page(self, shown: dict[str, bytes]) -> str:
        told = self.results
        optional = {"Not used": telling.counted(told, "refused"), "Repaired": telling.counted(told, "repaired")}
        optional |= {f"By {part}": telling.by_part(told, part, str) for part in ("task", "benchmark")}
        return report.html(
            title=f"scale_select: {len(self.subsets[self.best]):,} of {len(self.pool):,} rows",
            summary=[
                ("pool", ", ".join(f"{one.repo_id} at {one.revision[:12]}" for one in self.sources)),
                ("base model", f"{self.base.repo_id} at {self.base.revision[:12]}"),
                ("selected", self.best),
                ("measured", telling.verdict(told, self.best)),
            ],
            tables={
                "The pool": telling.pool(told),
                **{title: table for title, table in optional.items() if table},
                "Arms": self._which(str),
                **{
                    f"On the benchmark: {metric}": telling.scores(told, self.best, str, metric)
                    for metric in telling.accuracies(told)
                },
                "What selection moved": composition.shift_table(self.shifts),
                "Stages": telling.stages(told),
                "Training": tables.training(told, str),
            },
            pictures={name.split("/")[-1].split(".")[0]: data for name, data in shown.items()},
            pool=self.pool,
            groups=self._positions,
            image_column="image" if self._pictured else None,
            shown=["text", "row_id", *self._ranked_by],
        )

    def loading(self) -> str:
        if self._whole:
            return lora_cards.loading_whole(self.model_id, self.best)
        return lora_cards.loading_chat(self.base.repo_id, self.model_id, self.best)

    # ---- what they tell ----------------------------------------------------------------------------------------------

    def _values(self, why_licence: str) -> dict[str, Any]:
        told, config, code = self.results, self.results["config"], cards.code
        optional = {what: telling.counted(told, what) for what in ("refused", "repaired")}
        ours = config | {
            "base_model": self.base.repo_id,
            "pool": f"{len(self.pool):,} rows of {len(told['pool'])} sources",
        }
        ours |= self._judges(config)
        return lora_cards.how_made(told, None) | {
            "repo_id": cards.Markdown(self.model_id),
            "dataset_id": cards.Markdown(self.dataset_id),
            "base": code(self.base.repo_id),
            "models": len(self.paths),
            "whole": self._whole,
            "best": code(self.best),
            "best_name": self.best,
            "kept": len(self.subsets[self.best]),
            "pool_rows": len(self.pool),
            "verdict": cards.Markdown(telling.verdict(told, self.best)),
            "loading": cards.fenced(self.loading(), "python"),
            "loading_rows": cards.fenced(self._loading_rows(), "python"),
            "pool": cards.table(*telling.pool(told)),
            "optional": {what: cards.table(*table) for what, table in optional.items() if table},
            "which": cards.table(*self._which(code)),
            "scores": {
                metric: cards.table(*telling.scores(told, self.best, code, metric))
                for metric in telling.accuracies(told)
            },
            "parts": {
                part: cards.table(*table)
                for part in ("task", "benchmark")
                if (table := telling.by_part(told, part, code))
            },
            "several_benchmarks": len(config["benchmarks"]) > 1,
            "shifted": bool(self.shifts),
            "composite": cards.Markdown(self._composite(code)),
            "judges": cards.Markdown(", ".join(map(code, dict.fromkeys(self._judges(config).values())))),
            "comparisons": cards.table(*tables.comparisons(told, self.best, code)),
            "stages": cards.table(*telling.stages(told)),
            "shifts": cards.table(*composition.shift_table(self.shifts)),
            "shares": {one.column: cards.table(*composition.share_table(one)) for one in self.mixtures},
            "ties": cards.table(*ties.lines(self.ties)),
            "faults": cards.table(*faults.table(self.faults)) if self.faults else None,
            "fault_column": code(config["fault_column"]) if config["fault_column"] else None,
            "task_table": cards.table(*asked) if (asked := telling.tasks(told, code)) else None,
            "task_accuracy": cards.interval(Estimate(**told["tasks"]["accuracy"])) if told["tasks"] else None,
            "examples": self._examples(),
            "pictured": self._pictured,
            "replies": self._replies() if len(self.replies) else None,
            "query": cards.fenced(sql.query(self._parquet, self._cut), "sql"),
            "nulls": cards.nulls_table(told["nulls"], len(self.pool)),
            "nulls_answers": cards.nulls_table(told["nulls_answers"], len(self.answers)),
            "answered": len(self.answers),
            "training": cards.table(*tables.training(told, code)),
            "columns": lora_cards.meanings(self.scorers),
            "why_licence": why_licence,
            "not_run": cards.table(["not run", "why"], [list(one) for one in told["not_run"].items()])
            if told["not_run"]
            else None,
            "differences": lora_cards.differences(ours, self.paper),
        }

    @staticmethod
    def _judges(config: dict[str, Any]) -> dict[str, str | None]:
        settings = {name: config[name] for name in ("image_judge", "text_judge", "caption_judge")}
        return {name: one.get("model") or one.get("judge", {}).get("model") for name, one in settings.items()}

    def _composite(self, name: Any) -> str:
        weights = self.results["config"]["rankings"][rankings.COMPOSITE]
        return ", ".join(
            name(column) + ("" if weight == 1 else f" (weight {weight:g})") for column, weight in weights.items()
        )

    def _which(self, name: Any) -> telling.Table:
        rows = {arm: len(some) for arm, some in self.subsets.items()}
        return telling.which(self.arms, rows, self.results["config"]["rankings"], name)

    def _examples(self) -> cards.Markdown:
        few = {group: told[:EXAMPLES] for group, told in self.examples.items() if told}
        head, lines = reasons.lines(self.pool, few, [self.by, "text"])
        return cards.table(head, [[*line[:1], cards.number(line[1]), *line[2:]] for line in lines])

    def _replies(self) -> cards.Markdown:
        lines = [
            [cards.escape(row[name] or "–", longest=LONGEST) for name in ("question", "answer", "base", "selected")]
            for row in self.replies
        ]
        return cards.table(["asked", "the key", "as it is", f"tuned on {self.best}"], lines)

    @property
    def _cut(self) -> Any:
        from tamis import select

        arm = next(arm for arm in self.arms if arm.name == self.best)
        return select.best(
            self.pool, self.by, k=arm_forms.rows_of(arm, len(self.pool)), seed=self.results["config"]["seed"]
        )

    @property
    def _parquet(self) -> str:
        return f"'hf://datasets/{self.dataset_id}/data/scores/*.parquet'"

    def _loading_rows(self) -> str:
        return lora_cards.loading_rows(self.dataset_id, {"pool": "scores", "selected": self.best, "answers": "answers"})

    def _licence(self, more: Sequence[Source] = ()) -> tuple[str, str]:
        return cards.derived_licence([self.base, *self.sources, *more])


def side_by_side(replies: Sequence[Dataset]) -> Dataset:
    """What the model as it is and the one tuned on the best arm reply to the same questions, without pictures."""
    from datasets import Dataset, Features, Value

    features = Features(dict.fromkeys(("row_id", "question", "answer", "base", "selected"), Value("string")))
    if not replies:
        return Dataset.from_dict({name: [] for name in features}, features=features)
    base, selected = replies
    told = {name: base[name][:] for name in ("row_id", "question", "answer")}
    told |= {"base": base["reply_text"][:], "selected": selected["reply_text"][:]}
    return Dataset.from_dict(told, features=features)
