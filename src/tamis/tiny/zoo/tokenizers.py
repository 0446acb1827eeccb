"""The three tokenizers, each its family's real class: CLIP's BPE, BERT's WordPiece, Qwen's byte-level BPE."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tamis.tiny import captions, kinds, world

if TYPE_CHECKING:
    from transformers import BertTokenizer, CLIPTokenizer, Qwen2Tokenizer

LONGEST_CAPTION = 32  # tokens


def kept(folder: Path, family: str) -> CLIPTokenizer | BertTokenizer | Qwen2Tokenizer:
    """That of a training that has begun, else a new one: a checkpoint is worth nothing with other words' numbers."""
    from transformers import AutoTokenizer

    path = folder / "tokenizers" / family
    if not path.exists():
        make = {"clip": clip_tokenizer, "bert": bert_tokenizer, "language": language_tokenizer}[family]
        fresh = path.with_name(f".{family}.new")
        make().save_pretrained(fresh)
        fresh.rename(path)
    return AutoTokenizer.from_pretrained(path)


def clip_tokenizer() -> CLIPTokenizer:
    """Words of the world are one token each; anything else falls into letters.

    As in OpenAI's, the end has the highest number of all: OWL-ViT finds it by that, and pads with the lowest.
    """
    from transformers import CLIPTokenizer

    letters = _bytes()
    merges = _merges(Counter(" ".join(_captions()).replace(",", " ,").split()))
    # Any word must be spellable, its last letter too.
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    vocab = {token: number for number, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=LONGEST_CAPTION)


def _merges(words: Counter[str]) -> list[tuple[str, str]]:
    """Byte-pair merges until each word is one token, the most frequent pair first.

    Not the library's trainer: with an end-of-word suffix it breaks ties by the order of a hash table, so that numbers
    differ from process to process, and a checkpoint would resume with other words than it was trained on.
    """
    spelt = {word: [*word[:-1], f"{word[-1]}</w>"] for word in words}
    merges: list[tuple[str, str]] = []
    while True:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in spelt.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for parts in spelt.values():
            for index in range(len(parts) - 2, -1, -1):
                if index + 1 < len(parts) and (parts[index], parts[index + 1]) == best:
                    parts[index : index + 2] = ["".join(best)]


def _captions() -> Iterator[str]:
    draw = random.Random(0)
    for seed in range(world.SEEDS["train"].start, world.SEEDS["train"].start + 3000):
        scene = world.scene(seed, things=(1, 1, 2, 3), defects=world.DEFECTS)
        yield captions.caption(scene)
        yield captions.varied(scene, draw)
    # A kind's word has one token, that nothing trains before a recipe does.
    for word in kinds.WORDS:
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

    draw = exercises.Draw(1)
    made = list(exercises.EXERCISES)
    for _ in range(400):
        for exercise in made:
            one = exercise(draw)
            yield f"{one.prompt}\n{one.reply}"
        for one in looking.exercises(world.scene(draw.choice(draw.scenes), things=(1, 2, 3)), draw, 6):
            yield f"{one.prompt}\n{one.reply}"
    yield from ["Yes No"] * 100
