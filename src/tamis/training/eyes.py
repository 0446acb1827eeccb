"""What a chat model sees in a picture, outside of its forward pass, and what its processor writes in its place.

Frozen eyes see the same in every epoch, iteration and adapter. Models that let in what was seen before
(mm_encoder_outputs) are given it again; where a picture is known, the processor only needs to know its image tokens.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from tamis.images import fitted
from tamis.training.pictures import side_by_side
from tamis.training.vision_cache import Seen

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tamis.training.pictures import Pictures

OF_TEXT = {"input_ids", "attention_mask"}
NOT_SEEN_BY = ("text_config", "transformers_version", "_name_or_path", "architectures", "quantization_config")


class NoDoor(Exception):
    """Why a model's eyes cannot be taken out of its forward pass."""


class StandIn(Image.Image):
    """In the place of a picture whose image tokens are known: no processor looks at it."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.written = written


class Eyes:
    """Vision tower and projector of a model, frozen. One picture at a time: what is seen in it does not depend on
    what else is in a batch."""

    def __init__(self, model: PreTrainedModel, processor: Any, pictures: Pictures, max_pixels: int) -> None:
        self.backbone = model.base_model
        self.processor = processor
        self.pictures = pictures
        self.max_pixels = max_pixels
        self._known: dict[str, str] = {}  # what is written in the place of pictures that were looked at
        self.dtype = model.dtype
        self._written = _listen(processor)
        if "mm_encoder_outputs" not in inspect.signature(self.backbone.forward).parameters:
            raise NoDoor(f"{type(model).__name__} takes no pictures that were seen before")
        self._taken = inspect.signature(self.backbone.get_image_features).parameters
        decoder = model.get_decoder()
        self._own = {name: part for name, part in self.backbone.named_children() if decoder not in set(part.modules())}

    def identity(self) -> dict[str, Any]:
        """What decides what is seen in a picture, by content: of a model in another folder it may be the same."""
        digest = hashlib.sha256()
        weights = self.backbone.state_dict()
        own = {name.partition(".")[0] for name in weights} - {
            name for name, _ in self.backbone.named_children() if name not in self._own
        }
        for name, weight in sorted(weights.items()):
            if name.partition(".")[0] in own:
                digest.update(f"{name}\0{weight.dtype}\0{tuple(weight.shape)}\0".encode())
                digest.update(weight.cpu().contiguous().view(-1).view(torch.uint8).numpy())
        config = self.backbone.config.to_dict()
        return {
            "weights": digest.hexdigest(),
            "config": {name: value for name, value in config.items() if name not in NOT_SEEN_BY},
            "class": type(self.backbone).__name__,
            "processor": [type(self.processor).__name__, self.processor.image_processor.to_dict()],
            "max_pixels": self.max_pixels,
            "dtype": str(self.dtype),
            "device": self.backbone.device.type,
        }

    def seen(self, digests: list[str]) -> list[Seen]:
        shown = side_by_side(self._shown, digests)
        return [Seen(self._look(inputs), written) for inputs, written in shown]

    def written(self, digest: str) -> str:
        """In the place of a picture: its image tokens and what stands around them."""
        return self._known.get(digest) or self._shown(digest)[1]

    def outputs(self, features: list[torch.Tensor]) -> dict[str, Any]:
        """As the model's forward() takes them."""
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        there = [one.to(self.backbone.device, non_blocking=True) for one in features]
        return {"image": BaseModelOutputWithPooling(pooler_output=there)}

    def _shown(self, digest: str) -> tuple[dict[str, torch.Tensor], str]:
        from trl.data_utils import prepare_multimodal_messages

        picture = fitted(self.pictures.decoded(digest), self.max_pixels)
        asked = prepare_multimodal_messages([{"role": "user", "content": "a"}], images=[picture])
        text = self.processor.apply_chat_template(asked, tokenize=False)
        self._written.last = None
        inputs = self.processor(images=[[picture]], text=[text], return_tensors="pt", add_special_tokens=False)
        inputs = {name: value for name, value in inputs.items() if name not in OF_TEXT}
        if self._written.last is None or len(self._written.last) != 1 or not inputs.keys() <= self._taken.keys():
            raise NoDoor(f"{type(self.processor).__name__} tells more of a picture than image tokens and pixels")
        written = self._known[digest] = sys.intern(self._written.last[0])
        return inputs, written

    @torch.no_grad()
    def _look(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        for part in self._own.values():
            part.eval()
        where = self.backbone.device
        with mixed(where, self.dtype):
            found = self.backbone.get_image_features(
                **{name: value.to(where) for name, value in inputs.items()}, return_dict=True
            )
        features = found.pooler_output
        if not isinstance(features, list | tuple) or len(features) != 1:
            raise NoDoor(f"{type(self.backbone).__name__} does not tell what it sees picture by picture")
        return features[0].to(self.dtype)  # the model would round to it anyway


def mixed(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """As the trainer's forward passes are."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def _listen(processor: Any) -> threading.local:
    """Tells what the processor writes in the place of the pictures that a thread showed it last; and makes it write
    what is known in the place of stand-ins."""
    heard = threading.local()
    family = type(processor)

    def process(self: Any, images: Any, **settings: Any) -> tuple[Any, list[str]]:
        known = [image for some in images for image in (some if isinstance(some, list) else [some])]
        if all(isinstance(image, StandIn) for image in known):
            return {}, [image.written for image in known]
        found = family._process_images(self, images, **settings)
        heard.last = found[1]
        return found

    # A class of the same name: an attribute of the object would be written into its configuration.
    processor.__class__ = type(family.__name__, (family,), {"_process_images": process})
    return heard
