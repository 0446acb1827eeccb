"""BLIP-2 and Florence-2 write an answer after a picture's vectors and a prompt. The vectors are made once a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tamis import models
from tamis.vqa.asked import Picture, Seen, cut, filled, first_line, where

if TYPE_CHECKING:
    import torch

CLASSES = {"blip-2": "Blip2ForConditionalGeneration", "florence2": "Florence2ForConditionalGeneration"}


class GeneratedAnswers:
    def __init__(self, repo: str, revision: str) -> None:
        import transformers

        at = where(repo, revision)
        config = transformers.AutoConfig.from_pretrained(repo, **at)
        if config.model_type not in CLASSES:
            raise ValueError(f"{repo!r} is a {config.model_type} model; expected one of {', '.join(CLASSES)}")
        loads = getattr(transformers, CLASSES[config.model_type])
        self.model = loads.from_pretrained(repo, use_safetensors=True, dtype=models.dtype(), **at)
        self.model.to(models.device()).eval()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(repo, **at)
        # BLIP-2's own generate() encodes the picture anew at every call; the model it writes with does not.
        self.writer = self.model if config.model_type == "florence2" else self.model.language_model
        self.reads_first = self.writer.config.is_encoder_decoder
        self.seen = Seen()

    def answer(
        self,
        pictures: Sequence[Picture],
        questions: Sequence[str],
        *,
        prompt: str,
        question_tokens: int,
        answer_tokens: int,
    ) -> list[str]:
        import torch

        with torch.inference_mode():
            seen, rows = self.seen.of(pictures, self._looked)
            read = [filled(prompt, question=one) for one in cut(self.tokenizer, questions, question_tokens)]
            # A row's text is text: it can neither show a picture nor end the prompt.
            texts = self.tokenizer(read, split_special_tokens=True)["input_ids"]
            embedded, mask = self._prompts(seen[rows], texts)
            given = {"inputs_embeds": embedded}
            if self.reads_first:  # Florence-2's generate() takes no vectors, and what its encoder made of them it does
                given = {"encoder_outputs": self.writer.get_encoder()(inputs_embeds=embedded, attention_mask=mask)}
            written = self.writer.generate(
                **given,
                attention_mask=mask,
                max_new_tokens=answer_tokens,
                do_sample=False,
                num_beams=1,
            )
        return [first_line(answer) for answer in self.tokenizer.batch_decode(written, skip_special_tokens=True)]

    def _looked(self, pixels: list[torch.Tensor]) -> torch.Tensor:
        import torch

        shown = torch.stack(pixels).to(models.device(), self.model.dtype)
        return self.model.get_image_features(shown, return_dict=True).pooler_output

    def _prompts(self, seen: torch.Tensor, texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Each picture's vectors and its prompt's, filled up to one length: (row, place, width), and what is real."""
        import torch

        embed = self.model.get_input_embeddings()
        rows = []
        for vectors, ids in zip(seen, texts, strict=True):
            told = embed(torch.tensor(ids, device=seen.device))
            rows.append(torch.cat((vectors.to(told.dtype), told)))
        side = "right" if self.reads_first else "left"  # what is written goes on where the prompt ends
        pad = torch.nn.utils.rnn.pad_sequence
        masks = [torch.ones(len(row), dtype=torch.long, device=row.device) for row in rows]
        return tuple(pad(some, batch_first=True, padding_side=side) for some in (rows, masks))
