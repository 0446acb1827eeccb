"""The writer of prompts: a row is a class, and its score the prompts that a judge writes for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.prompts import source
from tamis.self_reward.writing import Written, write_prompts
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class PromptWriter:
    """Columns of a dataset with a row a class. It is no score:

    - NAME_plain, NAME_complex: the prompts, `plain` and `complex` of them at most; complex ones are long scenes. Each
      names the class, and no two are the same but for case and stops.
    - NAME_left_out: the lines that were no such prompt, by reason and number.

    Fewer than asked for where the judge found no more; nothing is padded. None where the class is empty, or no plain
    prompt was written.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the names of its columns"] = "prompt_writer"
    class_column: Annotated[str, "the class"] = "class"
    plain: Annotated[int, "short prompts a class"] = 100
    complex: Annotated[int, "long prompts a class"] = 0
    at_once: Annotated[int, "prompts asked for in one reply"] = 20
    turns: Annotated[int, "times that it is asked for those still missing"] = 8
    max_new_tokens: Annotated[int, "tokens a reply may take"] = 2048
    temperature: Annotated[float, "how varied; 0: the likeliest words, and so few prompts"] = 0.7
    seed: Annotated[int, "what the words are drawn from"] = 0
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "classes a kill can cost"] = 4
    prompt: Annotated[str, "the wording's own text: an edited one is another key"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        object.__setattr__(self, "prompt", source("self_reward/write_prompts", self.wording))
        for name, least in (("plain", 1), ("complex", 0), ("at_once", 1), ("turns", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: {getattr(self, name)} is not accepted; expected {least} or more")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.class_column,)

    @property
    def columns(self) -> Features:
        from datasets import Features, List, Value

        prompts = dict.fromkeys((f"{self.name}_plain", f"{self.name}_complex"), List(Value("string")))
        reason = {"reason": Value("string"), "lines": Value("int32")}
        return Features(prompts | {f"{self.name}_left_out": List(reason)})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"class": text(row[self.class_column], longest=200).strip()}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        classes = list(dict.fromkeys(batch["class"]))
        plain = self._written(classes, self.plain, known={}, involved=False)
        had = {name: plain[name].prompts for name in classes}
        involved = self._written(classes, self.complex, known=had, involved=True)
        rows = [self._row(plain[name], involved[name]) for name in batch["class"]]
        return {column: [row.get(column) for row in rows] for column in [*self.columns, f"{self.name}_error"]}

    def _written(
        self, classes: list[str], count: int, *, known: dict[str, list[str]], involved: bool
    ) -> dict[str, Written]:
        return write_prompts(
            self.judge,
            classes,
            count=count,
            complex=involved,
            known=known,
            at_once=self.at_once,
            turns=self.turns,
            wording=self.wording,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            seed=self.seed,
        )

    def _row(self, plain: Written, involved: Written) -> dict[str, Any]:
        left_out = plain.left_out + involved.left_out
        if not plain.prompts:
            why = ", ".join(f"{reason} ({count})" for reason, count in left_out.most_common()) or "nothing was written"
            return {f"{self.name}_error": f"no prompt: {why}"}
        return {
            f"{self.name}_plain": plain.prompts,
            f"{self.name}_complex": involved.prompts,
            f"{self.name}_left_out": [{"reason": reason, "lines": count} for reason, count in left_out.most_common()],
        }
