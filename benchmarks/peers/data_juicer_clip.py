"""data-juicer's image_text_similarity_filter over a JSON-lines file; run by clip_scoring.py with data-juicer's Python.

Prints one JSON line: seconds for loading the model and scoring, and the scores.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time


def main(rows: str, model: str) -> None:
    from data_juicer.core.data import NestedDataset
    from data_juicer.ops.filter.image_text_similarity_filter import ImageTextSimilarityFilter
    from data_juicer.utils.constant import Fields, StatsKeys

    with contextlib.redirect_stdout(io.StringIO()):
        dataset = NestedDataset.from_json(rows)
        started = time.perf_counter()
        # Its own choice of processes: what a user gets who sets nothing.
        filtering = ImageTextSimilarityFilter(hf_clip=model, min_score=-1.0, max_score=1.0)
        dataset = filtering.run(dataset)
        scores = [stats[StatsKeys.image_text_similarity][0] for stats in dataset[Fields.stats]]
        seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "scores": scores}))


if __name__ == "__main__":
    main(*sys.argv[1:])
