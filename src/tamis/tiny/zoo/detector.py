"""tiny/detector: OWL-ViT, asked in words; its towers begin as tiny/clip's."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tamis.tiny import world
from tamis.tiny.render import extent
from tamis.tiny.zoo import sight
from tamis.tiny.zoo.clip import VISION, WIDTH, text_config

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import CLIPTokenizer

QUERY_FORMS = ("{}", "a {}", "a photo of a {}", "a picture of a {}")


class DetectorLesson:
    name = "detector"
    steps = 2200
    average = None
    learning_rate = 6e-4
    pictures = 32
    coloured = 6  # queries a batch that name a colour besides every shape's own

    def __init__(self, tokenizer: CLIPTokenizer, clip: Any | None) -> None:
        self.tokenizer, self.clip = tokenizer, clip

    def model(self) -> nn.Module:
        import torch
        from transformers import OwlViTConfig, OwlViTForObjectDetection

        torch.manual_seed(0)
        model = OwlViTForObjectDetection(
            OwlViTConfig(
                vision_config=VISION | {"hidden_act": "quick_gelu"},
                text_config=text_config(self.tokenizer) | {"hidden_act": "quick_gelu"},
                projection_dim=WIDTH,
            )
        )
        if self.clip is not None:
            _copy_towers(self.clip, model.owlvit)
        _begin_modestly(model)
        return model

    def batch(self, step: int) -> dict[str, Any]:
        import torch

        draw = random.Random(f"detector-{step}")
        first = world.SEEDS["train"].start + 5_000_000 + step * self.pictures
        scenes = []
        for seed in range(first, first + self.pictures):
            defects = ("none",) if draw.random() < 0.75 else world.DEFECTS[1:]
            scenes.append(world.scene(seed, things=(1, 1, 2, 3), defects=defects))
        queries: list[dict[str, str]] = [{"shape": shape} for shape in world.SHAPES]
        for _ in range(self.coloured):
            thing = draw.choice(draw.choice(scenes).things)
            queries.append({"shape": thing.shape, "colour": thing.colour})
        texts = [draw.choice(QUERY_FORMS).format(" ".join(reversed(query.values()))) for query in queries]
        tokens = self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        wanted, boxes, weights = zip(*(_targets(scene, queries) for scene in scenes), strict=True)
        return {
            "pixel_values": sight.pixels(scenes),
            "input_ids": tokens["input_ids"],
            "attention_mask": tokens["attention_mask"],
            "wanted": torch.tensor(wanted),
            "boxes": torch.tensor(boxes),
            "weights": torch.tensor(weights),
        }

    def loss(self, model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits
        from transformers.loss.loss_for_object_detection import generalized_box_iou

        # As OwlViTForObjectDetection.forward, but that the queries are read once for all pictures.
        read = model.owlvit.text_model(batch["input_ids"], batch["attention_mask"]).pooler_output
        queries = torch.nn.functional.normalize(model.owlvit.text_projection(read), dim=-1)
        features, _ = model.image_embedder(batch["pixel_values"])
        patches = features.flatten(1, 2)
        logits, _ = model.class_predictor(patches, queries.expand(len(patches), *queries.shape))
        found = model.box_predictor(patches, features)
        wanted, boxes, weights = batch["wanted"], batch["boxes"], batch["weights"]
        sure = logits.sigmoid()
        plain = binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        # Focal: the many empty patches are soon easy and then count for little.
        focal = plain * (sure - wanted).abs().square() * (0.3 + 0.4 * wanted)
        positives = weights.sum().clamp(min=1.0)
        own, target = found[weights > 0], boxes[weights > 0]
        overlap = generalized_box_iou(_corners(own), _corners(target)).diagonal()
        loss = focal.sum() / positives + 4 * (own - target).abs().mean() + 2 * (1 - overlap).mean()
        shapes = slice(len(world.SHAPES))  # the first queries
        named = logits[weights > 0][:, shapes].argmax(-1) == wanted[weights > 0][:, shapes].argmax(-1)
        return loss, {"overlap": overlap.mean().item(), "named": named.float().mean().item()}


def _begin_modestly(model: Any) -> None:
    """The library draws the heads' weights with a deviation of 1, from which nothing is learnt in minutes."""
    import torch

    for head in (model.class_head, model.box_head):
        for part in head.modules():
            if isinstance(part, torch.nn.Linear):
                torch.nn.init.xavier_uniform_(part.weight)
                torch.nn.init.zeros_(part.bias)
    torch.nn.init.zeros_(model.box_head.dense2.weight)  # boxes begin a patch wide, where the patch is
    for part, begins in ((model.class_head.logit_shift, -0.5), (model.class_head.logit_scale, 9.0)):
        torch.nn.init.zeros_(part.weight)
        torch.nn.init.constant_(part.bias, begins)  # cosines of -1..1 times ten, most answers being no


def _copy_towers(clip: Any, owlvit: Any) -> None:
    vision = {
        name.replace("pre_layrnorm", "pre_layernorm"): value for name, value in clip.vision_model.state_dict().items()
    }
    owlvit.vision_model.load_state_dict(vision)
    owlvit.text_model.load_state_dict(clip.text_model.state_dict())
    owlvit.text_projection.load_state_dict(clip.text_projection.state_dict())


def _answers(thing: world.Thing, query: dict[str, str]) -> bool:
    return all(getattr(thing, name) == value for name, value in query.items())


def _targets(scene: world.Scene, queries: list[dict[str, str]]) -> tuple[list, list, list]:
    """Per patch: which queries its thing answers to, that thing's box, and whether it is to speak for it."""
    wanted, boxes, weights = [], [], []
    found = [(thing, extent(thing)) for thing in scene.things]
    for row in range(sight.SIDE_PATCHES):
        for column in range(sight.SIDE_PATCHES):
            x, y = (column + 0.5) * sight.PATCH, (row + 0.5) * sight.PATCH
            owner = None
            for thing, box in found:
                centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
                reach = max(0.5 * sight.PATCH + 0.01, 0.3 * (box[2] - box[0]))  # at least the patch of the centre
                if abs(x - centre[0]) <= reach and abs(y - centre[1]) <= reach:
                    owner = (thing, box)
            if owner is None:
                wanted.append([0.0] * len(queries))
                boxes.append([0.5, 0.5, 1.0, 1.0])
                weights.append(0.0)
                continue
            thing, (left, top, right, bottom) = owner
            wanted.append([float(_answers(thing, query)) for query in queries])
            box = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
            boxes.append([part / world.SIDE for part in box])
            weights.append(1.0)
    return wanted, boxes, weights


def _corners(boxes: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2), dim=1)
