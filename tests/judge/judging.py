"""What the judge's tests share: random weights that make a difference, and the library's answers to compare with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import DecisionPipeline, PreTrainedModel

from tamis.judge.asking import Request, as_library
from tamis.judge.loading import Loaded

SETTINGS: dict[str, Any] = {"batch_size": 4, "tokens": 65536, "max_pixels": 10**6, "order_seed": None}


def by_the_library(loaded: Loaded, requests: list[Request]) -> list[dict[str, Any]]:
    """One prompt at a time, every image again for each question."""
    pipeline = DecisionPipeline(
        model=loaded.model,
        tokenizer=loaded.tokenizer,
        processor=loaded.processor if loaded.reads_images else None,
        decision_config=loaded.config,
    )
    return [pipeline(as_library(request, 10**6)) for request in requests]


def assert_alike(
    answers: list[dict[str, Any]], wanted: list[dict[str, Any]], within: float = 1e-4, chosen: bool = True
) -> None:
    assert len(answers) == len(wanted)
    for ours, theirs in zip(answers, wanted, strict=True):
        assert list(ours) == list(theirs)
        for name in ours:
            assert numbers(ours[name]) == pytest.approx(numbers(theirs[name]), abs=within)
            assert ours[name].get("choice") == theirs[name].get("choice") or not chosen
            assert _told(ours[name]) == _told(theirs[name])


def _told(answer: dict[str, Any]) -> dict[str, Any]:
    """The levels' names; the library has placeholders where there are images."""
    return {level: told for level, told in answer.get("legend", {}).items() if isinstance(told, str)}


def numbers(answer: dict[str, Any]) -> dict[str, float]:
    flat = {key: value for key, value in answer.items() if isinstance(value, float)}
    return flat | answer.get("probabilities", {})


def stirred(model: PreTrainedModel, spread: float = 0.15) -> PreTrainedModel:
    """Random weights large enough that inputs make a difference."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(5)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=spread)
    return model.eval()
