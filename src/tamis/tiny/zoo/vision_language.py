"""tiny/vlm: a LLaVA whose eyes are tiny/clip's and whose language begins as tiny/llm's.

First the projector learns to say each patch in the language's own words: a patch of a red striped star becomes the sum
of those three words' embeddings. What the language model has learnt about scenes that are told then holds for scenes
that are shown; without this step no attribute was read above chance after 1,300 steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tamis.tiny import questions, world
from tamis.tiny.captions import DEFECT_WORDS
from tamis.tiny.world import Scene
from tamis.tiny.zoo import exercises as texts
from tamis.tiny.zoo import looking, sight
from tamis.tiny.zoo.clip import VISION
from tamis.tiny.zoo.exercises import CANNOT_TELL, Draw, Exercise, ask, typed
from tamis.tiny.zoo.language import text_config
from tamis.tiny.zoo.rows import UNLEARNT, Packer, Row, tensors, visibility, weighted_loss

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn
    from transformers import Qwen2Tokenizer

SEEN = sight.SIDE_PATCHES**2  # tokens a picture
TOLD = ("colour", "pattern", "shape", "size", "place")  # of a thing, in the words of its patches
SHARP = 5.0  # how much nearer the right word must be
PAIRED_EVERY = 8  # of so many batches one shows two pictures a row


class VisionLanguageLesson:
    name = "vlm"
    steps = 5000
    average = None
    learning_rate = 1.5e-3
    pictures, length = 16, 256
    spoken = 0.15  # of the steps are that first one
    blind_rows = 1  # without a picture: letters kept in practice, and knowing that one cannot tell

    def __init__(self, tokenizer: Qwen2Tokenizer, clip: Any | None, llm: Any | None) -> None:
        self.tokenizer, self.clip, self.llm = tokenizer, clip, llm
        self.packer = Packer(tokenizer)
        self.image = self.tokenizer.convert_tokens_to_ids("<image>")

    def model(self) -> nn.Module:
        import torch
        from transformers import LlavaConfig, LlavaForConditionalGeneration

        torch.manual_seed(0)
        model = LlavaForConditionalGeneration(
            LlavaConfig(
                vision_config=VISION | {"model_type": "clip_vision_model"},
                text_config=text_config(self.tokenizer) | {"model_type": "llama"},
                image_token_index=self.image,
                image_seq_length=SEEN,
                vision_feature_layer=-1,
                vision_feature_select_strategy="default",
                tie_word_embeddings=True,
            )
        )
        if self.clip is not None:
            model.model.vision_tower.load_state_dict(self.clip.vision_model.state_dict())
        # Trained along, the eyes lose the shapes they know before the projector and the language can say them.
        model.model.vision_tower.requires_grad_(False)
        if self.llm is not None:
            model.model.language_model.load_state_dict(self.llm.model.state_dict())
        return model

    def batch(self, step: int) -> dict[str, Any]:
        draw = Draw(f"vlm-{step}")
        first = world.SEEDS["train"].start + 4_000_000 + step * 2 * self.pictures
        if step < self.spoken * self.steps:
            scenes = [_scene(first + index, draw) for index in range(2 * self.pictures)]
            return {"pixel_values": sight.pixels(scenes), "words": self._words(scenes)}
        if step % PAIRED_EVERY == PAIRED_EVERY - 1:
            pairs = [_pair(first + 2 * index, draw) for index in range(self.pictures // 2)]
            scenes = [scene for pair in pairs for scene in pair]
            rows = [self._row(2, _comparisons(pair, draw)) for pair in pairs]
        else:
            scenes = [_scene(first + index, draw) for index in range(self.pictures)]
            rows = [self._row(1, _endless(scene, draw)) for scene in scenes]
            rows += self.packer.pack(_blind(draw), self.blind_rows, self.length)
        return tensors(rows, self.length, pad=0) | {"pixel_values": sight.pixels(scenes)}

    def _words(self, scenes: list[Scene]) -> torch.Tensor:
        """What each patch shows, as token numbers: scene x patch x word; padding is 0, which no word has."""
        import torch

        said = [[self.tokenizer.convert_tokens_to_ids(words) for words in patch_words(scene)] for scene in scenes]
        longest = max(len(words) for patches in said for words in patches)
        return torch.tensor([[words + [0] * (longest - len(words)) for words in patches] for patches in said])

    def _row(self, pictures: int, exercises: Iterator[Exercise]) -> Row:
        """The pictures once, then exercises that each see them and not one another."""
        shown = [self.packer.user, *[self.image] * SEEN]
        if pictures == 2:
            shown += [*self.tokenizer("\n")["input_ids"], *[self.image] * SEEN]
        row = Row(list(shown), list(range(len(shown))), [0] * len(shown), [UNLEARNT] * len(shown))
        for exercise in exercises:
            prompt, reply = self.packer.encode(Exercise("\n" + exercise.prompt, exercise.reply, exercise.typed))
            prompt = [*prompt, self.packer.assistant]
            if len(row.tokens) + len(prompt) + len(reply) > self.length:
                break
            row.add(prompt, reply, typed=exercise.typed, start=len(shown))
        return row

    def loss(self, model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        if "words" in batch:
            return _spoken_loss(model, batch)
        logits = model(
            input_ids=batch["input_ids"],
            pixel_values=batch["pixel_values"],
            position_ids=batch["position_ids"],
            attention_mask=visibility(batch["documents"]),
            use_cache=False,
        ).logits
        return weighted_loss(logits[:, :-1], batch)


def patch_words(scene: Scene) -> list[list[str]]:
    """For each patch the words of the thing it shows, or of the ground; as the tokenizer writes them after a space."""
    ground = ["ground", scene.ground, scene.style] + ([] if scene.defect == "none" else [DEFECT_WORDS[scene.defect]])
    things = [[getattr(thing, name) for name in TOLD] for thing in scene.things]
    return [[f"Ġ{word}" for word in (things[owner] if owner >= 0 else ground)] for owner in sight.owners(scene)]


def _spoken_loss(model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
    """How far each patch, as the projector puts it, is from its words, and whether it is nearest to the right ones.

    Ground covers most of a picture, and colour most of what is left: patches of things count as much as the ground's,
    and each attribute is asked for by itself. By distance alone, shapes and patterns were still at chance when 95 % of
    the words were explained.
    """
    import torch
    from torch.nn.functional import cross_entropy

    embeddings = model.get_input_embeddings().weight.detach()
    words = batch["words"]
    wanted = (embeddings[words] * (words > 0)[..., None]).sum(dim=2)
    found = torch.stack(list(model.model.get_image_features(batch["pixel_values"]).pooler_output))
    apart = (found - wanted).square().mean(dim=-1) / wanted.var()
    things = words[..., len(TOLD) - 1] > 0  # a ground has fewer words
    loss, named = apart[things].mean() + apart[~things].mean(), []
    for index in range(len(TOLD)):
        values, right = words[things][:, index].unique(return_inverse=True)
        near = SHARP * found[things] @ embeddings[values].T
        loss = loss + cross_entropy(near, right) / len(TOLD)
        named.append((near.argmax(dim=-1) == right).float().mean().item())
    figures = {"unexplained": apart.mean().item()}
    return loss, figures | dict(zip(TOLD, named, strict=True))


def _scene(seed: int, draw: Draw) -> Scene:
    defects = ("none",) if draw.random() < 0.6 else world.DEFECTS[1:]
    return world.scene(seed, things=(1, 1, 2, 2, 3), defects=defects)


def _endless(scene: Scene, draw: Draw) -> Iterator[Exercise]:
    while True:
        yield from looking.exercises(scene, draw, 8)


def _pair(seed: int, draw: Draw) -> tuple[Scene, Scene]:
    """Two scenes that could both be meant: the second is another one, or the first with one thing changed."""
    first = world.scene(seed, defects=texts.DEFECTS_MOSTLY_NONE)
    if draw.random() < 0.5:
        return first, world.scene(seed + 1, defects=texts.DEFECTS_MOSTLY_NONE)
    name = draw.choice(list(world.ATTRIBUTES))
    look = {attribute: first.value(attribute) for attribute in (*world.ATTRIBUTES, "style")}
    look[name] = world.other(draw, world.ATTRIBUTES[name], look[name])
    return first, world.scene(seed + 1, **look)


def _comparisons(pair: tuple[Scene, Scene], draw: Draw) -> Iterator[Exercise]:
    """Which of two pictures shows a prompt better: the one it was written of."""
    while True:
        right = draw.randrange(2)
        statement = questions.statement(pair[right], draw, True)
        if questions.statement(pair[1 - right], draw, True) != statement:
            yield typed(ask("pairwise/better", prompt=statement), ["first", "second"], right)
        else:
            yield typed(ask("pairwise/better", prompt=statement), ["first", "second"], draw.randrange(2))


def _blind(draw: Draw) -> Iterator[Exercise]:
    """Nothing is shown: the option that says so is right; where there is none, any letter is as good."""
    while True:
        if draw.random() < 0.5:
            yield draw.choice((texts.drill, texts.reading, texts.reading_yes_no))(draw)
            continue
        question = questions.ask(world.scene(draw.choice(draw.scenes), things=(1, 2)), draw)
        options = question.options(draw)
        if draw.random() < 0.5:
            options.append(CANNOT_TELL)
        right = options.index(CANNOT_TELL) if CANNOT_TELL in options else draw.randrange(len(options))
        name = draw.choice(("quiz/question", "quiz/blind"))
        yield typed(ask(name, question=question.text), options, right)
