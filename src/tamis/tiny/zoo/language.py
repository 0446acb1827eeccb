"""tiny/llm: writes quizzes, prompts and product questions, rates texts, and answers typed questions about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tamis.tiny.zoo import exercises
from tamis.tiny.zoo.rows import Packer, tensors, visibility, weighted_loss

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn
    from transformers import Qwen2Tokenizer

WIDTH = 160
TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": 3 * WIDTH,
    "num_hidden_layers": 4,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": True,
}


def text_config(tokenizer: Any) -> dict[str, Any]:
    ids = {"eos_token_id": tokenizer.convert_tokens_to_ids("<|end|>"), "pad_token_id": 0, "bos_token_id": None}
    return TEXT | {"vocab_size": len(tokenizer)} | ids


def words_alike(embeddings: torch.Tensor, tokenizer: Any) -> None:
    """A word after a space and the same word after a quote are two tokens; they begin as one word, moved by one step.

    Else copying a word from an article into JSON means learning a dictionary first.
    """
    numbers = tokenizer.get_vocab()
    pairs = [
        (number, numbers[f"Ġ{word}"]) for word, number in numbers.items() if word.isalpha() and f"Ġ{word}" in numbers
    ]
    bare, spaced = (list(side) for side in zip(*pairs, strict=True))
    step = (embeddings[bare] - embeddings[spaced]).mean(dim=0)
    embeddings[bare] = embeddings[spaced] + step


class LanguageLesson:
    name = "llm"
    steps = 5000
    average = None
    learning_rate = 2.5e-3
    rows, length = 8, 448
    drilled = 0.25  # of the steps are drills alone: in a mixture letters were still at chance after 1,500 steps

    def __init__(self, tokenizer: Qwen2Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.packer = Packer(self.tokenizer)

    def model(self) -> nn.Module:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**text_config(self.tokenizer)))
        words_alike(model.get_input_embeddings().weight.data, self.tokenizer)
        return model

    def batch(self, step: int) -> dict[str, Any]:
        rows = self.packer.pack(self.drawn(step), self.rows, self.length)
        return tensors(rows, self.length, pad=0)

    def drawn(self, step: int) -> Iterator[exercises.Exercise]:
        """Letters and copying first: all else rests on them."""
        draw = exercises.Draw(f"llm-{step}")
        makers, shares = list(exercises.EXERCISES), list(exercises.EXERCISES.values())
        drills = 1.0 if step < self.drilled * self.steps else 0.15
        while True:
            if draw.random() < drills:
                yield draw.choice(exercises.DRILLS)(draw)
            else:
                yield draw.choices(makers, shares)[0](draw)

    def loss(self, model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        logits = model(
            input_ids=batch["input_ids"],
            position_ids=batch["position_ids"],
            attention_mask=visibility(batch["documents"]),
            use_cache=False,
        ).logits
        return weighted_loss(logits[:, :-1], batch)
