"""Adapters of a chain as one: the sum of their changes, exactly, on the model at its root."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from small_adapters import IDS, TINY, write

from tamis.config import ConfigError
from tamis.sources import Source, pin
from tamis.training.chain import chained


@pytest.fixture(scope="module")
def whole() -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(TINY).eval()


@pytest.fixture(scope="module")
def root() -> Source:
    return pin(TINY, "model")


def wearing(model: Any, *folders: Path) -> torch.Tensor:
    """What it says with the adapters worn, merged into it one after another."""
    from peft import PeftModel

    model = copy.deepcopy(model)
    for folder in folders:
        model = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def test_it_is_the_links_worn_one_after_another(whole: Any, root: Source, tmp_path: Path) -> None:
    links = [
        write(whole, root, tmp_path / "one", 1, ["q_proj", "down_proj"], r=4),
        write(whole, root, tmp_path / "two", 2, ["q_proj", "up_proj"], r=2, lora_alpha=3),
    ]
    made = chained(links, root, tmp_path / "chain")
    assert (wearing(whole) - wearing(whole, *links)).abs().max() > 0.1
    torch.testing.assert_close(wearing(whole, made.path), wearing(whole, *links), atol=2e-4, rtol=1e-4)
    assert (made.base_model, made.train_metrics["links"]) == (root.repo_id, 2)
    assert chained(links, root, tmp_path / "chain") == made  # found again
    again = chained(links, root, tmp_path / "again")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (made.path / name).read_bytes() == (again.path / name).read_bytes()
    turned = chained(links[:1], root, tmp_path / "chain")  # other links are not what lies there
    torch.testing.assert_close(wearing(whole, turned.path), wearing(whole, links[0]), atol=2e-4, rtol=1e-4)


def test_what_is_no_chain_is_refused(whole: Any, root: Source, tmp_path: Path) -> None:
    link = write(whole, root, tmp_path / "one", 1, ["q_proj"])
    with pytest.raises(ConfigError, match="there is none"):
        chained([], root, tmp_path / "chain")
    with pytest.raises(ConfigError, match="lies there"):
        chained([link], root, link)
    with pytest.raises(ConfigError, match="base model"):
        chained([link], Source("another", "model", "0" * 40, None, local=True), tmp_path / "chain")
    of_another = write(whole, Source("another", "model", "0" * 40, None, local=True), tmp_path / "other", 2, ["q_proj"])
    with pytest.raises(ConfigError, match="'other' is of base model 'another'"):
        chained([link, of_another], root, tmp_path / "chain")
