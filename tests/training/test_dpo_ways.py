"""What models let be taken out of their steps: classes that do, classes that do not, and that lies are found out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_pairs import TEMPLATE, TINY, pairs

from tamis.training.chat_lora import as_stored
from tamis.training.dpo import COLUMNS
from tamis.training.dpo_probe import Way, way_of
from tamis.training.dpo_rows import Batches, Pairs, read
from tamis.training.eyes import Eyes
from tamis.training.pictures import Pictures
from tamis.training.shared_prefix import Folded

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
MOST = 1_000_000


def tokenizer() -> Any:
    from transformers import AutoTokenizer

    made = AutoTokenizer.from_pretrained(TINY)
    written = ["<image>", "<video>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    made.add_special_tokens({"additional_special_tokens": [*written, "<|im_start|>", "<end_of_utterance>"]})
    return made


def text(**changed: Any) -> dict[str, Any]:
    """Large enough weights that one token more or less is seen in what comes after it."""
    return SMALL | {"num_key_value_heads": 2, "initializer_range": 0.3, "vocab_size": len(tokenizer())} | changed


def llava(**changed: Any) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoProcessor, LlavaConfig, LlavaForConditionalGeneration

    config = AutoConfig.from_pretrained(TINY)
    told = {"text_config": text(**changed), "vision_config": config.vision_config.to_dict()}
    made = LlavaConfig(**told, image_token_index=config.image_token_id, vision_feature_layer=-1)
    return LlavaForConditionalGeneration(made), AutoProcessor.from_pretrained(TINY)


def llava_onevision() -> tuple[Any, Any]:
    """Its processor as it is but for videos, which would need torchvision."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessorPil,
        LlavaOnevisionProcessor,
        ProcessorMixin,
    )

    class WithoutVideos(LlavaOnevisionProcessor):
        def __init__(self, image_processor: Any, tokenizer: Any, chat_template: str) -> None:
            self.num_image_tokens, self.vision_feature_select_strategy = 16, "full"
            self.vision_aspect_ratio = "anyres_max_9"
            self.image_token, self.video_token = "<image>", "<video>"
            self.image_token_id, self.video_token_id = tokenizer.convert_tokens_to_ids(["<image>", "<video>"])
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

        @classmethod
        def get_attributes(cls) -> list[str]:
            return ["image_processor", "tokenizer"]

    read_by, tiles = tokenizer(), [[32, 32], [32, 64], [64, 32], [64, 64]]
    vision = SMALL | {"model_type": "siglip_vision_model", "image_size": 32, "patch_size": 8, "vision_use_head": False}
    config = LlavaOnevisionConfig(
        text_config=text(model_type="qwen2"),
        vision_config=vision,
        image_grid_pinpoints=tiles,
        image_token_index=read_by.convert_tokens_to_ids("<image>"),
        video_token_index=read_by.convert_tokens_to_ids("<video>"),
    )
    looks = LlavaOnevisionImageProcessorPil(size={"height": 32, "width": 32}, image_grid_pinpoints=tiles)
    return LlavaOnevisionForConditionalGeneration(config), WithoutVideos(looks, read_by, TEMPLATE)


def qwen() -> tuple[Any, Any]:
    from transformers import (
        ProcessorMixin,
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessorPil,
    )

    class WithoutVideos(Qwen2_5_VLProcessor):
        def __init__(self, image_processor: Any, tokenizer: Any, chat_template: str) -> None:
            self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
            self.image_token_id, self.video_token_id = tokenizer.convert_tokens_to_ids(
                [self.image_token, self.video_token]
            )
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

        @classmethod
        def get_attributes(cls) -> list[str]:
            return ["image_processor", "tokenizer"]

    read_by = tokenizer()
    named = ("image_token_id", "<|image_pad|>"), ("video_token_id", "<|video_pad|>")
    named += ("vision_start_token_id", "<|vision_start|>"), ("vision_end_token_id", "<|vision_end|>")
    rotary = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    config = Qwen2_5_VLConfig(
        text_config=text(rope_parameters=rotary, pad_token_id=0, bos_token_id=None, eos_token_id=0),
        vision_config={"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32},
        **{name: read_by.convert_tokens_to_ids(token) for name, token in named},
    )
    looks = Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=28 * 28 * 16)
    template = TEMPLATE.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>")
    return Qwen2_5_VLForConditionalGeneration(config), WithoutVideos(looks, read_by, template)


def found(model: Any, processor: Any) -> tuple[Way, Pictures, Pairs]:
    from trl.trainer.utils import add_fused_lm_head

    add_fused_lm_head(model.eval())
    pictures = Pictures("image")
    some = read(as_stored("a", pairs(6), COLUMNS), pictures, set())
    return way_of(model, processor, pictures, some, 2, MOST), pictures, some


def test_llava_onevision_is_seen_once_whatever_the_shape_of_a_picture() -> None:
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    model, processor = llava_onevision()
    way, pictures, some = found(model, processor)
    assert way == Way()
    eyes = Eyes(model, processor, pictures, MOST)
    assert len({one.features.shape for one in eyes.seen(list(pictures.where))}) == 2
    batch = Batches(some, processor, eyes.written, False, MOST)([{"image": number} for number in range(3)])
    theirs = DataCollatorForVisionPreference(processor)([some.shown(number, MOST) for number in range(3)])
    for name in ("input_ids", "attention_mask", "completion_mask"):
        assert torch.equal(batch[name] * batch["attention_mask"], theirs[name] * theirs["attention_mask"])
    before = eyes.identity()
    with torch.no_grad():
        model.model.image_newline += 1.0  # no part of a tower
    assert eyes.identity()["weights"] != before["weights"]


def test_qwen_goes_the_way_of_trl() -> None:
    """Its positions follow from the picture's grid."""
    way, _, _ = found(*qwen())
    assert way.not_seen_once == way.not_shared == "WithoutVideos tells more of a picture than image tokens and pixels"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"model_type": "llama"}, None),
        ({"model_type": "mistral", "sliding_window": None}, None),
        ({"model_type": "mistral", "sliding_window": 16}, "its layers do not all attend to everything"),
        ({"model_type": "mixtral"}, "it routes tokens to experts"),
    ],
)
def test_a_prompt_is_shared_where_all_layers_attend_by_the_mask(changed: dict[str, Any], reason: str | None) -> None:
    way, _, _ = found(*llava(**changed))
    assert way == Way(not_shared=reason)


def test_other_kernels_do_not_take_the_mask() -> None:
    model, processor = llava(model_type="llama")
    model.set_attn_implementation("eager")
    assert found(model, processor)[0] == Way(not_shared="its attention is by eager")


def test_a_model_that_answers_otherwise_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = llava(model_type="llama")

    def seen_by_all(self: Folded) -> torch.Tensor:
        length = self.ids.shape[1]
        return torch.ones(len(self.ids), 1, length, length, dtype=torch.bool).tril()

    with monkeypatch.context() as patched:
        patched.setattr(Folded, "_mask", seen_by_all)
        assert "when replies stand in one row" in found(model, processor)[0].not_shared
    outputs = Eyes.outputs
    monkeypatch.setattr(Eyes, "outputs", lambda self, some: outputs(self, [one.flip(0) for one in some]))
    way, _, _ = found(model, processor)
    assert "when it is told what it sees" in way.not_seen_once
