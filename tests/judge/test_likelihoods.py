"""Endings are as likely as each whole sequence says by itself, however they are shared, batched or split."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from families import TEMPLATE, TEXT
from judging import stirred

from tamis.judge import ApiJudge, Ask, LocalJudge, loading
from tamis.judge.likelihoods import likelihoods
from tamis.judge.writing import inputs_of

SETTINGS: dict[str, Any] = {"batch_size": 4, "tokens": 65536, "max_pixels": 10**6}
LINES = [f"#Score: {score}\n" for score in range(1, 11)]
ENDINGS = [LINES, ["a red star"], ["1", "10", "100"], [" yes", " no", "\nno, it is a circle on green ground"], LINES]
TEXT_MODELS = ("llm", "qwen3_5", "sliding")
IMAGE_MODELS = ("vlm", "gemma3", "qwen2_5_vl", "qwen3_vl")


def asks_for(name: str, picture: Any) -> list[Ask]:
    texts = ("how good?", "a", "how good is the picture of the star?", "x", "how good?")
    if name in TEXT_MODELS:
        return [Ask(text, (), "I say: " if at == 2 else "") for at, text in enumerate(texts)]
    sizes = ((48, 48), (64, 32), (48, 48), (48, 48), (48, 48))
    return [
        Ask(text, (picture(at, *size),) if at != 1 else (), "I say: " if at == 2 else "")
        for at, (text, size) in enumerate(zip(texts, sizes, strict=True))
    ]


def by_hand(loaded: Any, ask: Ask, ending: str) -> float:
    """One whole sequence, nothing remembered, every token by the library's own forward pass."""
    own = loaded.tokenizer.encode(ending, add_special_tokens=False)
    inputs = dict(inputs_of(loaded, ask, 10**6))
    start = inputs["input_ids"].shape[1]
    for name, value in inputs.items():
        if value.shape == (1, start):
            more = {"input_ids": torch.tensor([own]), "attention_mask": torch.ones(1, len(own), dtype=value.dtype)}
            inputs[name] = torch.cat((value, more.get(name, torch.zeros(1, len(own), dtype=value.dtype))), dim=1)
    with torch.inference_mode():
        told = loaded.model(**inputs, use_cache=False).logits[0].float().log_softmax(-1)
    return sum(float(told[start - 1 + at, token]) for at, token in enumerate(own))


def flat(rows: list[list[float]]) -> list[float]:
    return [value for row in rows for value in row]


@pytest.mark.parametrize("name", (*TEXT_MODELS, *IMAGE_MODELS))
def test_they_are_those_of_each_whole_sequence(name: str, judge, unshared, picture) -> None:
    loaded, asks = judge(name), asks_for(name, picture)
    wanted = [[by_hand(loaded, ask, one) for one in some] for ask, some in zip(asks, ENDINGS, strict=True)]
    notes: Counter[str] = Counter()
    found = likelihoods(loaded, asks, ENDINGS, **SETTINGS, notes=notes)
    assert flat(found) == pytest.approx(flat(wanted), abs=2e-4) and notes == {"shared": len(asks)}
    assert all(value < 0 for value in flat(found)) and len({round(value, 3) for value in flat(found)}) > 15
    for settings in ({"batch_size": 1}, {"tokens": 300}, {"tokens": 1}):
        assert flat(likelihoods(loaded, asks, ENDINGS, **SETTINGS | settings)) == pytest.approx(flat(wanted), abs=2e-4)
    apart = likelihoods(unshared(loaded), asks[::-1], ENDINGS[::-1], **SETTINGS)
    assert flat(apart[::-1]) == pytest.approx(flat(wanted), abs=2e-4)


