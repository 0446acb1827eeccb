"""Small random models of the families that judges are of, with one tokenizer, and what is asked of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from tamis.tiny.zoo.tokenizers import language_tokenizer

VISION = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "bos_token_id": None,
}
MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}


def _chat_tokenizer(image: str) -> Any:
    made = language_tokenizer()
    made.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>", *VISION]})
    made.eos_token, made.chat_template = "<|im_end|>", TEMPLATE.replace("IMAGE", image)
    return made


def _ids(tokenizer: Any) -> dict[str, Any]:
    return {"vocab_size": len(tokenizer) + 2, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}


def _qwen_processor(base: type, tokenizer: Any, patch: int) -> Any:
    """The family's own processor without videos, the part that needs torchvision."""
    from transformers import ProcessorMixin
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    class Images(base):
        def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None):
            self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
            self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
            self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    size = {"shortest_edge": 4 * patch * patch, "longest_edge": 64 * patch * patch}
    images = Qwen2VLImageProcessorPil(patch_size=patch, merge_size=2, temporal_patch_size=2, size=size)
    return Images(images, tokenizer, chat_template=tokenizer.chat_template)


def _qwen_vision(tokenizer: Any) -> dict[str, Any]:
    names = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
    names |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


def _qwen2_5_vl() -> tuple[Any, Any]:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

    tokenizer = _chat_tokenizer(QWEN_IMAGE)
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32}
    vision |= {"patch_size": 4, "window_size": 16, "fullatt_block_indexes": [1]}
    config = Qwen2_5_VLConfig(
        text_config=TEXT | _ids(tokenizer) | {"rope_parameters": MROPE},
        vision_config=vision,
        **_qwen_vision(tokenizer),
    )
    return Qwen2_5_VLForConditionalGeneration(config), _qwen_processor(Qwen2_5_VLProcessor, tokenizer, 4)


def _qwen3_vl() -> tuple[Any, Any]:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor

    tokenizer = _chat_tokenizer(QWEN_IMAGE)
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32}
    vision |= {"patch_size": 4, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    rope = MROPE | {"mrope_interleaved": True}
    config = Qwen3VLConfig(
        text_config=TEXT | _ids(tokenizer) | {"head_dim": 8, "rope_parameters": rope},
        vision_config=vision,
        **_qwen_vision(tokenizer),
    )
    return Qwen3VLForConditionalGeneration(config), _qwen_processor(Qwen3VLProcessor, tokenizer, 4)


def _qwen3_5() -> tuple[Any, Any]:
    """Layers of linear attention among those of full attention."""
    from transformers import Qwen3_5ForCausalLM, Qwen3_5TextConfig

    tokenizer = _chat_tokenizer("")
    linear = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "head_dim": 16}
    linear |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
    layers = ["linear_attention", "linear_attention", "full_attention"]
    config = Qwen3_5TextConfig(**TEXT, **_ids(tokenizer), **linear, layer_types=layers)
    return Qwen3_5ForCausalLM(config), tokenizer


def _gemma3() -> tuple[Any, Any]:
    """Tokens of an image see one another in both directions, and most layers see a window only."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3ImageProcessorPil, Gemma3Processor

    tokenizer = _chat_tokenizer("<start_of_image>")
    names = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer.add_special_tokens(
        {"additional_special_tokens": list(names.values())}, replace_extra_special_tokens=False
    )
    for name, token in names.items():
        setattr(tokenizer, name, token)
        setattr(tokenizer, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Gemma3Config(
        text_config=TEXT | _ids(tokenizer) | {"head_dim": 8, "sliding_window": 40, "sliding_window_pattern": 3},
        vision_config=vision | {"image_size": 32, "patch_size": 8},
        mm_tokens_per_image=4,
        image_token_index=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
    )
    images = Gemma3ImageProcessorPil(size={"height": 32, "width": 32})
    processor = Gemma3Processor(images, tokenizer, chat_template=tokenizer.chat_template, image_seq_length=4)
    return Gemma3ForConditionalGeneration(config), processor


def _sliding() -> tuple[Any, Any]:
    """Mistral with a window shorter than the prompts."""
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer = _chat_tokenizer("")
    return MistralForCausalLM(MistralConfig(**TEXT, **_ids(tokenizer), sliding_window=24)), tokenizer


BUILT = {
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "qwen3_5": _qwen3_5,
    "gemma3": _gemma3,
    "sliding": _sliding,
}


def picture(seed: int, width: int = 48, height: int = 48) -> Image.Image:
    numbers = np.random.default_rng(seed)
    coarse = numbers.integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)


QUESTIONS: dict[str, dict[str, Any]] = {
    "colour": {
        "type": "choice",
        "instructions": "What colour is the star?",
        "criteria": {"red": None, "blue": "like the sky", "green": None},
    },
    "quality": {"type": "score", "instructions": "How sharp is it?", "criteria": ["blurred", "fair", "sharp"]},
    "star": {"type": "noul", "instructions": "Is there a star?"},
}
