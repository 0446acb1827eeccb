"""ViLT chooses a label for a picture and a question, which it reads in one sequence: nothing of it could be shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tamis import models
from tamis.vqa.asked import Picture, cut, where

if TYPE_CHECKING:
    import torch


class ViltAnswers:
    def __init__(self, repo: str, revision: str) -> None:
        from transformers import AutoTokenizer, ViltForQuestionAnswering

        at = where(repo, revision)
        self.tokenizer = AutoTokenizer.from_pretrained(repo, **at)
        self.model = ViltForQuestionAnswering.from_pretrained(repo, use_safetensors=True, dtype=models.dtype(), **at)
        self.model.to(models.device()).eval()
        # In training ViLT may see a draw of a picture's patches; an answer must not depend on one.
        self.model.config.max_image_length = -1
        self.longest = self.model.config.max_position_embeddings

    def answer(self, pictures: Sequence[Picture], questions: Sequence[str]) -> list[str]:
        import torch

        pixels, mask = _padded([pixels for _, pixels in pictures])
        read = cut(self.tokenizer, questions, self.longest - self.tokenizer.num_special_tokens_to_add())
        tokens = self.tokenizer(
            read,
            padding=True,
            truncation=True,
            max_length=self.longest,
            return_tensors="pt",
            return_token_type_ids=True,
        )
        device = models.device()
        # It draws the order in which it reads patches: for nothing, each brings its place along.
        with torch.inference_mode(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(0)
            logits = self.model(
                **tokens.to(device), pixel_values=pixels.to(device, self.model.dtype), pixel_mask=mask.to(device)
            ).logits
        return [self.model.config.id2label[label] for label in logits.argmax(dim=-1).tolist()]


def _padded(pictures: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of several sizes in one batch, and where there is one."""
    import torch

    height, width = (max(picture.shape[side] for picture in pictures) for side in (1, 2))
    pixels = torch.zeros(len(pictures), pictures[0].shape[0], height, width)
    mask = torch.zeros(len(pictures), height, width, dtype=torch.long)
    for row, picture in enumerate(pictures):
        pixels[row, :, : picture.shape[1], : picture.shape[2]] = picture
        mask[row, : picture.shape[1], : picture.shape[2]] = 1
    return pixels, mask
