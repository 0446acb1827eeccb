"""Small random models that answer questions about pictures, and rows that ask them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from small import letter_tokenizer, stirred, word_tokenizer

QUESTIONS = ("is the circle red ?", "what dog", "a photo of the blue square on a green square ?")
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def pictures(scenes: list[Any]) -> list[Any]:
    """Five, square, wide and tall."""
    sizes = [(96, 96), (96, 60), (50, 90), (64, 64), (40, 40)]
    return [scene.resize(size) for scene, size in zip(scenes, sizes, strict=False)]


def rows(dataset_of: Any, contents: list[bytes], questions: Sequence[str | None] = QUESTIONS) -> Any:
    """Every question on every picture, those on one picture side by side."""
    images = [content for content in contents for _ in questions]
    return dataset_of(images, question=[*questions] * len(contents))


def blip(folder: Path) -> None:
    import torch
    from transformers import BlipConfig, BlipForQuestionAnswering, BlipImageProcessorPil, BlipProcessor

    torch.manual_seed(0)
    tokenizer = word_tokenizer()
    ids = {"pad_token_id": 0, "bos_token_id": tokenizer.cls_token_id}
    ids |= {"sep_token_id": tokenizer.sep_token_id, "eos_token_id": tokenizer.sep_token_id}
    text = SMALL | ids | {"vocab_size": len(tokenizer), "encoder_hidden_size": 32, "max_position_embeddings": 64}
    config = BlipConfig(vision_config=SMALL | {"image_size": 32, "patch_size": 8}, text_config=text)
    stirred(BlipForQuestionAnswering(config)).save_pretrained(folder)
    BlipProcessor(BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)


def vilt(folder: Path, **settings: Any) -> None:
    import torch
    from transformers import ViltConfig, ViltForQuestionAnswering, ViltImageProcessorPil, ViltProcessor

    torch.manual_seed(1)
    tokenizer = word_tokenizer()
    tokenizer.model_max_length = 24
    config = ViltConfig(
        **SMALL,
        vocab_size=len(tokenizer),
        max_position_embeddings=24,
        image_size=32,
        patch_size=8,
        id2label={number: f"label {number}" for number in range(200)},
        **settings,
    )
    model = stirred(ViltForQuestionAnswering(config))
    with torch.no_grad():
        model.vilt.embeddings.patch_embeddings.projection.weight.mul_(2)  # or all pictures get one label
    model.save_pretrained(folder)
    images = ViltImageProcessorPil(size={"shortest_edge": 32}, size_divisor=8)
    ViltProcessor(images, tokenizer).save_pretrained(folder)


def blip2(folder: Path, encoder_first: bool = False) -> None:
    import torch
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        BlipImageProcessorPil,
        GPT2TokenizerFast,
        OPTConfig,
        T5Config,
    )

    torch.manual_seed(2)
    names = {"pad_token": "<pad>", "bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>"}
    tokenizer = letter_tokenizer(GPT2TokenizerFast, "<pad>", "</s>", **names)
    images = BlipImageProcessorPil(size={"height": 32, "width": 32})
    processor = Blip2Processor(images, tokenizer, num_query_tokens=4)
    image = tokenizer.convert_tokens_to_ids("<image>")
    ids = {"vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2, "bos_token_id": 1, "max_position_embeddings": 256}
    text = OPTConfig(hidden_size=32, word_embed_proj_dim=32, ffn_dim=64, **heads, **ids)
    if encoder_first:
        text = T5Config(d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, decoder_start_token_id=0, **ids)
    config = Blip2Config(
        vision_config=SMALL | {"image_size": 32, "patch_size": 8},
        qformer_config=SMALL | {"encoder_hidden_size": 32, "cross_attention_frequency": 1},
        text_config=text.to_dict(),
        num_query_tokens=4,
        image_token_index=image,
    )
    stirred(Blip2ForConditionalGeneration(config)).save_pretrained(folder)
    processor.save_pretrained(folder)


def blip2_t5(folder: Path) -> None:
    blip2(folder, encoder_first=True)


def florence2(folder: Path) -> None:
    import torch
    from transformers import (
        BartConfig,
        BartTokenizer,
        CLIPImageProcessorPil,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )

    torch.manual_seed(3)
    special = ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "<image>")
    tokenizer = letter_tokenizer(BartTokenizer, *special, extra_special_tokens={"image_token": "<image>"})
    images = CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False)
    images.image_seq_length = 5  # 2 x 2 places and the mean of them
    half = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 256}
    text = BartConfig(**half, **heads, vocab_size=len(tokenizer))
    vision = {
        "embed_dim": (16, 16, 16, 32),
        "num_heads": (2, 2, 2, 2),
        "num_groups": (2, 2, 2, 2),
        "depths": (1, 1, 1, 1),
    }
    config = Florence2Config(
        text_config=text.to_dict(),
        vision_config=vision | {"window_size": 4, "projection_dim": 32},
        image_token_id=tokenizer.image_token_id,
    )
    stirred(Florence2ForConditionalGeneration(config)).save_pretrained(folder)
    Florence2Processor(images, tokenizer).save_pretrained(folder)
