"""tiny/blip-vqa: BLIP answering in a word; its eyes are tiny/clip's."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tamis.tiny import questions, world
from tamis.tiny.zoo import sight
from tamis.tiny.zoo.clip import VISION, WIDTH

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import BertTokenizer

TEXT = {
    "hidden_size": WIDTH,
    "encoder_hidden_size": WIDTH,
    "intermediate_size": 3 * WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 48,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "label_smoothing": 0.0,
}


class AnsweringLesson:
    name = "blip-vqa"
    steps = 3600
    average = None
    learning_rate = 8e-4
    pictures, asked = 24, 6

    def __init__(self, tokenizer: BertTokenizer, clip: Any | None) -> None:
        self.tokenizer, self.clip = tokenizer, clip

    def model(self) -> nn.Module:
        import torch
        from transformers import BlipConfig, BlipForQuestionAnswering

        torch.manual_seed(0)
        # The decoder starts with [CLS] in training and so it does in generation.
        ids = {"pad_token_id": self.tokenizer.pad_token_id, "bos_token_id": self.tokenizer.cls_token_id}
        ids |= {"sep_token_id": self.tokenizer.sep_token_id, "eos_token_id": self.tokenizer.sep_token_id}
        model = BlipForQuestionAnswering(
            BlipConfig(
                vision_config=VISION | {"hidden_act": "quick_gelu"},
                text_config=TEXT | ids | {"vocab_size": len(self.tokenizer)},
                projection_dim=WIDTH,
            )
        )
        if self.clip is not None:
            scenes = [world.scene(seed, things=(1, 2, 3)) for seed in world.SEEDS["train"][:64]]
            _copy_eyes(self.clip.vision_model, model.vision_model, scenes)
        model.vision_model.requires_grad_(False)  # as in tiny/vlm: trained along, they lose the shapes they know
        return model

    def batch(self, step: int) -> dict[str, Any]:
        draw = random.Random(f"blip-{step}")
        first = world.SEEDS["train"].start + 6_000_000 + step * self.pictures
        scenes, asked = [], []
        for seed in range(first, first + self.pictures):
            defects = ("none",) if draw.random() < 0.75 else world.DEFECTS[1:]
            scenes.append(world.scene(seed, things=(1, 1, 2, 3), defects=defects))
            asked += [questions.ask(scenes[-1], draw) for _ in range(self.asked)]
        read = self.tokenizer([one.text for one in asked], padding=True, return_tensors="pt")
        answers = self.tokenizer([one.answer for one in asked], padding=True, return_tensors="pt")
        return {
            "pixel_values": sight.pixels(scenes),
            "input_ids": read["input_ids"],
            "attention_mask": read["attention_mask"],
            "answers": answers["input_ids"],
            "answers_mask": answers["attention_mask"],
        }

    def loss(self, model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        # As BlipForQuestionAnswering.forward, but that a picture is encoded once for all its questions.
        seen = model.vision_model(batch["pixel_values"]).last_hidden_state.repeat_interleave(self.asked, dim=0)
        read = model.text_encoder(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], encoder_hidden_states=seen
        ).last_hidden_state
        answers, mask = batch["answers"], batch["answers_mask"]
        labels = answers.masked_fill(mask == 0, -100)
        output = model.text_decoder(
            input_ids=answers,
            attention_mask=mask,
            encoder_hidden_states=read,
            encoder_attention_mask=batch["attention_mask"],
            labels=labels,
            reduction="mean",
        )
        first = (output.logits[:, 0].argmax(-1) == answers[:, 1]).float().mean().item()
        return output.loss, {"first_word": first}


def _copy_eyes(clip: Any, blip: Any, scenes: list[world.Scene]) -> None:
    """CLIP's tower in BLIP's names: queries, keys and values in one matrix.

    BLIP has no layer norm before its first layer, so CLIP's is folded into the embeddings: exactly but for the
    deviation of each patch, for which the mean over scenes stands. Left out, the tower would forget shapes.
    """
    import torch

    own = dict(clip.state_dict())
    with torch.no_grad():
        spread = clip.embeddings(sight.pixels(scenes)).std(dim=-1)
    scale, shift = own["pre_layrnorm.weight"], own["pre_layrnorm.bias"]

    def folded(weights: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
        """Columns are channels, the last axis: centred, divided, scaled."""
        return (weights - weights.mean(dim=-1, keepdim=True)) / deviation * scale

    patches = own["embeddings.patch_embedding.weight"]
    positions = own["embeddings.position_embedding.weight"]
    first, others = spread[:, 0].mean(), spread[:, 1:].mean()
    deviations = torch.full((len(positions), 1), others.item())
    deviations[0] = first
    copied = {
        "embeddings.class_embedding": folded(own["embeddings.class_embedding"], first).view(1, 1, -1),
        "embeddings.patch_embedding.weight": folded(patches.permute(1, 2, 3, 0), others).permute(3, 0, 1, 2),
        "embeddings.patch_embedding.bias": torch.zeros(len(patches)),
        "embeddings.position_embedding": (folded(positions, deviations) + shift)[None],
        "post_layernorm.weight": torch.ones_like(scale),  # CLIP's is for its summary alone, BLIP's for all patches
        "post_layernorm.bias": torch.zeros_like(shift),
    }
    for layer in range(VISION["num_hidden_layers"]):
        old, new = f"encoder.layers.{layer}.", f"encoder.layers.{layer}."
        for part in ("weight", "bias"):
            fused = [own[f"{old}self_attn.{name}_proj.{part}"] for name in "qkv"]
            copied[f"{new}self_attn.qkv.{part}"] = torch.cat(fused)
            copied[f"{new}self_attn.projection.{part}"] = own[f"{old}self_attn.out_proj.{part}"]
            for name in ("layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2"):
                copied[f"{new}{name}.{part}"] = own[f"{old}{name}.{part}"]
    blip.load_state_dict(copied)
