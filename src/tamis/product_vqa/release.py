"""What product_vqa publishes: the questions with their scores, all answers, the adapters, what both cards tell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis import cards, lora_cards, report, tables
from tamis.product_vqa import pictures, sheets, telling, tuning
from tamis.product_vqa.arm_forms import BASE, BY_ROW
from tamis.product_vqa.measuring import CHOSEN_BY, MARK

if TYPE_CHECKING:
    from pathlib import Path

    from datasets import Dataset

    from tamis.product_vqa.arm_forms import VqaArm
    from tamis.scoring import Scorer
    from tamis.sources import Source
    from tamis.training.vqa_lora import Wanted

TASK = "visual-question-answering"
SHOWN = 12  # pictures of a sheet
MOST_LINES = 7  # of the plot by difficulty
EIGHT_BIT = "8bit/quantization_config.json"


@dataclass(frozen=True)
class ProductVqaRelease:
    dataset_id: str
    model_id: str
    sources: list[Source]  # of pictures and questions
    base: Source
    chats: dict[str, Source]  # base models of the chat models' LoRAs, by arm
    splits: dict[str, Dataset]  # of the questions, with their scores
    answers: Dataset
    arms: list[VqaArm]  # of the main seed
    subsets: dict[str, Wanted]  # by the adapter's folder
    paths: dict[str, Path]
    results: dict[str, Any]
    best: str  # the shape that was chosen
    metrics: list[str]
    described: list[str]  # score columns of the questions
    scorers: list[Scorer]
    metric_scorers: list[Scorer]
    answerers: list[Scorer]
    seed: int
    paper: dict[str, tuple[Any, ...]]  # as cards.differences takes it

    # ---- what is published -------------------------------------------------------------------------------------------

    def configs(self) -> dict[str, Any]:
        """The questions by split, the rows of arms that were tuned on fewer, and every answer."""
        fewer = {arm.name: self.subsets[arm.name].rows for arm in self.arms if arm.way is not None}
        return {"questions": self.splits, "answers": self.answers, **fewer}

    def adapter_files(self) -> dict[str, str]:
        if self.results["eight_bit"] is None:
            return {}
        return {EIGHT_BIT: json.dumps(self.results["eight_bit"]["quantization_config"], indent=2) + "\n"}

    def pictures(self) -> dict[str, bytes]:
        told, levels = self.results, telling.levels_of(self.results)
        usual = [arm for arm in told["arms"] if not arm.endswith(BY_ROW)]
        others = [arm for arm in usual if arm not in (one.name for one in self.arms)]  # of other models
        shown = [BASE, self.best, *others, *(arm for arm in usual if arm.startswith(f"{self.best}."))]
        tuned = [*(arm.name for arm in self.arms if arm.shape is not None), *self.chats]
        return {
            "pictures/levels.png": pictures.by_level(told["arms"], CHOSEN_BY, shown[:MOST_LINES], levels),
            "pictures/gains.png": pictures.differences(telling.gains(told, tuned), CHOSEN_BY),
            "pictures/answers.png": self._hits_and_misses(),
            "pictures/questions.png": sheets.samples(self.splits["train"], count=SHOWN, seed=self.seed),
        }

    def _hits_and_misses(self) -> bytes:
        rows = zip(*(self.answers[name][:] for name in ("split", "arm", "seed", "row_id", "prediction")), strict=True)
        best = ("test", self.best, self.seed)
        said = {row_id: told for *of, row_id, told in rows if tuple(of) == best}
        test = self.splits["test"]
        return sheets.outcomes(test, [said[row_id] for row_id in test["row_id"][:]], each=SHOWN, seed=self.seed)

    # ---- cards -------------------------------------------------------------------------------------------------------

    @property
    def columns_shown(self) -> list[str]:
        return [*self.metrics, MARK]

    def adapter_card(self) -> cards.Card:
        licence, why = self._licence()
        metadata = lora_cards.adapter_header(
            self.model_id,
            self.dataset_id,
            list(dict.fromkeys([self.base.repo_id, *self._chat_models])) if self.chats else self.base.repo_id,
            licence,
            self.results,
            self.columns_shown,
            library="peft",
            task=TASK,
        )
        return cards.Card(cards.template("model_cards/product_vqa.md.jinja"), metadata, self._values(why))

    def dataset_card(self) -> cards.Card:
        licence, why = self._licence()
        rows = sum(map(len, self.splits.values()))
        source = self.sources[0].repo_id if self.sources else None
        metadata = lora_cards.dataset_header(self.dataset_id, licence, source=source, rows=rows, tags=["vqa"])
        metadata |= {"task_categories": [TASK], "language": ["en"]}
        return cards.Card(cards.template("dataset_cards/product_vqa.md.jinja"), metadata, self._values(why))

    def page(self, shown: dict[str, bytes]) -> str:
        told = self.results
        return report.html(
            title=f"product_vqa: {len(self.paths)} adapters of {self.base.repo_id}",
            summary=[
                ("questions", ", ".join(f"{source.repo_id} at {source.revision[:12]}" for source in self.sources)),
                ("base model", f"{self.base.repo_id} at {self.base.revision[:12]}"),
                ("chosen on the validation split", self.best),
                ("seed", str(self.seed)),
            ],
            tables={
                "The questions": telling.asked(told, self.described, str),
                "Arms": self._which(str),
                "Means on the test split": tables.means(told, self.columns_shown, str),
                f"{CHOSEN_BY} by difficulty": telling.by_level(told, CHOSEN_BY, str),
                f"{self.best} against the others": tables.comparisons(told, self.best, str, _whole),
                "Training": tables.training(told, str),
                "Models that were not run": (["model", "why"], [list(one) for one in told["not_run"].items()]),
            },
            pictures={name.split("/")[-1].split(".")[0]: data for name, data in shown.items()},
            pool=self.splits["test"],
            groups={},
            image_column=None,
            shown=[],
        )

    def loading(self) -> str:
        question = self.results["config"]["question_prefix"] + self.splits["test"][0]["question"]
        tokens = self.results["config"]["answer_tokens"]
        return lora_cards.loading_vqa(self.base.repo_id, self.model_id, self.best, question, tokens)

    # ---- what they tell ----------------------------------------------------------------------------------------------

    def _values(self, why_licence: str) -> dict[str, Any]:
        told, config, code = self.results, self.results["config"], cards.code
        rows = {split: len(part) for split, part in self.splits.items()}
        images = {split: len(set(part["picture"][:])) for split, part in self.splits.items()}
        ours = config | {"base_model": self.base.repo_id, "shapes": [arm.name for arm in self.arms if arm.plain]}
        ours |= {"writer": config["writer"]["model"] if config["writer"] else "none: questions were read"}
        eight = telling.eight_bit(told, self.columns_shown, code)
        leaks = telling.leaks(told, [CHOSEN_BY, MARK], code)
        return lora_cards.how_made(told, None) | {
            "repo_id": cards.Markdown(self.model_id),
            "dataset_id": cards.Markdown(self.dataset_id),
            "base": code(self.base.repo_id),
            "loading_8bit": cards.fenced(lora_cards.loading_8bit(self.base.repo_id), "python"),
            "best_name": self.best,
            "adapters": len(self.paths) - len(self.chats),
            "chats": len(self.chats),
            "chat_bases": cards.Markdown(", ".join(map(code, self._chat_models))),
            "loading_chat": cards.fenced(self._loading_chat(), "python") if self.chats else None,
            "best": code(self.best),
            "chosen": cards.table(
                ["shape", f"{CHOSEN_BY} on the validation split"],
                [[code(arm), cards.number(value)] for arm, value in told["chosen"].items()],
            ),
            "questions": sum(rows.values()),
            "products_pictures": sum(images.values()),
            "split_table": cards.table(
                ["split", "questions", "pictures"], [[split, rows[split], images[split]] for split in rows]
            ),
            "by_image": config["split_by"] == "image",
            "on_gpu": any(stage["name"] == "train" and stage["device"] != "cpu" for stage in told["stages"]),
            "leak_free": told["leak"]["image"]["images"]["share"] == 0,
            "wups": any(metric.startswith("wups") for metric in self.metrics),
            "loading": cards.fenced(self.loading(), "python"),
            "loading_rows": cards.fenced(
                f'from datasets import load_dataset\n\nquestions = load_dataset("{self.dataset_id}", "questions")\n'
                f'answers = load_dataset("{self.dataset_id}", "answers", split="train")',
                "python",
            ),
            "which": cards.table(*self._which(code)),
            "arms": cards.table(*tables.means(told, self.columns_shown, code)),
            "levels": cards.table(*telling.by_level(told, CHOSEN_BY, code)),
            "other_levels": {
                str(code(metric)): cards.table(*telling.by_level(told, metric, code))
                for metric in self.metrics
                if metric != CHOSEN_BY
            },
            "over_base": cards.table(*telling.over_base(told, [CHOSEN_BY, MARK], code)),
            "best_by_level": cards.table(*telling.best_by_level(told, self.best, self.metrics, code)),
            "comparisons": cards.table(*tables.comparisons(told, self.best, code, _leading)),
            "other_comparisons": cards.table(*tables.comparisons(told, self.best, code, _others))
            if len(self.metrics) > 1
            else None,
            "leak": telling.leak(told, self.best),
            "leaks": cards.table(*leaks) if leaks else None,
            "eight_bit": cards.table(*eight) if eight else None,
            "footprint": cards.Markdown(telling.footprint(told)) if told["eight_bit"] else None,
            "training": cards.table(*tables.training(told, code)),
            "not_run": cards.table(["model", "why"], [[name, why] for name, why in told["not_run"].items()])
            if told["not_run"]
            else None,
            "asked": cards.table(*telling.asked(told, self.described, code)),
            "written": config["writer"] is not None,
            "refused": cards.table(["not used", "how many"], [list(item) for item in told["refused"].items()])
            if told["refused"]
            else None,
            "nulls": cards.nulls_table(told["nulls"], sum(rows.values())),
            "answered": len(self.answers),
            "nulls_answers": cards.nulls_table(told["nulls_answers"], len(self.answers)),
            "columns": lora_cards.meanings(self.scorers) if self.scorers else None,
            "metric_meanings": lora_cards.meanings(self.metric_scorers),
            "answerers": lora_cards.meanings(self.answerers),
            "silent": cards.table(["arm", "answers"], [[code(arm), count] for arm, count in told["silent"].items()])
            if told["silent"]
            else None,
            "why_licence": why_licence,
            "differences": lora_cards.differences(ours, self.paper),
        }

    def _licence(self) -> tuple[str, str]:
        return cards.derived_licence([self.base, *self.chats.values(), *self.sources])

    @property
    def _chat_models(self) -> list[str]:
        return list(dict.fromkeys(source.repo_id for source in self.chats.values()))

    def _which(self, name: Any) -> tuple[list[str], list[list[Any]]]:
        head, lines = tuning.table(self.arms, self.subsets, name)
        train = len(self.splits["train"])
        told = [[name(arm), train, f"{source.repo_id} tuned on the same rows"] for arm, source in self.chats.items()]
        return head, lines + told

    def _loading_chat(self) -> str:
        arm, source = next(iter(self.chats.items()))
        return lora_cards.loading_chat(source.repo_id, self.model_id, arm)


def _whole(metric: str) -> bool:
    return "@" not in metric


def _leading(metric: str) -> bool:
    return metric in (CHOSEN_BY, MARK)


def _others(metric: str) -> bool:
    return _whole(metric) and not _leading(metric)
