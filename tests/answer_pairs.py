"""Pairs of answers as visual question answering has them; small random models of the real classes that score them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

WORDNET = Path("/usr/share/wordnet/data.noun")
needs_wordnet = pytest.mark.skipif(not WORDNET.exists(), reason=f"{WORDNET} is not installed (wordnet-base)")

COMMON = ["red", "crimson", "sofa", "couch", "chair", "cat", "dog", "shoes", "leather", "jogging", "wooden", "seven"]
COMMON += ["lamp", "quickly"]
ODD = [
    "None",
    "NA",
    "nan",
    "xqzzy",
    "Red",
    "t-shirt",
    "it's",
    "phone case",
    "red, blue",
    "oak,pine , oak",
    "7",
    "ünder",
]


def pairs(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Mostly one word, some of several, one in five equal."""
    draw = random.Random(seed)

    def answer() -> str:
        if draw.random() < 0.2:
            return draw.choice(ODD)
        between = draw.choice([" ", ", "])
        return between.join(draw.choice(COMMON) for _ in range(draw.choice([1, 1, 1, 1, 2, 3, 7])))

    references = [answer() for _ in range(count)]
    predictions = [reference if draw.random() < 0.2 else answer() for reference in references]
    return predictions, references


def save_bert(folder: Path) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizer

    letters = [chr(code) for code in range(33, 127)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *COMMON, *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = BertTokenizer(vocab={piece: number for number, piece in enumerate(dict.fromkeys(pieces))})
    tokenizer.model_max_length = 64
    return _saved(folder, tokenizer, lambda: BertModel(BertConfig(vocab_size=len(tokenizer), **_small(64))))


def save_roberta(folder: Path, *, add_prefix_space: bool) -> Path:
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizer

    tokenizer = RobertaTokenizer(*_bytes(), add_prefix_space=add_prefix_space)
    tokenizer.model_max_length = 64
    special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    config = RobertaConfig(vocab_size=len(tokenizer), **_small(66), **special)
    return _saved(folder, tokenizer, lambda: RobertaModel(config))


def save_bart(folder: Path) -> Path:
    from transformers import BartConfig, BartForConditionalGeneration, BartTokenizer

    tokenizer = BartTokenizer(*_bytes())
    tokenizer.model_max_length = 64
    sizes = {f"{part}_{size}": 2 for part in ("encoder", "decoder") for size in ("layers", "attention_heads")}
    sizes |= {"encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "d_model": 32, "max_position_embeddings": 64}
    config = BartConfig(vocab_size=len(tokenizer), **sizes)
    return _saved(folder, tokenizer, lambda: BartForConditionalGeneration(config))


def save_sentence_transformer(folder: Path) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    transformer = Transformer(str(save_bert(folder / "bert")))
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save_pretrained(str(folder / "whole"))
    return folder / "whole"


def _saved(folder: Path, tokenizer, build: Callable) -> Path:
    import torch

    torch.manual_seed(0)
    model = build()
    with torch.no_grad():  # freshly initialised weights give nearly one output for all inputs
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.2)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _small(positions: int) -> dict[str, int]:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
    return sizes | {"max_position_embeddings": positions}


def _bytes() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """All bytes, and one word that is another token behind a space."""
    from tokenizers.pre_tokenizers import ByteLevel

    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    merges = [("Ġ", "r"), ("Ġr", "e"), ("Ġre", "d"), ("r", "e"), ("re", "d")]
    pieces += [left + right for left, right in merges]
    return {piece: number for number, piece in enumerate(pieces)}, merges
