"""tiny/clip: both towers of CLIP, taught by captions, and in passing by what each patch shows.

Its vision tower is where the other models' eyes begin, its text tower where the diffusion model's and the detector's
reading begins.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tamis.tiny import captions, world
from tamis.tiny.zoo import sight
from tamis.tiny.zoo.tokenizers import LONGEST_CAPTION

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import CLIPTokenizer

WIDTH = 128
VISION = {
    "hidden_size": WIDTH,
    "intermediate_size": 4 * WIDTH,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": world.SIDE,
    "patch_size": sight.PATCH,
}
TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": 4 * WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": LONGEST_CAPTION,
}


def text_config(tokenizer: Any) -> dict[str, Any]:
    """Of CLIP's text tower, and of those that begin as its copy."""
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return TEXT | ids | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.eos_token_id}


class ClipLesson:
    name = "clip"
    steps = 2600
    average = None
    learning_rate = 1e-3
    pictures = 64

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        self.tokenizer = tokenizer

    def model(self) -> nn.Module:
        import torch
        from transformers import CLIPConfig, CLIPModel

        torch.manual_seed(0)
        model = CLIPModel(
            CLIPConfig(vision_config=VISION, text_config=text_config(self.tokenizer), projection_dim=WIDTH)
        )
        # Heads for the dense truth: part of the teaching, not of the published model.
        wide = {name: len(values) for name, values in (sight.PATCH_QUESTIONS | sight.PICTURE_QUESTIONS).items()}
        wide |= {f"whole_{name}": len(values) for name, values in sight.PATCH_QUESTIONS.items()} | {"shown": 2}
        model.heads = torch.nn.ModuleDict({name: torch.nn.Linear(WIDTH, width) for name, width in wide.items()})
        return model

    def batch(self, step: int) -> dict[str, Any]:
        scenes, texts = self.scenes(step), []
        draw = random.Random(f"clip-{step}")
        for scene in scenes:
            texts.append(captions.caption(scene) if draw.random() < 0.3 else captions.varied(scene, draw))
        tokens = self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        return {
            "pixel_values": sight.pixels(scenes),
            "input_ids": tokens["input_ids"],
            "attention_mask": tokens["attention_mask"],
            **sight.answers(scenes),
        }

    def scenes(self, step: int) -> list[world.Scene]:
        """Half of them come in pairs that differ in one attribute: a caption must say it all to be told apart."""
        first = world.SEEDS["train"].start + step * self.pictures
        draw = random.Random(first)
        made: list[world.Scene] = []
        for seed in range(first, first + self.pictures):
            if made and seed % 4 == 0 and len(made[-1].things) == 1 and made[-1].defect == "none":
                name = draw.choice(list(world.ATTRIBUTES))
                last = made[-1]
                look = {attribute: last.value(attribute) for attribute in (*world.ATTRIBUTES, "style")}
                look[name] = world.other(draw, world.ATTRIBUTES[name], look[name])
                made.append(world.scene(seed, **look))
            else:
                clean = draw.random() < 0.7
                defects = ("none",) if clean else world.DEFECTS[1:]
                made.append(world.scene(seed, things=(1, 1, 2, 3), defects=defects))
        return made

    def loss(self, model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        import torch
        from torch.nn.functional import cross_entropy, normalize

        seen = model.vision_model(batch["pixel_values"])
        read = model.text_model(batch["input_ids"], batch["attention_mask"])
        images = normalize(model.visual_projection(seen.pooler_output), dim=-1)
        texts = normalize(model.text_projection(read.pooler_output), dim=-1)
        logits = images @ texts.T * model.logit_scale.exp().clamp(max=100.0)
        right = torch.arange(len(logits), device=logits.device)
        contrast = (cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2
        # Shapes are what a patch of 8 pixels cannot tell alone, and a caption can be told from 63 others without: they
        # are asked of the patches that show something, and of the picture where there is one thing.
        patches, whole = seen.last_hidden_state[:, 1:], seen.pooler_output
        shown, single = batch["shape"] < len(world.SHAPES), batch["count"] == 0
        dense = cross_entropy(model.heads["shown"](patches).flatten(0, 1), shown.long().flatten())
        for name, weight in (("shape", 1.5), ("pattern", 0.5), ("colour", 0.3)):
            dense = dense + weight * cross_entropy(model.heads[name](patches[shown]), batch[name][shown])
            first = batch[name].min(dim=1).values[single]  # "nothing" is the highest number
            dense = dense + weight * cross_entropy(model.heads[f"whole_{name}"](whole[single]), first)
        for name in sight.PICTURE_QUESTIONS:
            dense = dense + 0.2 * cross_entropy(model.heads[name](whole), batch[name])
        matched = (logits.argmax(1) == right).float().mean().item()
        told = model.heads["whole_shape"](whole[single]).argmax(-1) == batch["shape"].min(dim=1).values[single]
        shapes = told.float().mean().item()
        figures = {"contrast": contrast.item(), "dense": dense.item(), "matched": matched, "shapes": shapes}
        return contrast + dense, figures
