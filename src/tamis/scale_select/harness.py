"""A bridge to lmms-eval: a tuned model as a folder that it loads, the command to give it, and what it reports.

    python -m tamis.scale_select.harness --base Qwen/Qwen2.5-VL-7B-Instruct --adapter FOLDER --output FOLDER

lmms-eval takes no LoRA for these models: qwen2_5_vl and huggingface refuse every setting that they do not know. So the
adapter's change is folded into a copy of the model, rounded once, to bfloat16, in which lmms-eval loads it. What the
rounding loses of a small change, it loses there alone: the scorer multiple_choice asks the model with the adapter on.

0.7.2 was read at commit 75571cf. 0.7.3 was run on a CPU, with a task over tiny/benchmark: it loads these folders as
llava_hf, and what it reports is read here. The paper's tasks, and a GPU, were not run.

Of the paper's eight benchmarks lmms-eval has six; A-OKVQA and CRPE's existence are not among its tasks.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis.config import ConfigError, parse, plain_errors
from tamis.sources import pin
from tamis.training.merge import WHOLE, save_folded

if TYPE_CHECKING:
    from tamis.training.adapter import Adapter

# Its names of models by transformers' model_type; huggingface loads any chat model that sees.
NAMES = {name: name for name in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5")}
NAMES |= dict.fromkeys(("llava", "llava_next", "llava_onevision"), "llava_hf")
OTHERS = "huggingface"
# MMBench without a paid judge: its answers are letters, and letters are found by rules.
TASKS = ("mmbench_en_dev_static", "mme", "scienceqa_img", "seedbench", "crpe_relation")


@dataclass(frozen=True)
class Reported:
    """A benchmark of the paper as lmms-eval reports it: its metrics are summed, and scaled to the paper's."""

    benchmark: str
    metrics: tuple[str, ...]
    scale: float


OF_PAPER = {
    "mmbench_en_dev": Reported("mmbench_en", ("gpt_eval_score",), 1),
    "mmbench_en_dev_static": Reported("mmbench_en", ("gpt_eval_score",), 1),
    "mme": Reported("mme", ("mme_perception_score", "mme_cognition_score"), 1),  # of 2000 and 800
    "scienceqa_img": Reported("scienceqa", ("exact_match",), 100),
    "seedbench": Reported("seedbench", ("seed_image",), 100),
    "crpe_relation": Reported("crpe_relation", ("exact_match",), 100),
    "llava_in_the_wild": Reported("llava_wild", ("gpt_eval_llava_all",), 1),
}


def merged(
    base: str, revision: str | None, adapter: Path, folder: Path, *, dtype: Literal["bfloat16", "float32"] = "bfloat16"
) -> Adapter:
    """The base with the adapter's change in its own weights, whole, with its processor; found again where it is."""
    import torch

    source = pin(base, "model", revision)
    at = {} if source.local else {"revision": source.revision}
    kind = getattr(torch, dtype)

    def load() -> tuple[Any, list[Any]]:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        model = AutoModelForImageTextToText.from_pretrained(base, dtype=kind, use_safetensors=True, **at)
        return model, [AutoProcessor.from_pretrained(base, **at)]

    return save_folded(load, {adapter.name: adapter}, WHOLE, source, folder, dtype=kind)


def command(model: str, results: Path, tasks: tuple[str, ...] = TASKS, *, name: str, batch_size: int = 1) -> list[str]:
    """What runs lmms-eval, in its environment. model: a folder or a repo; name: what lmms-eval calls its kind."""
    if any(sign in model for sign in ",'\"{[}]"):  # model_args are cut at commas, outside of quotes and brackets
        raise ConfigError(f"output: {model!r} is not accepted; lmms-eval reads no path with commas, quotes or brackets")
    if not tasks or any("," in task or not task.strip() for task in tasks):
        raise ConfigError(f"tasks: {list(tasks)} is not accepted; expected names of lmms-eval's tasks")
    asked = {"--model": name, "--model_args": f"pretrained={model}", "--tasks": ",".join(tasks)}
    asked |= {"--batch_size": str(batch_size), "--output_path": str(results)}
    return ["python", "-m", "lmms_eval", *(part for pair in asked.items() for part in pair), "--log_samples"]


def name_of(folder: Path) -> str:
    """What lmms-eval calls models of the kind that lies there."""
    from transformers import AutoConfig

    return NAMES.get(AutoConfig.from_pretrained(folder).model_type, OTHERS)


def read_results(path: Path) -> dict[str, float]:
    """The paper's benchmarks that a run of lmms-eval reports, by the names and on the scales of paper_average.

    path: a file DATE_results.json, or the folder given as output_path, of which the newest is read. Other tasks come
    along as TASK/METRIC, as they are reported. What is no number (a judge that was not there) is left out.
    """
    file = _newest(path) if path.is_dir() else path
    try:
        told = json.loads(file.read_text(encoding="utf-8"))["results"]
        tasks = {task: _numbers(metrics) for task, metrics in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path.name!r}: no results of lmms-eval: {type(error).__name__}: {error}") from error
    found: dict[str, float] = {}
    for task, metrics in tasks.items():
        known = OF_PAPER.get(task)
        if known is None:
            found |= {f"{task}/{metric}": value for metric, value in metrics.items()}
        elif all(metric in metrics for metric in known.metrics):
            if known.benchmark in found:
                raise ConfigError(f"{path.name!r}: {known.benchmark} is reported by two tasks; name one of them alone")
            found[known.benchmark] = known.scale * math.fsum(metrics[metric] for metric in known.metrics)
    return found


def _newest(folder: Path) -> Path:
    files = sorted(folder.rglob("*_results.json"), key=lambda file: file.name)  # they begin with the date
    if not files:
        raise ConfigError(f"{folder.name!r}: no file DATE_results.json in that folder")
    return files[-1]


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """Keys are METRIC,FILTER (or METRIC alone, as its documentation has them); spreads are beside them."""
    found = {}
    for key, value in metrics.items():
        name = key.partition(",")[0]
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if number and "_stderr" not in name and name != "samples":
            found[name] = float(value)
    return found


@dataclass(kw_only=True)
class Bridge:
    """Folds an adapter into a copy of its base, and prints the command that measures it by lmms-eval."""

    base: Annotated[str, "the model that the adapter is for: a repo, or a folder"]
    adapter: Annotated[str, "folder of the LoRA"]
    output: Annotated[str, "folder: the whole model goes to OUTPUT/model, lmms-eval's results to OUTPUT/results"]
    base_revision: Annotated[str | None, "branch, tag or commit of the base"] = None
    tasks: Annotated[list[str], "lmms-eval's tasks"] = dataclasses.field(default_factory=lambda: [*TASKS])
    dtype: Annotated[Literal["bfloat16", "float32"], "of the copy; lmms-eval loads bfloat16"] = "bfloat16"
    batch_size: Annotated[int, "rows that lmms-eval asks at once"] = 1


def main(argv: list[str] | None = None) -> list[str]:
    asked = parse(Bridge, argv, description=__doc__)
    output = Path(asked.output).resolve()
    with plain_errors():
        command(str(output), output, tuple(asked.tasks), name=OTHERS)  # refused before a model is loaded
        whole = merged(asked.base, asked.base_revision, Path(asked.adapter), output / "model", dtype=asked.dtype)
        told = command(
            str(whole.path),
            output / "results",
            tuple(asked.tasks),
            name=name_of(whole.path),
            batch_size=asked.batch_size,
        )
    print(shlex.join(told))
    return told


if __name__ == "__main__":
    main()
