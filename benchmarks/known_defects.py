"""Does the quickstart's selection drop what is known to be bad? Its scenes name their defects; no scorer reads that.

    python -m tamis.localhub run -- python benchmarks/known_defects.py

Runs the quickstart's settings on all 800 scenes and counts each defect in the pool and in every arm, with intervals.
Draws the README's picture.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measuring import report

ROOT = Path(__file__).resolve().parent.parent
DEFECTS = ("blurred", "noisy", "dark", "shown twice", "wrong caption")
COLOURS = {"full": "#b9bec7", "random": "#7a8594", "top": "#1b7f5c", "bottom": "#c0563b"}


def quickstart(output_dir: str) -> None:
    spec = importlib.util.spec_from_file_location("score_and_select", ROOT / "recipes" / "score_and_select.py")
    recipe = importlib.util.module_from_spec(spec)
    sys.modules["score_and_select"] = recipe
    spec.loader.exec_module(recipe)
    recipe.main(
        ["--config", str(ROOT / "recipes" / "score_and_select.tiny.yaml"), "--output_dir", output_dir]
        + ["--no_push_to_hub"]
    )


def draw(shares: dict[str, dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8.2, 3.4))
    width = 0.8 / len(shares)
    for place, (arm, found) in enumerate(shares.items()):
        values = [found[defect]["value"] * 100 for defect in DEFECTS]
        reach = [
            [(found[defect]["value"] - found[defect]["low"]) * 100 for defect in DEFECTS],
            [(found[defect]["high"] - found[defect]["value"]) * 100 for defect in DEFECTS],
        ]
        for index, value in enumerate(values):
            if value == 0:
                axis.text(index + place * width, 0.4, "0", ha="center", color=COLOURS[arm.split("-")[0]], fontsize=9)
        axis.bar(
            [index + place * width for index in range(len(DEFECTS))],
            values,
            width * 0.94,
            yerr=reach,
            color=COLOURS[arm.split("-")[0]],
            error_kw={"elinewidth": 1, "ecolor": "#444"},
            label=f"{arm} (n = {found[DEFECTS[0]]['n']})",
        )
    axis.set_xticks([index + width * (len(shares) - 1) / 2 for index in range(len(DEFECTS))], DEFECTS)
    axis.set_ylabel("rows with the defect, %")
    axis.set_title("800 scenes, kept by picture quality: what is left of known defects", fontsize=10)
    axis.legend(frameon=False, fontsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=130, metadata={"Software": None})


def main() -> None:
    from datasets import Dataset

    from tamis.metrics import stats

    with tempfile.TemporaryDirectory() as folder:
        quickstart(folder)
        pool = Dataset.from_parquet(str(next(Path(folder, "hub").rglob("data/scores/*.parquet"))), keep_in_memory=True)
    arms = ["full", *sorted({arm for row in pool["arms"] for arm in row}, key=lambda arm: -ord(arm[0]))]
    shares: dict[str, dict[str, Any]] = {}
    for arm in arms:
        everyone = zip(pool["defect"], pool["drawing"], pool["arms"], strict=True)
        rows = [(defect, drawing) for defect, drawing, member in everyone if arm == "full" or arm in member]
        times = Counter(drawing for _, drawing in rows)
        shares[arm] = {
            name: asdict(
                stats.mean(
                    [float(times[drawing] > 1 if name == "shown twice" else defect == name) for defect, drawing in rows]
                )
            )
            for name in DEFECTS
        }
    (ROOT / "docs").mkdir(exist_ok=True)
    draw(shares, ROOT / "docs" / "known_defects.png")
    report("known_defects", {"share_of_rows": shares})


if __name__ == "__main__":
    main()
