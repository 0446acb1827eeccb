"""What small random models of the real classes are made of: weights that make a difference, tokenizers of few words."""

from __future__ import annotations

from typing import Any

WORDS = ("a", "red", "green", "blue", "circle", "square", "dog", "on", "the", "photo", "of", "yes", "no")


def stirred(model):
    """Random weights large enough that inputs make a difference: freshly initialised ones give nearly one output."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.2)
    return model.eval()


def clip_tokenizer():
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])


def word_tokenizer(extra: tuple[str, ...] = ()):
    """BERT's own tokenizer over a few words and all letters."""
    from transformers import BertTokenizer

    letters = [chr(code) for code in range(33, 127)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *(f"##{letter}" for letter in letters)]
    return BertTokenizer(vocab={piece: number for number, piece in enumerate(dict.fromkeys([*pieces, *extra]))})


def letter_tokenizer(kind: type, *special: str, **settings: Any):
    """GPT-2's or BART's own tokenizer over single letters, special tokens first."""
    from tokenizers.pre_tokenizers import ByteLevel

    pieces = [*special, *sorted(ByteLevel.alphabet())]
    return kind(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[], **settings)