def test_a_picture_is_encoded_once_for_all_endings(judge, picture, monkeypatch) -> None:
    loaded, encoded = judge("vlm"), []
    encode = loaded.model.model.get_image_features

    def counted(pixel_values: Any, **options: Any) -> Any:
        encoded.append(len(pixel_values))
        return encode(pixel_values, **options)

    monkeypatch.setattr(loaded.model.model, "get_image_features", counted)
    likelihoods(loaded, [Ask("good?", (picture(at),)) for at in range(6)], [LINES] * 6, **SETTINGS)
    assert encoded == [4, 2]


def test_of_all_next_tokens_the_likelihoods_sum_to_one(judge) -> None:
    loaded = judge("llm")
    words = [loaded.tokenizer.decode([token]) for token in range(1000)]
    plain = {"add_special_tokens": False, "split_special_tokens": True}  # a control token's name is text
    tokens = [token for token, word in enumerate(words) if loaded.tokenizer.encode(word, **plain) == [token]]
    [found] = likelihoods(loaded, [Ask("how good?")], [[words[token] for token in tokens]], **SETTINGS)
    with torch.inference_mode():
        told = loaded.model(**inputs_of(loaded, Ask("how good?"), 1)).logits[0, -1].softmax(-1)
    assert len(tokens) > 500 and sum(map(math.exp, found)) == pytest.approx(float(told[tokens].sum()), rel=1e-5)


@pytest.mark.parametrize("splits_digits", [True, False])
def test_ten_may_be_one_token_or_two(splits_digits: bool) -> None:
    from transformers.decision import DecisionConfig

    loaded = loading.assemble(*_chat(splits_digits), DecisionConfig())
    assert len(loaded.tokenizer.tokenize("10")) == (2 if splits_digits else 1)
    asks = [Ask("how good?"), Ask("and this?")]
    found = likelihoods(loaded, asks, [LINES] * 2, **SETTINGS)
    wanted = [[by_hand(loaded, ask, line) for line in LINES] for ask in asks]
    assert flat(found) == pytest.approx(flat(wanted), abs=2e-4)


def _chat(splits_digits: bool) -> tuple[Any, Any]:
    """A small model of text whose tokenizer knows the word 10, or does not."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<unk>", "<|im_start|>", "<|im_end|>", "#", "Score", ":", " ", "\n", "user", "assistant", "A", "B"]
    words += ["how", "good", "?", "and", "this", *map(str, range(10)), *([] if splits_digits else ["10"])]
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    from tokenizers import Regex

    cut = r"\d|\w+|\s|[^\w\s]" if splits_digits else r"\d+|\w+|\s|[^\w\s]"
    made.pre_tokenizer = pre_tokenizers.Split(Regex(cut), "isolated")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    tokenizer.chat_template = TEMPLATE.replace("IMAGE", "")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**TEXT, vocab_size=len(tokenizer) + 8, eos_token_id=2, pad_token_id=0))
    return stirred(model), tokenizer


def test_what_cannot_be_asked_is_refused(judge, picture) -> None:
    with pytest.raises(ValueError, match="at least one token each"):
        likelihoods(judge("llm"), [Ask("a")], [["b", ""]], **SETTINGS)
    with pytest.raises(ValueError, match="at least one token each"):
        likelihoods(judge("llm"), [Ask("a")], [[]], **SETTINGS)
    with pytest.raises(ValueError, match="endings for 2 of 1 asks"):
        likelihoods(judge("llm"), [Ask("a")], [["b"], ["c"]], **SETTINGS)
    with pytest.raises(ValueError, match="reads text alone"):
        likelihoods(judge("llm"), [Ask("a", (picture(0),))], [["b"]], **SETTINGS)
    assert likelihoods(judge("llm"), [], [], **SETTINGS) == []


def test_the_judge_on_this_machine_has_the_verb_and_the_one_on_a_server_has_not(folders) -> None:
    made = LocalJudge(str(folders["llm"]))
    [[one, other]] = made.likelihoods([Ask("how good?")], [["good", "bad, and more"]])
    assert one < 0 and other < 0 and not hasattr(ApiJudge, "likelihoods")
