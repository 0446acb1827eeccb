"""The judge in bfloat16 says what it says in float32, within the tolerance that its docs state."""

from __future__ import annotations

import pytest
import torch
from families import QUESTIONS, picture
from judging import numbers

from tamis import models
from tamis.judge import LocalJudge, Request

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_bfloat16_answers_as_float32_does(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [Request(picture(seed), QUESTIONS) for seed in range(4)]
    halved = LocalJudge("tiny/vlm").decide(requests)
    models.release()
    monkeypatch.setattr(models, "dtype", lambda: torch.float32)
    whole = LocalJudge("tiny/vlm").decide(requests)
    models.release()
    for one, other in zip(halved, whole, strict=True):
        for name in one:
            assert numbers(one[name]) == pytest.approx(numbers(other[name]), abs=0.03)
