"""What a model cannot share it is not made to share: answers stay right, and the reason can be read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from judging import SETTINGS, assert_alike, by_the_library, stirred
from transformers import JevConfig, JevForDecision, Qwen3_5TextConfig
from transformers.decision import DecisionConfig

from tamis.judge import loading
from tamis.judge.asking import Request
from tamis.judge.deciding import decide

ALL_AT_ONCE = (
    "<|im_start|>user\n{{ state }}"
    "{% for question in questions %}\n{{ question.instructions }}"
    "{% for option in question.options %} {{ question.labels[loop.index0] }} {{ option }}{% endfor %}"
    "{% endfor %}<|im_end|>\n<|im_start|>assistant\n"
    "{% for question in questions %}{{ question.name }}:<|mark|> {% endfor %}<|im_end|>"
)


def _qwen2(judge: Any, **settings: Any) -> tuple[Any, Any]:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = judge("qwen3_5").tokenizer
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = Qwen2Config(vocab_size=len(tokenizer) + 2, num_hidden_layers=2, **sizes, **settings)
    torch.manual_seed(0)
    return stirred(Qwen2ForCausalLM(config)), tokenizer


def test_attention_in_both_directions_is_not_shared(judge, of_text) -> None:
    loaded = loading.assemble(*_qwen2(judge, is_causal=False), DecisionConfig())
    assert loaded.whole == "its attention is not causal"
    notes: Counter[str] = Counter()
    answers = decide(loaded, of_text, **SETTINGS, notes=notes)
    assert_alike(answers, by_the_library(loaded, of_text))
    assert notes == {"its attention is not causal": 5}
    causal = loading.assemble(*_qwen2(judge), DecisionConfig())
    assert causal.whole is None
    assert answers[0]["star"] != pytest.approx(decide(causal, of_text, **SETTINGS)[0]["star"], abs=1e-3)


def test_it_is_found_out_where_no_config_says_so(judge, of_text) -> None:
    """Gemma's own switch, which is not `is_causal`."""
    from transformers import GemmaConfig, GemmaForCausalLM

    tokenizer = judge("qwen3_5").tokenizer
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
    sizes |= {"num_hidden_layers": 2, "head_dim": 8, "vocab_size": len(tokenizer) + 2, "pad_token_id": 0}
    torch.manual_seed(0)
    model = stirred(GemmaForCausalLM(GemmaConfig(**sizes, use_bidirectional_attention=True)))
    loaded = loading.assemble(model, tokenizer, DecisionConfig())
    assert loaded.whole == "its attention is not causal"
    assert_alike(decide(loaded, of_text, **SETTINGS), by_the_library(loaded, of_text))


def test_a_template_that_takes_all_questions_gives_one_prompt(judge, of_text) -> None:
    model, tokenizer = _qwen2(judge)
    loaded = loading.assemble(model, tokenizer, DecisionConfig(chat_template=ALL_AT_ONCE))
    notes: Counter[str] = Counter()
    answers = decide(loaded, of_text, **SETTINGS, notes=notes)
    assert_alike(answers, by_the_library(loaded, of_text))
    assert notes == {"its template asks all questions in one prompt": 4, "one question": 1}


@pytest.mark.parametrize("causal", (True, False))
def test_a_decision_head_is_asked_by_the_library(causal: bool, judge, of_text) -> None:
    tokenizer = judge("qwen3_5").tokenizer
    text = Qwen3_5TextConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        vocab_size=len(tokenizer) + 2,
        layer_types=["full_attention", "full_attention"],
    )
    text.is_causal = causal
    torch.manual_seed(0)
    model = stirred(JevForDecision(JevConfig(hidden_size=32, text_config=text)))
    config = DecisionConfig(temperature={"noul": 2.0})
    loaded = loading.assemble(model, tokenizer, config)
    notes: Counter[str] = Counter()
    answers = decide(loaded, of_text, **SETTINGS | {"order_seed": 1}, notes=notes)
    assert set(notes) == {"its decision head reads whole prompts"}
    unordered = decide(loaded, of_text, **SETTINGS)
    assert_alike(unordered, by_the_library(loaded, of_text))
    assert [list(one["colour"]["probabilities"]) for one in answers if "colour" in one] == [
        ["red", "blue", "green"]
    ] * 3
    assert_alike(decide(loaded, of_text, **SETTINGS | {"batch_size": 1}), unordered)


def test_a_decision_head_sees_an_image_once(judge, with_images, monkeypatch) -> None:
    from transformers import Qwen3_5Config

    processor, vision = judge("qwen3_vl").processor, judge("qwen3_vl").model.config.vision_config.to_dict()
    text = judge("qwen3_5").model.config.to_dict() | {"vocab_size": len(processor.tokenizer) + 2}
    ids = {name: getattr(judge("qwen3_vl").model.config, name) for name in ("image_token_id", "video_token_id")}
    vision = {name: value for name, value in vision.items() if name not in ("model_type", "deepstack_visual_indexes")}
    config = Qwen3_5Config(text_config=text, vision_config=vision, **ids)
    torch.manual_seed(0)
    model = stirred(JevForDecision(JevConfig(hidden_size=32, text_config=config)))
    loaded = loading.assemble(model, processor, DecisionConfig())
    wanted = by_the_library(loaded, with_images)
    encoded, encode = [], model.model.get_image_features

    def counted(pixel_values: Any, image_grid_thw: Any = None, **options: Any) -> Any:
        encoded.append(len(image_grid_thw))
        return encode(pixel_values, image_grid_thw, **options)

    monkeypatch.setattr(model.model, "get_image_features", counted)
    assert_alike(decide(loaded, with_images, **SETTINGS), wanted)
    assert sum(encoded) == 7  # of 6 requests with images


def test_a_decision_head_in_a_folder_loads_as_one(tmp_path: Path, judge, of_text) -> None:
    from tamis.judge import Ask, LocalJudge

    tokenizer = judge("qwen3_5").tokenizer
    text = {"model_type": "qwen2", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": len(tokenizer) + 2}
    torch.manual_seed(0)
    model = stirred(JevForDecision(JevConfig(hidden_size=32, text_config=text)))
    model.decision_config = DecisionConfig(temperature={"noul": 3.0})
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = loading.assemble(model, tokenizer, model.decision_config)
    here = LocalJudge(model=str(tmp_path), order_seed=None)
    assert_alike(here.decide(of_text), by_the_library(loaded, of_text))
    with pytest.raises(ValueError, match="is a decision model"):
        here.write([Ask("a red star")], max_new_tokens=4)


def test_models_that_cannot_be_asked_are_refused_by_name(tmp_path: Path, judge) -> None:
    from transformers import Idefics3ImageProcessorPil, Idefics3Processor, T5Config

    tokenizer = judge("qwen3_5").tokenizer
    processor = Idefics3Processor(Idefics3ImageProcessorPil(), tokenizer)
    with pytest.raises(ValueError, match="Idefics3's processor"):
        loading.assemble(judge("qwen3_5").model, processor, DecisionConfig())
    T5Config().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is an encoder-decoder"):
        loading.load(str(tmp_path), "main", quantization=None, attn_implementation="sdpa")
    with pytest.raises(ValueError, match="Images need a model"):
        decide(judge("qwen3_5"), [Request(_blank(), {"it": {"type": "noul"}})], **SETTINGS)


def _blank() -> Any:
    from PIL import Image

    return Image.new("RGB", (8, 8))
