"""BLIP and BLIP-2 as retrieval models: how well a text fits its image, by cosine and by a head that sees both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis import models
from tamis.images import decode_image
from tamis.sources import pin
from tamis.texts import text
from tamis.vqa.asked import pixels_for, where

if TYPE_CHECKING:
    import torch
    from datasets import Features

LONGEST_TEXT = 8192  # characters; the 512 tokens that these models read seldom reach further
FEWEST_TOKENS = 3  # [CLS], a word, [SEP]


@dataclass(frozen=True)
class BlipRetrieval:
    """Columns (float32), from one pass of the image tower; higher is better:

    - NAME_cosine (-1..1): the cosine of image and text (ITC), raw; of BLIP-2 that of the query which fits best.
    - NAME_match (0..1): the probability that they belong together (ITM), by a head that reads the text while it looks.

    Of a text the first tokens are read, as many as the model has places for (512 of the published ones, with the two at
    the ends) or text_tokens says: the rest of a long conversation counts for nothing. None where the image or the text
    cannot be read.
    """

    name: Annotated[str, "begins the names of its columns"] = "blip_retrieval"
    model: Annotated[str, "BLIP or BLIP-2 with an ITM head (Salesforce/blip2-itm-vit-g), or a folder"] = (
        "Salesforce/blip-itm-base-coco"
    )
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    image_column: Annotated[str, "the image"] = "image"
    text_column: Annotated[str, "the text compared with the image"] = "text"
    text_tokens: Annotated[int | None, "tokens of a text that are read; null: as many as the model can"] = None
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    def __post_init__(self) -> None:
        if self.text_tokens is not None and self.text_tokens < FEWEST_TOKENS:
            raise ValueError(f"text_tokens: {self.text_tokens} is not accepted; expected {FEWEST_TOKENS} or more")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column, self.text_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_{what}": Value("float32") for what in ("cosine", "match")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ((self.model, self.revision),)

    @property
    def bucket_by(self) -> str | None:
        return self.text_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        told = text(row[self.text_column], longest=LONGEST_TEXT)
        return {"pixels": pixels_for(self.model, self.revision)(decode_image(row[self.image_column])), "text": told}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        import torch

        with torch.inference_mode():
            cosines, matches = self._held().compared(batch["pixels"], batch["text"], self.text_tokens)
        return {f"{self.name}_cosine": cosines.tolist(), f"{self.name}_match": matches.tolist()}

    def _held(self) -> _Retrieval:
        revision = pin(self.model, "model", self.revision).revision
        return models.hold(("blip retrieval", self.model, revision), lambda: _Retrieval(self.model, revision))


class _Retrieval:
    """The model and its tokenizer, on the device."""

    def __init__(self, repo: str, revision: str) -> None:
        from transformers import AutoConfig, AutoTokenizer, Blip2ForImageTextRetrieval, BlipForImageTextRetrieval

        at = where(repo, revision)
        config = AutoConfig.from_pretrained(repo, **at)
        families = {
            "blip": (BlipForImageTextRetrieval, "text_config", self._by_blip),
            "blip-2": (Blip2ForImageTextRetrieval, "qformer_config", self._by_blip2),
        }
        if config.model_type not in families:
            raise ValueError(
                f"blip_retrieval: {repo!r} is a {config.model_type} model; expected one of {', '.join(families)}"
            )
        kind, reader, self._compared = families[config.model_type]
        self.longest = getattr(config, reader).max_position_embeddings
        self.model, told = kind.from_pretrained(
            repo, use_safetensors=True, dtype=models.dtype(), output_loading_info=True, **at
        )
        if untrained := sorted(name for name in told["missing_keys"] if "position_ids" not in name):
            raise ValueError(
                f"blip_retrieval: {repo!r} has no weights for {untrained[0]} and {len(untrained) - 1} others; expected "
                "one that was trained for retrieval"
            )
        self.model.to(models.device()).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(repo, **at)

    def compared(
        self, pixels: list[torch.Tensor], texts: list[str], tokens: int | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines, and probabilities that they belong together."""
        import torch

        shown = torch.stack(pixels).to(models.device(), self.model.dtype)
        read = self.tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=min(tokens or self.longest, self.longest),
            split_special_tokens=True,  # a text that spells a control token spells it
            return_token_type_ids=False,
            return_tensors="pt",
        ).to(models.device())
        cosines, logits = self._compared(shown, read["input_ids"], read["attention_mask"])
        return cosines.clamp(-1.0, 1.0), logits.float().softmax(-1)[:, 1]

    def _by_blip(self, shown: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        model = self.model
        image = model.vision_model(shown).last_hidden_state
        alone = model.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
        both = model.text_encoder(input_ids=ids, attention_mask=mask, encoder_hidden_states=image).last_hidden_state
        cosines = _unit(model.vision_proj(image[:, 0])) * _unit(model.text_proj(alone))
        return cosines.sum(dim=-1), model.itm_head(both[:, 0])

    def _by_blip2(
        self, shown: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        model = self.model
        image = model.vision_model(shown).last_hidden_state
        queries = model.query_tokens.expand(len(image), -1, -1)
        looked = model.qformer(query_embeds=queries, encoder_hidden_states=image).last_hidden_state
        alone = model.qformer(query_embeds=model.embeddings(ids), query_length=0, attention_mask=mask)
        both = model.qformer(
            query_embeds=model.embeddings(ids, query_embeds=queries),
            query_length=queries.shape[1],
            attention_mask=torch.cat((mask.new_ones(queries.shape[:2]), mask), dim=1),
            encoder_hidden_states=image,
        )
        # The Q-Former stays in float32 beside halved heads.
        kind = model.itm_head.weight.dtype
        seen = _unit(model.vision_projection(looked.to(kind)))
        said = _unit(model.text_projection(alone.last_hidden_state[:, 0].to(kind)))
        cosines = (seen * said[:, None]).sum(dim=-1).amax(dim=1)
        return cosines, model.itm_head(both.last_hidden_state[:, : queries.shape[1]].to(kind)).mean(dim=1)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.nn.functional.normalize(vectors.float(), dim=-1)
