"""What does selecting from a pool of SCALE's size take, and telling what selection did to it?

    python benchmarks/pool_selection.py

500,000 made rows as scale_select has them when every scorer is done: ids, sources in the paper's proportions,
sub-tasks, languages, kinds of picture, levels of 1..5 and similarities, a tenth of them without a picture; no pictures
and no texts, which selection does not read. Then all rankings, an arm of a tenth by each, ties at every cut, the
composition of every arm in six columns with its plot, and rows kept and dropped with reasons. Seconds of each step and
the peak of resident memory, in a process that finds the pool on disk.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
from measuring import report

from tamis.prompts.scale import SUBTASKS
from tamis.scale_select import arm_forms, composition, reasons, ties
from tamis.scale_select.rankings import with_rankings
from tamis.scale_select.reply_lengths import CLASSES

ROWS = 500_000
SOURCES = {
    "ShareGPT4V": 289_000,
    "LLaVA-1.5-mix": 154_000,
    "AS-V2": 29_000,
    "DocVQA": 9_000,
    "ChartQA": 6_000,
    "InfoVQA": 5_000,
    "A-OKVQA": 3_000,
    "Geometry3K": 466,
}
LEVELS = (
    "image_quality_overall",
    "rated_image_level",
    "text_quality_informativeness",
    "text_quality_complexity",
    "text_quality_completeness",
    "text_quality_overall",
    "multimodal_clarity",
    "multimodal_relevance",
    "multimodal_task_rarity",
    "multimodal_overall",
)
SIMILARITIES = ("clip_similarity", "blip_match", "blip2_match", "caption_similarity", "visual_gain")
RANKINGS = {
    "scale": {"rated_image_level": 1.0, "text_quality_overall": 1.0, "multimodal_overall": 1.0},
    "mm": {"multimodal_overall": 1.0},
    "image": {"rated_image_level": 1.0},
    "text": {"text_quality_overall": 1.0},
    "image_text": {"rated_image_level": 1.0, "text_quality_overall": 1.0},
    "clip": {"clip_similarity": 1.0},
    "blip": {"blip_match": 1.0},
    "blip2": {"blip2_match": 1.0},
    "caption": {"caption_similarity": 1.0},
    "gain": {"visual_gain": 1.0},
}
ARMS = ["base", "full", "random-10pct", *(f"{name}-10pct" for name in RANKINGS)]
ARMS += ["scale-10pct.per-source", "scale-10pct.per-task", "scale-10pct.per-length", "scale-10pct.matched"]
COLUMNS = (
    "source",
    "task_category",
    "task_subtask",
    "language",
    "reply_length",
    "picture_kind_look",
    "picture_kind_shape",
)
WANTED_SECONDS, WANTED_BYTES = 60, 2_000_000_000


def made(rows: int) -> Any:
    from datasets import Dataset

    draw = np.random.default_rng(0)
    share = np.asarray(list(SOURCES.values())) / sum(SOURCES.values())
    subtasks = draw.choice(list(SUBTASKS), rows)
    columns: dict[str, Any] = {
        "row_id": [f"{number:06d}-{number * 7919 % rows:08x}" for number in range(rows)],
        "source": draw.choice(list(SOURCES), rows, p=share).tolist(),
        "task_subtask": subtasks.tolist(),
        "task_category": [SUBTASKS[name].category for name in subtasks.tolist()],
        "language": draw.choice(["en", "zh", "es", "unknown"], rows, p=[0.9, 0.05, 0.01, 0.04]).tolist(),
        "picture_kind_look": draw.choice(["continuous", "flat"], rows, p=[0.9, 0.1]).tolist(),
        "picture_kind_shape": draw.choice(["wide", "square", "tall"], rows).tolist(),
        "reply_length": draw.choice(CLASSES, rows, p=[0.3, 0.1, 0.2, 0.35, 0.05]).tolist(),
    }
    unseen = draw.random(rows) < 0.1
    for name in LEVELS:  # rated_image_level has few values, so that cuts go through ties
        values = draw.uniform(1, 5, rows).astype(np.float32)
        columns[name] = np.round(values) if name == "rated_image_level" else values
    for name in SIMILARITIES:
        columns[name] = draw.normal(0.25, 0.05, rows).astype(np.float32)
    return Dataset.from_dict(columns | {name: _masked(columns[name], unseen) for name in (*LEVELS[:2], *SIMILARITIES)})


def _masked(values: np.ndarray, unseen: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.array(values, mask=unseen)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=ROWS)
    arguments.add_argument("--make", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.make:
        made(given.rows).save_to_disk(given.make)
        return
    with tempfile.TemporaryDirectory() as folder:
        make = [sys.executable, __file__, "--rows", str(given.rows), "--make", folder]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        select(folder)


def select(folder: str) -> None:
    from datasets import Dataset

    pool = Dataset.load_from_disk(folder)
    rows, bytes_of_columns, before = len(pool), pool.data.nbytes, _peak()
    seconds: dict[str, float] = {}
    busy = time.process_time()
    began = started = time.perf_counter()

    def step(name: str) -> None:
        nonlocal started
        seconds[name] = round(time.perf_counter() - started, 2)
        print(f"{name}: {seconds[name]} s, {_peak() / 1e6:,.0f} MB at most", file=sys.stderr, flush=True)
        started = time.perf_counter()

    pool = with_rankings(pool, RANKINGS)
    step("rankings")
    arms = arm_forms.expand(ARMS, RANKINGS, 3)
    subsets = arm_forms.subsets(pool, arms, seed=0)
    step("arms")
    ranked = [arm for arm in arms if arm.k and arm.way != arm_forms.RANDOM]
    cuts = {
        arm.name: ties.at_the_cut(pool, subsets[arm.name], arm_forms.scored_by(arm), per=arm_forms.mixture_of(arm))
        for arm in ranked
    }
    step("ties")
    mixtures = composition.mixtures(pool, subsets, COLUMNS)
    told = [shift for mixture in mixtures for shift in composition.shifts(mixture, seed=0)]
    tables = [composition.share_table(mixture) for mixture in mixtures]
    step("composition")
    composition.shift_plot(told)
    step("plot")
    reasons.examples(pool, subsets["scale-10pct"], "scale_score", LEVELS, seed=0)
    step("reasons")
    whole, peak = time.perf_counter() - began, _peak()
    report(
        "pool_selection",
        {
            "rows": rows,
            "arms": {name: len(subset) for name, subset in subsets.items()},
            "columns_of_composition": len(COLUMNS),
            "lines_told": sum(len(lines) for _, lines in tables) + len(told),
            "ties_let_in_of_image": [cuts["image-10pct"].let_in, cuts["image-10pct"].sharing],
            "seconds": seconds,
            "seconds_in_all": round(whole, 1),
            "seconds_of_one_core": round(time.process_time() - busy, 1),
            "wanted_seconds": WANTED_SECONDS,
            "megabytes_of_the_columns": round(bytes_of_columns / 1e6, 1),
            "peak_megabytes_before": round(before / 1e6),
            "peak_megabytes": round(peak / 1e6),
            "wanted_megabytes": WANTED_BYTES // 1_000_000,
        },
    )


def _peak() -> int:
    """The most resident memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
