"""The report's configurations mean the layers of BLIP that they should, in the model and in its 8-bit form."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tamis.config import ConfigError
from tamis.training.lora_shapes import REPORTED, LoraShape
from tamis.training.vqa_model import load

ATTENTIONS = 2 * 2 * 2  # two towers, two layers, self and cross
FOUND = {
    "r16-query-value-out": {"self.query": ATTENTIONS, "self.value": ATTENTIONS, "output.dense": ATTENTIONS},
    "r8-query-value-dense": {
        "self.query": ATTENTIONS,
        "self.value": ATTENTIONS,
        "output.dense": ATTENTIONS + 4,  # of the feed-forward
        "intermediate.dense": 4,
        "transform.dense": 1,
    },
    "r8-query-key-value": {"self.query": ATTENTIONS, "self.key": ATTENTIONS, "self.value": ATTENTIONS},
    "r32-query-value": {"self.query": ATTENTIONS, "self.value": ATTENTIONS},
}
FOUND["r16-query-value-dense"] = FOUND["r8-query-value-dense"]


@pytest.mark.parametrize("in_8bit", [False, True])
def test_the_reported_shapes_hit_the_layers_that_are_meant(blip: Path, in_8bit: bool) -> None:
    model = load(str(blip), "", in_8bit=in_8bit).blip
    assert set(FOUND) == set(REPORTED)
    for told, expected in FOUND.items():
        layers = LoraShape.parse(told).layers(model)
        assert len(set(layers)) == len(layers)
        assert not [path for path in layers if path.startswith("vision_model")]
        assert Counter(".".join(path.split(".")[-2:]) for path in layers) == expected, told
        towers = Counter(path.split(".")[0] for path in layers if ".layer." in path)
        assert towers["text_encoder"] == towers["text_decoder"]
    out = [path for path in LoraShape.parse("r16-query-value-out").layers(model) if path.endswith("dense")]
    assert all(re.search(r"\.(cross)?attention\.output\.dense$", path) for path in out)
    assert sum(".crossattention." in path for path in out) == ATTENTIONS // 2


@pytest.mark.parametrize("told", ["r8-query-value-dense", "r8-query-key-value", "r32-query-value"])
def test_names_that_peft_knows_by_itself_mean_the_same_layers_to_it(blip: Path, told: str) -> None:
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora import LoraLayer

    model, shape = load(str(blip), "").blip, LoraShape.parse(told)
    layers = shape.layers(model)
    worn = get_peft_model(model, LoraConfig(target_modules=list(shape.targets)))
    adapted = [path for path, layer in worn.get_base_model().named_modules() if isinstance(layer, LoraLayer)]
    assert adapted == layers


def test_a_shape_is_written_as_it_is_read() -> None:
    assert [str(LoraShape.parse(told)) for told in REPORTED] == list(REPORTED)
    assert LoraShape.parse("r16-query-value-out") == LoraShape(16, ("query", "value", "out"))


@pytest.mark.parametrize(
    "told", ["16-query", "r0-query", "r8", "r8-", "r8-query-query", "r8-qkv", "r8-query value", ""]
)
def test_other_shapes_are_refused(told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(repr(told))):
        LoraShape.parse(told)
