"""What quiz_lora publishes: the scored candidates with their questions, the adapters, and what both cards tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis import cards, lora_cards, lora_pictures, report, sql, tables, topic_arms
from tamis.quiz import attribution
from tamis.select import Cut

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datasets import Dataset

    from tamis.arm_names import Arm
    from tamis.candidates import Columns
    from tamis.quiz.making import QuizSet
    from tamis.scoring import Scorer
    from tamis.sources import Source
    from tamis.topic_arms import Choice

QUIZZES = ("quiz_", "heldout_quiz_")
FINER = ("_confidence", "_gain")  # of a quiz: they say more finely what its accuracy says
MOST_TOPICS = 12  # in the grid


@dataclass(frozen=True)
class QuizRelease:
    dataset_id: str
    model_id: str
    source: Source
    base: Source
    columns: Columns
    pool: Dataset
    quizzes: QuizSet
    drawn: Dataset
    subsets: dict[str, Dataset]
    arms: list[Arm]  # of the main seed, as the settings list them
    choices: list[Choice]
    folders: dict[Choice, str]  # of the adapters, in the repo too
    results: dict[str, Any]
    best: str  # the arm that the claim is about
    metrics: list[str]
    takers: list[Scorer]
    graders: list[Scorer]
    seed: int
    paper: dict[str, tuple[Any, ...]]  # as cards.differences takes it

    # ---- what is published -------------------------------------------------------------------------------------------

    def configs(self) -> dict[str, Dataset]:
        names = {choice_key(choice): folder for choice, folder in self.folders.items()}
        keys = zip(self.drawn["topic"][:], self.drawn["arm"][:], self.drawn["seed"][:], strict=True)
        dropped = ["questions", "heldout_questions", "adapter", "adapter_hash"]
        drawn = self.drawn.remove_columns([name for name in dropped if name in self.drawn.column_names])
        drawn = drawn.add_column("adapter", [names.get(key, "") for key in keys])
        return {"scores": self.pool, "questions": self.quizzes.table, "drawn": drawn, **self.subsets}

    def pictures(self) -> dict[str, bytes]:
        arms, topics = self._grid()
        style, told = self.drawn[0]["style"], self.results
        return {
            "pictures/grid.png": lora_pictures.grid(
                self.drawn, arms, dict(zip(topics, topics, strict=True)), style=style, seed=self.seed
            ),
            "pictures/arms.png": lora_pictures.arms_plot(told["arms"], self.columns_shown),
            "pictures/input_output.png": lora_pictures.input_output_plot(
                told["trained_on"], told["drew"], told["correlations"], list(told["correlations"])
            ),
        }

    def credits(self) -> str:
        return attribution.credits(self.pool, self.columns, attribution.adapters_by_row(self.folders))

    # ---- cards -------------------------------------------------------------------------------------------------------

    @property
    def columns_shown(self) -> list[str]:
        return tables.metrics_of(self.results, self.metrics)

    @property
    def pool_nulls(self) -> dict[str, dict[str, int]]:
        return {name: self.results["nulls"].get(name, {}) for taker in self.takers for name in taker.columns}

    def adapter_card(self) -> cards.Card:
        used = attribution.adapters_by_row(self.folders)
        licence, why = cards.derived_licence([self.source, self.base], self._licences(used))
        metadata = lora_cards.adapter_header(
            self.model_id, self.dataset_id, self.base.repo_id, licence, self.results, self.columns_shown
        )
        return cards.Card(cards.template("model_cards/quiz_lora.md.jinja"), metadata, self._values(why))

    def dataset_card(self) -> cards.Card:
        """Its licence is that of all candidates, chosen or not, and of the model that drew: it holds their pictures."""
        licence, why = cards.derived_licence([self.source, self.base], self._licences(self.pool["row_id"][:]))
        source = None if self.source.local else self.source.repo_id
        metadata = lora_cards.dataset_header(
            self.dataset_id, licence, source=source, rows=len(self.pool), tags=["quiz"]
        )
        return cards.Card(cards.template("dataset_cards/quiz.md.jinja"), metadata, self._values(why))

    def page(self, pictures: dict[str, bytes]) -> str:
        told = self.results
        return report.html(
            title=f"quiz_lora: {len(self.folders)} adapters on {self.source.repo_id}",
            summary=[
                ("source", f"{self.source.repo_id} at {self.source.revision[:12]}"),
                ("base model", f"{self.base.repo_id} at {self.base.revision[:12]}"),
                ("seed", str(self.seed)),
            ],
            tables={
                "The arms": topic_arms.table(self.arms, self.choices, str),
                "Means by arm": tables.means(told, self.columns_shown, str),
                f"{self.best} against the others": tables.comparisons(told, self.best, str),
                "Trained on against drawn": tables.correlations(told, str),
                "Topics left out": (["topic", "why"], [list(item) for item in told["refused"].items()]),
                "Pictures left out": self._left_out(),
                "Questions": (["use", "questions"], [list(item) for item in told["quizzes"].items()]),
            },
            pictures={name.split("/")[-1].split(".")[0].replace("_", " "): data for name, data in pictures.items()},
            pool=self.pool,
            groups={},
            image_column=None,
            shown=[],
        )

    def loading(self) -> str:
        choice = next(one for one in self.choices if one.arm.pooled == self.best and one.seed == self.seed)
        return lora_cards.loading(self.base.repo_id, self.model_id, self.folders[choice], self._prompt_of(choice))

    def _prompt_of(self, choice: Choice) -> str:
        rows = zip(self.drawn["topic"][:], self.drawn["prompt"][:], strict=True)
        return next(prompt for topic, prompt in rows if topic == choice.topic)

    def _values(self, why_licence: str) -> dict[str, Any]:
        told, config, code = self.results, self.results["config"], cards.code
        finer = [one for one in self.metrics if one.startswith(QUIZZES) and one.endswith(FINER)]
        renamed = [[topic, code(folder)] for topic, folder in self._topic_folders().items() if topic != folder]
        topics = len({choice.topic for choice in self.choices})
        compared = {one["metric"] for one in told["comparisons"]}
        ours = config | {"judge": config["judge"]["model"], "base_model": self.base.repo_id}
        confused = sql.confuses(self.pool.column_names, self._cut())
        return lora_cards.how_made(told, self.source.repo_id) | {
            "repo_id": cards.Markdown(self.model_id),
            "dataset_id": cards.Markdown(self.dataset_id),
            "base": code(self.base.repo_id),
            "source": code(self.source.repo_id),
            "adapters": len(self.folders),
            "topics": cards.Markdown(f"{topics:,} topic" + ("" if topics == 1 else "s")),
            "best": code(self.best),
            "pool_rows": len(self.pool),
            "loading": cards.fenced(self.loading(), "python"),
            "loading_rows": cards.fenced(lora_cards.loading_rows(self.dataset_id, self._loaded()), "python"),
            "renamed": cards.table(["topic", "folder"], renamed) if renamed else None,
            "which": cards.table(*topic_arms.table(self.arms, self.choices, code)),
            "grid": cards.Markdown(self._grid_caption()),
            "arms": cards.table(*tables.means(told, self.columns_shown, code)),
            "heldout": bool(config["heldout_questions"]),
            "retains": "retention" in compared,
            "pairs": "pairwise_win_rate" in compared,
            "pairwise_column": code(config["pairwise_column"]),
            "comparisons": cards.table(*tables.comparisons(told, self.best, code, lambda metric: metric not in finer)),
            "finer": cards.table(*tables.comparisons(told, self.best, code, lambda metric: metric in finer))
            if finer
            else None,
            "correlations": cards.table(*tables.correlations(told, code)),
            "agreement": cards.table(*tables.agreement(told, code)) if told["agreement"] else None,
            "questions": cards.table(["use", "questions"], [list(item) for item in told["quizzes"].items()]),
            "refused": cards.table(["topic", "why"], [list(item) for item in told["refused"].items()]),
            "refuses": bool(told["refused"]),
            "left_out": cards.table(*self._left_out()) if self._left_out()[1] else None,
            "nulls": cards.nulls_table(self.pool_nulls, len(self.pool)),
            "drawn_rows": len(self.drawn),
            "nulls_drawn": cards.nulls_table(
                {name: why for name, why in told["nulls_drawn"].items() if name != "pairwise_win"}, len(self.drawn)
            ),
            "columns": lora_cards.meanings([*self.takers, *self.graders]),
            "grading": lora_cards.meanings(self.graders),
            "query": None if confused else cards.fenced(self._query(), "sql"),
            "why_licence": why_licence,
            "differences": lora_cards.differences(ours, self.paper),
        }

    def _left_out(self) -> tuple[list[str], list[list[Any]]]:
        return tables.counted(("why a picture was left out", "pictures"), self.pool["left_out"][:])

    def _topic_folders(self) -> dict[str, str]:
        return {choice.topic: folder.split("/")[0] for choice, folder in self.folders.items()}

    def _licences(self, row_ids: Iterable[str]) -> list[str | None]:
        return attribution.licences(self.pool, self.columns.licence, row_ids)

    def _cut(self) -> Cut:
        kept = [choice for choice in self.choices if choice.arm.name == self.best and choice.seed == self.seed]
        quotas = {choice.topic: len(choice.rows) for choice in kept}
        return Cut("quiz_score", self.seed, quotas=quotas, per=self.columns.topic)

    def _query(self) -> str:
        return sql.query(f"'hf://datasets/{self.dataset_id}/data/scores/*.parquet'", self._cut())

    def _loaded(self) -> dict[str, str]:
        return {"candidates": "scores", "questions": "questions", "drawn": "drawn", "kept": self.best}

    def _grid(self) -> tuple[list[str], list[str]]:
        """Nothing, chance, the best, those of them that there are; and the first topics."""
        best = next(arm for arm in self.arms if arm.name == self.best)
        chance = [arm.name for arm in self.arms if arm.way == "random" and arm.k == best.k and not arm.matched]
        topics = list(dict.fromkeys(choice.topic for choice in self.choices))[:MOST_TOPICS]
        return ["none", *chance[:1], self.best], topics

    def _grid_caption(self) -> str:
        """Commas of arms in code; the prompts' style and the seed were settings before anything was drawn."""
        arms, topics = self._grid()
        every = len({choice.topic for choice in self.choices})
        which = f"the first {len(topics)} of {every} topics" if len(topics) < every else "each topic"
        names = ", ".join(map(cards.code, arms))
        return f"A line for {which}; {names}; the same prompt and noise in a line; style {self.drawn[0]['style']}."


def choice_key(choice: Choice) -> tuple[str, str, int]:
    return choice.topic, choice.arm.name, choice.seed
