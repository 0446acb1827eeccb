"""What quiz_lora publishes: the scored candidates with their questions, the adapters, and what both cards tell."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tamis import cards, lora_pictures, report, sql
from tamis.curation import PRIVATE_SETTINGS, SIZES, without_paths
from tamis.metrics.stats import Comparison, Estimate
from tamis.select import Cut

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.candidates import Columns
    from tamis.quiz_making import QuizSet
    from tamis.sources import Source
    from tamis.topic_arms import Choice

PAPER = {  # what the paper states; None: it does not
    "the judge": "GPT-4o",
    "base_model": "Stable Diffusion 1.5",
    "num_train_epochs": 20,
    "num_repeats": 5,
    "train_batch_size": 1,
    "learning_rate": 1e-4,
}


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
    choices: list[Choice]
    folders: dict[Choice, str]  # of the adapters, in the repo too
    results: dict[str, Any]
    best: str  # the arm that the claim is about
    metrics: list[str]
    seed: int

    # ---- what is published -------------------------------------------------------------------------------------------

    def configs(self) -> dict[str, Dataset]:
        names = {choice_key(choice): folder for choice, folder in self.folders.items()}
        keys = zip(self.drawn["topic"][:], self.drawn["arm"][:], self.drawn["seed"][:], strict=True)
        dropped = ["questions", "heldout_questions", "adapter", "adapter_hash"]
        drawn = self.drawn.remove_columns([name for name in dropped if name in self.drawn.column_names])
        drawn = drawn.add_column("adapter", [names.get(key, "") for key in keys])
        return {"scores": self.pool, "questions": self.quizzes.table, "drawn": drawn, **self.subsets}

    def pictures(self) -> dict[str, bytes]:
        arms = [arm for arm in self._plain_arms() if arm in set(self.drawn["arm"][:])]
        topics = list(dict.fromkeys(choice.topic for choice in self.choices))[:12]
        style = self.drawn[0]["style"]
        told = self.results
        return {
            "pictures/grid.png": lora_pictures.grid(self.drawn, arms, topics, style=style, seed=self.seed),
            "pictures/arms.png": lora_pictures.arms_plot(told["arms"], self.metrics),
            "pictures/input_output.png": lora_pictures.input_output_plot(
                told["trained_on"], told["by_topic"]["quiz_accuracy"], told["correlations"], list(told["correlations"])
            ),
        }

    def credits(self) -> str:
        """Whose pictures the adapters were trained on: licences ask for it, and a LoRA cannot show it."""
        named = [name for name in (self.columns.author, self.columns.licence) if name is not None]
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["topic", "row_id", *named, "arms"])
        kept = self.pool.select([at for at, arms in enumerate(self.pool["arms"][:]) if arms])
        for row in kept.select_columns([self.columns.topic, "row_id", *named, "arms"]):
            writer.writerow([row[self.columns.topic], row["row_id"], *(row[n] for n in named), " ".join(row["arms"])])
        return buffer.getvalue()

    # ---- cards -------------------------------------------------------------------------------------------------------

    def adapter_card(self) -> cards.Card:
        licence, why = cards.derived_licence([self.source, self.base], self._licences())
        arms = {
            arm: {name: Estimate(**value) for name, value in metrics.items() if name in self.metrics}
            for arm, metrics in self.results["arms"].items()
        }
        metadata = {
            "license": licence,
            "library_name": "diffusers",
            "pipeline_tag": "text-to-image",
            "base_model": self.base.repo_id,
            "base_model_relation": "adapter",
            "datasets": [self.dataset_id],
            "tags": ["tamis", "lora", "text-to-image", "diffusers", "data-selection"],
            "model-index": cards.model_index(
                self.model_id,
                "text-to-image",
                self.dataset_id,
                arms,
                revision=self.source.revision,
                seeds=1 + len(self.results["config"]["other_seeds"]),
            ),
        }
        return cards.Card(cards.template("model_cards/quiz_lora.md.jinja"), metadata, self._values(why))

    def dataset_card(self) -> cards.Card:
        licence, why = cards.derived_licence([self.source], self._licences())
        metadata = {
            "license": licence,
            "pretty_name": self.dataset_id.split("/")[-1],
            "source_datasets": [self.source.repo_id] if not self.source.local else ["original"],
            "annotations_creators": ["machine-generated"],
            "size_categories": [next((name for limit, name in SIZES if len(self.pool) < limit), "1M<n<10M")],
            "tags": ["tamis", "data-selection", "scored", "quiz"],
        }
        return cards.Card(cards.template("dataset_cards/quiz.md.jinja"), metadata, self._values(why))

    def page(self, pictures: dict[str, bytes]) -> str:
        head, rows = self._arm_rows(str)
        return report.html(
            title=f"quiz_lora: {len(self.folders)} adapters on {self.source.repo_id}",
            summary=[
                ("source", f"{self.source.repo_id} at {self.source.revision[:12]}"),
                ("base model", f"{self.base.repo_id} at {self.base.revision[:12]}"),
                ("seed", str(self.seed)),
            ],
            tables={
                "Means by arm": (head, rows),
                f"{self.best} against the others": (CONTRAST, self._contrasts(str)),
                "Trained on against drawn, over topics": (CORRELATION, self._correlations(str)),
                "Topics left out": (["topic", "why"], [list(item) for item in self.results["refused"].items()]),
                "Questions": (["use", "questions"], [[use, n] for use, n in self.results["quizzes"].items()]),
            },
            pictures={name.split("/")[-1].split(".")[0].replace("_", " "): data for name, data in pictures.items()},
            pool=self.pool,
            groups={},
            image_column=None,
            shown=[],
        )

    def loading(self) -> str:
        choice = next(one for one in self.choices if one.arm.pooled == self.best and one.seed == self.seed)
        return (
            "from diffusers import AutoPipelineForText2Image\n\n"
            f'pipeline = AutoPipelineForText2Image.from_pretrained("{self.base.repo_id}")\n'
            f'pipeline.load_lora_weights("{self.model_id}", subfolder="{self.folders[choice]}", '
            'weight_name="pytorch_lora_weights.safetensors")\n'
            f"image = pipeline({self._prompt_of(choice)!r}).images[0]"
        )

    def _prompt_of(self, choice: Choice) -> str:
        rows = zip(self.drawn["topic"][:], self.drawn["style"][:], self.drawn["prompt"][:], strict=True)
        return next(prompt for topic, style, prompt in rows if topic == choice.topic)

    def _values(self, why_licence: str) -> dict[str, Any]:
        told, config = self.results, self.results["config"]
        shown = {k: v for k, v in config.items() if v is not None and k not in PRIVATE_SETTINGS}
        head, rows = self._arm_rows(cards.code)
        agreement = [
            [one["of"], cards.code(one["b"]), cards.interval(Estimate(**{k: one[k] for k in ESTIMATE}))]
            for one in told["agreement"]
        ]
        return {
            "repo_id": cards.Markdown(self.model_id),
            "dataset_id": cards.Markdown(self.dataset_id),
            "base": cards.code(self.base.repo_id),
            "source": cards.code(self.source.repo_id),
            "adapters": len(self.folders),
            "topics": len({choice.topic for choice in self.choices}),
            "best": cards.code(self.best),
            "pool_rows": len(self.pool),
            "loading": cards.fenced(self.loading(), "python"),
            "loading_rows": cards.fenced(self._loading_rows(), "python"),
            "arms": cards.table(head, rows),
            "comparisons": cards.table(CONTRAST, self._contrasts(cards.code)),
            "correlations": cards.table(CORRELATION, self._correlations(cards.code)),
            "agreement": cards.table(["of", "ranked by quiz_accuracy and", "rank correlation"], agreement),
            "agrees": bool(agreement),
            "questions": cards.table(["use", "questions"], [[use, n] for use, n in told["quizzes"].items()]),
            "refused": cards.table(["topic", "why"], [list(item) for item in told["refused"].items()]),
            "refuses": bool(told["refused"]),
            "left_out": self._left_out(),
            "nulls": cards.nulls_table(told["nulls"], len(self.pool)),
            "seeds": cards.Markdown(f"Seeds: {', '.join(map(str, [config['seed'], *config['other_seeds']]))}."),
            "query": cards.fenced(self._query(), "sql"),
            "sources": cards.sources_table(told["sources"]),
            "why_licence": why_licence,
            "config": cards.fenced(yaml.safe_dump(without_paths(shown), sort_keys=False, allow_unicode=True), "yaml"),
            "versions": ", ".join(f"{name} {version}" for name, version in told["versions"].items()),
            "differences": cards.Markdown("\n".join(f"- {one}" for one in self._differences())),
        }

    def _arm_rows(self, name: Any) -> tuple[list[Any], list[list[Any]]]:
        rows = []
        for arm, metrics in self.results["arms"].items():
            known = [Estimate(**metrics[one]) if one in metrics else None for one in self.metrics]
            rows.append([name(arm), *("–" if one is None else cards.interval(one) for one in known)])
        return ["arm", *map(name, self.metrics)], rows

    def _contrasts(self, name: Any) -> list[list[Any]]:
        own = {"a", "b", "metric", "clustered_by"}
        return [
            [
                name(one["metric"]),
                name(one["b"]),
                one["clustered_by"],
                cards.difference(Comparison(**{k: v for k, v in one.items() if k not in own})),
            ]
            for one in self.results["comparisons"]
            if one["a"] == self.best
        ]

    def _correlations(self, name: Any) -> list[list[Any]]:
        return [
            [name(arm), cards.interval(Estimate(**{key: value[key] for key in ESTIMATE}))]
            for arm, value in self.results["correlations"].items()
        ]

    def _left_out(self) -> cards.Markdown:
        counts: dict[str, int] = {}
        for why in self.pool["left_out"][:]:
            if why is not None:
                counts[why] = counts.get(why, 0) + 1
        return cards.table(["why a picture was left out", "pictures"], [[why, n] for why, n in counts.items()])

    def _licences(self) -> list[str | None]:
        """Of the pictures that some arm was trained on."""
        if self.columns.licence is None:
            return []
        rows = zip(self.pool[self.columns.licence][:], self.pool["arms"][:], strict=True)
        return [licence for licence, arms in rows if arms]

    def _cut(self) -> Cut:
        kept = [choice for choice in self.choices if choice.arm.name == self.best and choice.seed == self.seed]
        quotas = {choice.topic: len(choice.rows) for choice in kept}
        return Cut("quiz_score", self.seed, quotas=quotas, per=self.columns.topic)

    def _query(self) -> str:
        return sql.query(f"'hf://datasets/{self.dataset_id}/data/scores/*.parquet'", self._cut())

    def _loading_rows(self) -> str:
        return (
            "from datasets import load_dataset\n\n"
            f'candidates = load_dataset("{self.dataset_id}", "scores", split="train")\n'
            f'questions = load_dataset("{self.dataset_id}", "questions", split="train")\n'
            f'drawn = load_dataset("{self.dataset_id}", "drawn", split="train")\n'
            f'kept = load_dataset("{self.dataset_id}", "{self.best}", split="train")'
        )

    def _plain_arms(self) -> list[str]:
        """For the grid: nothing, chance, the best."""
        first = [choice.arm.name for choice in self.choices]
        k = next(choice.arm.k for choice in self.choices if choice.arm.pooled == self.best)
        drawn = [name for name in first if name.startswith(f"random-{k}")]
        return ["none", *drawn[:1], self.best]

    def _differences(self) -> list[str]:
        config = self.results["config"]
        ours = {"the judge": config["judge"]["model"], **{name: config[name] for name in PAPER if name in config}}
        lines = [
            f"{name}: {cards.code(str(value))} here, {cards.code(str(PAPER[name]))} in the paper"
            for name, value in ours.items()
            if value != PAPER[name]
        ]
        return [
            *lines,
            "The paper states neither LoRA rank, alpha, layers nor captions, sampler steps or pictures a topic: those "
            "in the settings above are ours",
            "Questions that the judge answers without a picture are dropped; questions held out of the selection, "
            "scorers that did not select, paired intervals and `retention` are additions",
            "The paper's topics and pictures are not published: its figures (54.99 % for the best 15, 46.74 % for "
            "random ones, 35.37 % without a LoRA) were not reproduced, only its comparison on other pictures",
        ]


def choice_key(choice: Choice) -> tuple[str, str, int]:
    return choice.topic, choice.arm.name, choice.seed


CONTRAST = ["metric", "against", "clustered by", "difference of means"]
CORRELATION = ["arm", "r of quiz accuracy, trained on and drawn"]
ESTIMATE = ("value", "low", "high", "n", "nulls")
