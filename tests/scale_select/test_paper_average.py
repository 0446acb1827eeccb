"""The paper's own rows come out as it prints them."""

from __future__ import annotations

import pytest

from tamis.config import ConfigError
from tamis.scale_select.paper_average import BENCHMARKS, paper_average

# Tables 4 and 5: A-OKVQA, CRPE Exist, CRPE Relation, LLaVA Wild, MMBench EN, MME, ScienceQA, SeedBench; Avg Score.
PRINTED = {
    "Qwen2.5-VL-7B": ((86.9, 97.1, 76.2, 80.2, 82.9, 2244.6, 88.3, 76.1), "83.48"),
    "Random Selection": ((86.2, 97.1, 73.4, 80.6, 81.8, 2245.3, 87.6, 74.3), "82.65"),
    "ALBEF Retrieve": ((81.4, 95.7, 73.7, 80.5, 81.0, 2221.5, 84.5, 71.0), "80.89"),
    "BLIP Retrieve": ((81.2, 95.7, 73.6, 80.0, 80.6, 2218.4, 84.4, 71.0), "80.72"),
    "BLIP-2 Retrieve": ((81.3, 95.7, 73.6, 79.7, 81.2, 2224.8, 84.3, 71.1), "80.79"),
    "Clip Similarity": ((85.1, 89.6, 71.2, 81.0, 81.8, 2249.6, 89.1, 75.1), "81.66"),
    "Full Data (500K)": ((87.2, 97.3, 76.5, 80.6, 83.3, 2249.0, 89.1, 77.2), "83.94"),
    "SCALE (Ours)": ((87.5, 97.2, 77.0, 81.3, 83.4, 2250.1, 89.6, 77.5), "84.23"),
    "IQA": ((80.7, 96.5, 74.3, 79.4, 81.4, 2235.1, 85.2, 71.2), "81.07"),
    "TQA": ((81.2, 95.3, 72.7, 80.1, 81.0, 2230.4, 86.4, 70.7), "80.88"),
    "(I+T)QA": ((81.1, 95.2, 72.7, 80.3, 81.3, 2240.1, 86.6, 76.2), "81.68"),
}


@pytest.mark.parametrize("model", PRINTED)
def test_every_published_row_comes_out_as_it_is_printed(model: str) -> None:
    scores, printed = PRINTED[model]
    assert f"{paper_average(dict(zip(BENCHMARKS, scores, strict=True))):.2f}" == printed


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"mme": 2800.1}, "mme: 2800.1 is not accepted; expected 0 to 2800"),
        ({"scienceqa": 896.0}, "scienceqa: 896.0 is not accepted; expected 0 to 100"),
        ({"seedbench": float("nan")}, "seedbench: nan is not accepted"),
        ({"a_okvqa": -1.0}, "a_okvqa: -1.0 is not accepted"),
        ({"gqa": 60.0}, "gqa.* given; expected a_okvqa"),
    ],
)
def test_scores_of_another_scale_are_refused(change: dict[str, float], told: str) -> None:
    right = dict(zip(BENCHMARKS, PRINTED["SCALE (Ours)"][0], strict=True))
    with pytest.raises(ConfigError, match=told):
        paper_average(right | change)
    with pytest.raises(ConfigError, match="expected a_okvqa"):
        paper_average({name: score for name, score in right.items() if name != "mme"})
