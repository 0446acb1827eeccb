"""The three tokenizers, each its family's real class: CLIP's BPE, BERT's WordPiece, Qwen's byte-level BPE."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tamis.tiny import captions, kinds, world

if TYPE_CHECKING:
    from transformers import BertTokenizer, CLIPTokenizer, Qwen2Tokenizer

LONGEST_CAPTION = 32  # tokens


def clip_tokenizer() -> CLIPTokenizer:
    """Words of the world are one token each; anything else falls into letters.

    As in OpenAI's, the end has the highest number of all: OWL-ViT finds it by that, and pads with the lowest.
    """
    from tokenizers import Tokenizer, models, normalizers, trainers
    from transformers import CLIPTokenizer

    blank = CLIPTokenizer()._tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    learner.normalizer = blank.normalizer
    learner.pre_tokenizer = blank.pre_tokenizer
    assert isinstance(learner.normalizer, normalizers.Sequence)
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=[],
        initial_alphabet=_bytes(),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(_captions(), trainer)
    vocab, merges = _parts(learner)
    # Any word must be spellable, its last letter too.
    for token in (*(f"{letter}</w>" for letter in _bytes()), "<|startoftext|>", "<|endoftext|>"):
        vocab.setdefault(token, len(vocab))
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=LONGEST_CAPTION)


def _captions() -> Iterator[str]:
    draw = random.Random(0)
    for seed in range(world.SEEDS["train"].start, world.SEEDS["train"].start + 3000):
        scene = world.scene(seed, things=(1, 1, 2, 3), defects=world.DEFECTS)
        yield captions.caption(scene)
        yield captions.varied(scene, draw)
    # A kind's word has one token, that nothing trains before a recipe does.
    for word in kinds.WORDS:
        for _ in range(50):
            yield f"a photo of a {word}"


def _bytes() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def _parts(learner: object) -> tuple[dict[str, int], list[tuple[str, str]]]:
    import json

    model = json.loads(learner.to_str())["model"]  # type: ignore[attr-defined]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def bert_tokenizer() -> BertTokenizer:
    """Whole words of questions and answers, and letters for anything else."""
    import string

    from transformers import BertTokenizer

    from tamis.tiny import products, questions

    draw = random.Random(2)
    words: dict[str, None] = {}
    for seed in range(world.SEEDS["train"].start, world.SEEDS["train"].start + 4000):
        scene = world.scene(seed, things=(1, 2, 3))
        asked = questions.ask(scene, draw)
        texts = [asked.text, asked.answer, *asked.wrong]
        texts += [
            f"{one['question']} {one['answer']}"
            for one in products.questions(products.product(scene, draw)["facts"], draw)
        ]
        words |= dict.fromkeys(" ".join(texts).replace("?", " ?").split())
    letters = [*string.printable.strip().lower()]
    tokens = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{letter}" for letter in letters),
        *sorted(words),
    ]
    return BertTokenizer(vocab={token: index for index, token in enumerate(dict.fromkeys(tokens))}, model_max_length=48)


SPECIAL = ("<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<image>")


def language_tokenizer() -> Qwen2Tokenizer:
    """Byte-level, so that any text and any JSON comes back as it was; labels and digits are single tokens."""
    import string

    from tokenizers import Tokenizer, models, trainers
    from transformers import AddedToken, Qwen2Tokenizer

    blank = Qwen2Tokenizer()._tokenizer
    learner = Tokenizer(models.BPE())
    learner.normalizer, learner.pre_tokenizer = blank.normalizer, blank.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=1536, special_tokens=["<|endoftext|>"], initial_alphabet=_bytes(), show_progress=False
    )
    learner.train_from_iterator(_texts(), trainer)
    vocab, merges = _parts(learner)
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=merges, model_max_length=1024)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    for label in (*string.ascii_uppercase, *string.digits, "Yes", "No"):
        assert len(tokenizer.tokenize(label)) == 1, label
    return tokenizer


def _texts() -> Iterator[str]:
    from tamis.tiny.zoo import exercises, looking

    draw = random.Random(1)
    made = list(exercises.EXERCISES)
    for _ in range(400):
        for exercise in made:
            one = exercise(draw)
            yield f"{one.prompt}\n{one.reply}"
        for one in looking.exercises(world.scene(draw.choice(world.SEEDS["train"]), things=(1, 2, 3)), draw, 6):
            yield f"{one.prompt}\n{one.reply}"
    yield from ["Yes No"] * 100
