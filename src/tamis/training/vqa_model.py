"""BLIP for questions as training sees it: pixels to features, features and questions to the loss of each answer."""

from __future__ import annotations

import resource
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from tamis import models
from tamis.config import ConfigError
from tamis.training.cross_masks import mind_masks
from tamis.training.diffusion_models import training_dtype
from tamis.vqa.image_processor import image_processor

if TYPE_CHECKING:
    from PIL import Image
    from transformers import BlipForQuestionAnswering

NOT_ASKED = -100  # a label that no loss is taken of


class VqaModel:
    """The model, frozen; what a LoRA adds to it is the caller's. Its eyes drop nothing out: they look once."""

    def __init__(
        self, blip: BlipForQuestionAnswering, tokenizer: Any, image_processor: Any, *, dtype: torch.dtype
    ) -> None:
        self.blip = blip
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.device = blip.device
        self.dtype = dtype
        mind_masks(blip)
        blip.requires_grad_(False)
        blip.eval()

    @property
    def start(self) -> int:
        """What an answer begins with, as in generate()."""
        return self.blip.decoder_start_token_id

    @cached_property
    def features_shape(self) -> tuple[int, int]:
        vision = self.blip.config.vision_config
        return (vision.image_size // vision.patch_size) ** 2 + 1, vision.hidden_size

    def pixels(self, image: Image.Image) -> torch.Tensor:
        return self.image_processor(images=image, return_tensors="pt")["pixel_values"][0]

    @torch.no_grad()
    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """(images, patches, width), in the dtype that the text towers compute with: their first layers would round to
        it anyway."""
        with self.mixed():
            seen = self.blip.vision_model(pixel_values=pixels.to(self.device)).last_hidden_state
        return seen.to(self.dtype)

    def losses(self, seen: torch.Tensor, questions: list[list[int]], answers: list[list[int]]) -> torch.Tensor:
        """For each row the mean over its answer's tokens: what BlipForQuestionAnswering.forward gives for it alone.

        That method itself takes no padded answers: it feeds the labels to the decoder, -100 and all, tells the decoder
        nothing of padding, and means over all tokens of a batch, so that longer answers weigh more.
        """
        pad = self.blip.decoder_pad_token_id
        asked, asked_mask = self._padded(questions, pad)
        written, written_mask = self._padded(answers, pad)
        with self.mixed():
            read = self.blip.text_encoder(
                input_ids=asked,
                attention_mask=asked_mask,
                encoder_hidden_states=seen,  # all of it: no mask
            ).last_hidden_state
            output = self.blip.text_decoder(
                input_ids=written,
                attention_mask=written_mask,
                encoder_hidden_states=read,
                encoder_attention_mask=asked_mask,
                labels=written.masked_fill(written_mask == 0, NOT_ASKED),  # moved by one inside
                reduction="none",  # a sum for each row
            )
        return output.loss.float() / (written_mask.sum(1) - 1)

    def _padded(self, texts: list[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(map(len, texts))
        ids = torch.tensor([text + [pad] * (longest - len(text)) for text in texts])
        mask = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts])
        return ids.to(self.device), mask.to(self.device)

    def mixed(self) -> AbstractContextManager:
        """Around forward passes: weights that are trained stay float32, what is computed with them is the model's."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)


def forget_peak(device: torch.device) -> None:
    """What comes is to have a peak of its own, which what went before it cannot raise."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int:
    """Of the card, since it was last forgotten; without one, of this process since it began: the resident pages of all
    that it ever held at once, which no one can reset, so that a later adapter's is never below an earlier one's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def load(base_model: str, revision: str, *, in_8bit: bool = False) -> VqaModel:
    """in_8bit: bitsandbytes' Linear8bitLt for every linear layer, the vision tower's among them, but the output layer,
    which is tied to the embeddings: what transformers does. The report's rule, more than 256 outputs, says the same
    of blip-vqa-base."""
    from transformers import (
        AutoConfig,
        AutoTokenizer,
        BitsAndBytesConfig,
        BlipForQuestionAnswering,
    )

    models.release()
    kind = AutoConfig.from_pretrained(base_model, revision=revision).model_type
    if kind != "blip":
        raise ConfigError(f"base_model: {base_model} is a {kind} model; expected a BlipForQuestionAnswering")
    options: dict[str, Any] = {"revision": revision, "use_safetensors": True, "dtype": training_dtype()}
    if in_8bit:
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=6.0)
    blip, found = BlipForQuestionAnswering.from_pretrained(
        base_model, device_map={"": models.device()}, output_loading_info=True, **options
    )
    if found["missing_keys"]:
        raise ConfigError(
            f"base_model: {base_model} is no BlipForQuestionAnswering: it lacks {len(found['missing_keys'])} weights, "
            f"{min(found['missing_keys'])} among them"
        )
    return VqaModel(
        blip,
        AutoTokenizer.from_pretrained(base_model, revision=revision),
        image_processor(base_model, revision),
        dtype=training_dtype(),
    )
