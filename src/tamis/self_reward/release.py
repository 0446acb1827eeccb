"""What self_reward_lora publishes: the generated pictures with all scores, the adapters, what both cards tell."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tamis import arms, cards, lora_cards, lora_pictures, report, sql, tables, topic_arms
from tamis.arm_names import Arm
from tamis.select import Cut
from tamis.self_reward import choosing, telling
from tamis.self_reward.prompts import COMPLEXITIES
from tamis.self_reward.rounds import ROUND

if TYPE_CHECKING:
    from pathlib import Path

    from datasets import Dataset

    from tamis.scoring import Scorer
    from tamis.sources import Source
    from tamis.topic_arms import Choice

LINES = {"plain": 3, "complex": 1}  # of the grid: prompts of a class and complexity
MOST_LINES = 16


@dataclass(frozen=True)
class SelfRewardRelease:
    dataset_id: str
    model_id: str
    source: Source | None  # of the prompts, where they were read
    base: Source
    prompts: Dataset
    pools: list[Dataset]  # a round each
    drawn: Dataset
    choices: list[Choice]
    folders: dict[Choice, str]  # of the adapters, in the repo too
    paths: dict[Choice, Path]  # and here
    results: dict[str, Any]
    best: str  # the arm that the claim is about
    metrics: list[str]
    rewards: list[Scorer]
    graders: list[Scorer]
    reward: str  # the column that pictures are ranked by
    seed: int
    paper: dict[str, tuple[Any, ...]]  # as cards.differences takes it
    claim: str  # what follows "The paper tells"
    claims: dict[str, float]  # the same as win rates, by what the plot calls them

    # ---- what is published -------------------------------------------------------------------------------------------

    def configs(self) -> dict[str, Dataset]:
        """The pool, what each arm of the main seed was trained on, prompts, and what the arms drew."""
        from datasets import concatenate_datasets

        kept = {name: self._generated(rows) for subsets in self._subsets for name, rows in subsets.items()}
        for paired in (arm.name for arm in self._arms() if "dpo" in arm.marks):  # with what is worse
            own = [one.rows for one in self.choices if (one.arm.name, one.seed) == (paired, self.seed)]
            kept[paired] = self._generated(concatenate_datasets(own))
        return {"scores": self.pool, "prompts": self.prompts, "drawn": self._told(self.drawn), **kept}

    def pictures(self) -> dict[str, bytes]:
        told, names = self.results, self._grid_arms()
        lines = self._grid_lines()
        return {
            "pictures/grid.png": lora_pictures.grid(
                self.drawn, names, lines, unit="prompt_id", style=None, seed=self.seed
            ),
            "pictures/wins.png": lora_pictures.win_rate_plot(
                told["comparisons"],
                self.best,
                telling.win_rates(told),
                parts=[f"complexity={kind}" for kind in COMPLEXITIES],
                claims=self.claims,
            ),
            "pictures/arms.png": lora_pictures.arms_plot(told["arms"], self.columns_shown),
        }

    # ---- cards -------------------------------------------------------------------------------------------------------

    @cached_property
    def pool(self) -> Dataset:
        """All rounds' pictures, with the arms that took them."""
        from datasets import concatenate_datasets

        parts = [arms.with_arms(pool, subsets) for pool, subsets in zip(self.pools, self._subsets, strict=True)]
        return self._generated(concatenate_datasets(parts))

    @cached_property
    def _subsets(self) -> list[dict[str, Dataset]]:
        """A round each: what its arms of the main seed took."""
        found = []
        for pool in self.pools:
            ids = set(pool["row_id"][:])
            mine = [one for one in self.choices if one.rows[0]["row_id"] in ids]
            found.append(topic_arms.union(mine, pool, self.seed))
        return found

    @property
    def columns_shown(self) -> list[str]:
        return tables.metrics_of(self.results, self.metrics)

    def adapter_card(self) -> cards.Card:
        licence, why = self._licence()
        metadata = lora_cards.adapter_header(
            self.model_id, self.dataset_id, self.base.repo_id, licence, self.results, self.columns_shown
        )
        return cards.Card(cards.template("model_cards/self_reward_lora.md.jinja"), metadata, self._values(why))

    def dataset_card(self) -> cards.Card:
        licence, why = self._licence()
        rows = len(self.pool)
        metadata = lora_cards.dataset_header(self.dataset_id, licence, source=None, rows=rows, tags=["self-reward"])
        return cards.Card(cards.template("dataset_cards/self_reward.md.jinja"), metadata, self._values(why))

    def page(self, pictures: dict[str, bytes]) -> str:
        told = self.results
        return report.html(
            title=f"self_reward_lora: {len(self.folders)} adapters of {self.base.repo_id}",
            summary=[
                ("prompts", f"{self.source.repo_id} at {self.source.revision[:12]}" if self.source else "written here"),
                ("base model", f"{self.base.repo_id} at {self.base.revision[:12]}"),
                ("seed", str(self.seed)),
            ],
            tables={
                "The arms": choosing.table(self._arms(), self.choices, str, reward=self.reward),
                "How often the best one wins": telling.wins(told, self.best, str),
                "Means by arm": tables.means(told, self.columns_shown, str),
                f"{self.best} against the others": tables.comparisons(told, self.best, str, _whole),
                "Rounds": telling.rounds(told, str),
                "Classes left out": (["class", "why"], [list(item) for item in told["refused"].items()]),
            },
            pictures={name.split("/")[-1].split(".")[0]: data for name, data in pictures.items()},
            pool=self.pool,
            groups={},
            image_column=None,
            shown=[],
        )

    def loading(self) -> str:
        choice = self._best()
        rows = zip(self.prompts["prompt"][:], self.prompts["class"][:], strict=True)
        prompt = next(prompt for prompt, label in rows if choice.topic in ("", label))
        return lora_cards.loading(self.base.repo_id, self.model_id, self.folders[choice], prompt)

    def _best(self) -> Choice:
        return next(one for one in self.choices if (one.arm.name, one.seed) == (self.best, self.seed))

    # ---- what they tell ----------------------------------------------------------------------------------------------

    def _values(self, why_licence: str) -> dict[str, Any]:
        told, config, code = self.results, self.results["config"], cards.code
        compared = {one["metric"] for one in told["comparisons"]}
        drawn_of = list(dict.fromkeys(self.prompts["class"][:]))
        classes = [label for label in drawn_of if label not in told["refused"]]
        train = self.prompts["use"][:].count("train")
        renamed = {one.topic: folder.split("/")[0] for one, folder in self.folders.items() if one.topic}
        renamed = [[topic, code(folder)] for topic, folder in renamed.items() if topic != folder]
        detector = next(scorer.model for scorer in self.rewards if scorer.name == "detection")
        ours = config | {"judge": config["judge"]["model"], "detector": detector, "base_model": self.base.repo_id}
        ours |= {"writer": config["writer"]["model"] if config["writer"] else "none: prompts were read"}
        ours |= {"prompts_per_class": round(train / len(drawn_of))}
        best = self._best()
        loaded = {"pool": "scores", "kept": self.best, "drawn": "drawn"}
        confused = sql.confuses(self.pool.column_names, self._cut())
        return lora_cards.how_made(told, self.source.repo_id if self.source else None) | {
            "repo_id": cards.Markdown(self.model_id),
            "dataset_id": cards.Markdown(self.dataset_id),
            "base": code(self.base.repo_id),
            "adapters": len(self.folders),
            "per_class": config["per_class"],
            "classes": _counted(classes),
            "class_names": ", ".join(classes),
            "drawn_classes": _counted(drawn_of),
            "drawn_names": ", ".join(drawn_of),
            "best_of": cards.Markdown("the best picture" if best.arm.k == 1 else f"the best {best.arm.k} pictures"),
            "best": code(self.best),
            "reward": code(self.reward),
            "candidates": config["candidates_per_prompt"],
            "least_confidence": cards.number(choosing.least_confidence(self.rewards)),
            "pool_rows": len(self.pool),
            "loading": cards.fenced(self.loading(), "python"),
            "loading_rows": cards.fenced(lora_cards.loading_rows(self.dataset_id, loaded), "python"),
            "renamed": cards.table(["class", "folder"], renamed) if renamed else None,
            "which": cards.table(*choosing.table(self._arms(), self.choices, code, reward=self.reward)),
            "claim": telling.claim(told, self.best, self.claim),
            "wins": cards.table(*telling.wins(told, self.best, code)),
            "grid": cards.Markdown(self._grid_caption()),
            "arms": cards.table(*tables.means(told, self.columns_shown, code)),
            "retains": "retention" in self.columns_shown,
            "pairs": "pairwise_win_rate" in compared,
            "same_judge": bool(config["pairwise"])
            and config["pairwise"]["judge"].get("model") == config["judge"]["model"],
            "pairwise_column": code(config["pairwise_column"]),
            "comparisons": cards.table(*tables.comparisons(told, self.best, code, _whole)),
            "rounds": cards.table(*telling.rounds(told, code)),
            "several_rounds": len(told["rounds"]) > 1,
            "ended": told["ended"],
            "cut": told["cut"]["prompts"],
            "cut_tokens": told["cut"]["tokens"],
            "prompt_counts": cards.table(
                ["use, complexity", "prompts"], [list(one) for one in told["prompts"].items()]
            ),
            "written": config["writer"] is not None,
            "refused": cards.table(["class", "why"], [list(item) for item in told["refused"].items()])
            if told["refused"]
            else None,
            "untrained": cards.table(["arm", "why"], [[code(arm), why] for arm, why in told["untrained"].items()])
            if told["untrained"]
            else None,
            "left_out": cards.table(["not used", "prompts or lines"], [list(item) for item in told["left_out"].items()])
            if told["left_out"]
            else None,
            "nulls": cards.nulls_table(told["nulls"], len(self.pool)),
            "drawn_rows": len(self.drawn),
            "nulls_drawn": cards.nulls_table(
                {name: why for name, why in told["nulls_drawn"].items() if name != "pairwise_win"}, len(self.drawn)
            ),
            "columns": lora_cards.meanings([*self.rewards, *self.graders]),
            "grading": bool(config["grading"]),
            "grading_meanings": lora_cards.meanings(self.graders),
            "query": None if confused else cards.fenced(self._query(), "sql"),
            "why_licence": why_licence,
            "differences": lora_cards.differences(ours, self.paper),
        }

    def _licence(self) -> tuple[str, str]:
        return cards.derived_licence([self.base, *([self.source] if self.source else [])])

    def _arms(self) -> list[Arm]:
        """Those of the main seed, none first where it was drawn."""
        listed = [Arm("none", "none")] if "none" in self.results["arms"] else []
        return listed + list(dict.fromkeys(one.arm for one in self.choices if one.seed == self.seed))

    def _told(self, rows: Dataset) -> Dataset:
        """Adapters by their folder in the repo: a path of this machine says nothing elsewhere."""
        names = {str(self.paths[choice]): folder for choice, folder in self.folders.items()}
        told = [names.get(path, "") for path in rows["adapter"][:]]
        return rows.remove_columns(["adapter", "adapter_hash"]).add_column("adapter", told)

    def _generated(self, rows: Dataset) -> Dataset:
        """Without the style, by which only drawn pictures are paired: it is the prompt's complexity."""
        return self._told(rows).remove_columns("style")

    def _cut(self) -> Cut:
        best = self._best()
        parts = [one.rows for one in self.choices if (one.arm, one.seed) == (best.arm, best.seed)]
        quotas = dict.fromkeys((prompt for rows in parts for prompt in rows["prompt_id"][:]), best.arm.k)
        return Cut(choosing.RANK, self.seed, quotas=quotas, per="prompt_id")

    def _query(self) -> str:
        pool = f"'hf://datasets/{self.dataset_id}/data/scores/*.parquet'"
        return sql.query(f"(FROM {pool} WHERE {ROUND} = 'round-1')", self._cut())

    def _grid_arms(self) -> list[str]:
        """Nothing, chance, the best, the last round's; those of them that there are."""
        known = [arm.name for arm in self._arms()]
        chance = [arm.name for arm in self._arms() if arm.way == "random"][:1]
        later = [name for name in known if name.startswith(f"{self.best}.round-")][-1:]
        return [*(["none"] if "none" in known else []), *chance, self.best, *later]

    def _grid_lines(self) -> dict[str, str]:
        """The first held-out prompts of the first classes that were drawn, plain and complex."""
        graded, taken = set(self.drawn["prompt_id"][:]), Counter()
        lines: dict[str, str] = {}
        for row in self.prompts:
            kind = (row["class"], row["complexity"])
            if row["prompt_id"] in graded and taken[kind] < LINES[row["complexity"]] and len(lines) < MOST_LINES:
                taken[kind] += 1
                lines[row["prompt_id"]] = row["prompt"]
        return lines

    def _grid_caption(self) -> str:
        names, lines = ", ".join(map(cards.code, self._grid_arms())), self._grid_lines()
        shown = {row["class"] for row in self.prompts if row["prompt_id"] in lines}
        every = set(self.prompts["class"][:]) - set(self.results["refused"])
        which = "each class" if len(shown) == len(every) else f"{len(shown)} of {len(every)} classes"
        return f"The first held-out prompts of {which}; {names}; the same noise in a line, seed {self.seed}."


def _whole(metric: str) -> bool:
    """Of all prompts together, and no win rate: those have a table of their own."""
    return "@" not in metric and not metric.endswith("_win_rate")


def _counted(classes: list[str]) -> cards.Markdown:
    return cards.Markdown(f"{len(classes):,} class" + ("" if len(classes) == 1 else "es"))
