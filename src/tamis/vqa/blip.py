"""BLIP answers in a word. Questions on one picture share its encoding; adapters share it too: none is of its eyes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.training.cross_masks import mind_masks
from tamis.training.vqa_prompts import question_ids
from tamis.vqa.asked import Picture, Seen, tell_cut, where

if TYPE_CHECKING:
    import torch

TOGETHER = 16  # questions in one row of the question encoder: their attention grows with the square of their length


class BlipAnswers:
    """A BlipForQuestionAnswering with the adapters that it is to answer with."""

    def __init__(self, repo: str, revision: str, adapters: Sequence[str] = (), *, quantization: str | None = None):
        from transformers import AutoTokenizer, BlipForQuestionAnswering

        at = where(repo, revision)
        self.tokenizer = AutoTokenizer.from_pretrained(repo, **at)
        self.model = BlipForQuestionAnswering.from_pretrained(
            repo, use_safetensors=True, dtype=models.dtype(), **quantized(quantization), **at
        )
        if quantization is None:
            self.model.to(models.device())
        self.model.eval()
        mind_masks(self.model)
        self.dressed: Any = None
        # Numbered: a folder's name may hold what the name of a module may not.
        self.worn = {folder: f"adapter{number}" for number, folder in enumerate(dict.fromkeys(filter(None, adapters)))}
        for folder in self.worn:
            self._take(folder)
        self.seen = Seen()

    def answer(
        self,
        pictures: Sequence[Picture],
        questions: Sequence[str],
        *,
        adapters: Sequence[str] = ("",),
        prefix: str = "",
        question_tokens: int = 32,
        answer_tokens: int = 5,
    ) -> list[list[str]]:
        """For each adapter (empty: the model alone) the answers, one a question. pictures: what tells one from another,
        and its pixels, one a question."""
        import torch

        with torch.inference_mode():
            seen, rows = self.seen.of(pictures, self._looked)
            asked = question_ids(self.tokenizer, list(questions), prefix=prefix, longest=question_tokens)
            tell_cut(any(was_cut for _, was_cut in asked), question_tokens)
            packed = _Packed([ids for ids, _ in asked], rows, pad=self.tokenizer.pad_token_id, device=models.device())
            told = []
            for folder in adapters:
                with self._wearing(folder):
                    told.append(self._told(packed, seen, answer_tokens))
        return told

    def _looked(self, pixels: list[torch.Tensor]) -> torch.Tensor:
        import torch

        shown = torch.stack(pixels).to(models.device(), self.model.dtype)
        return self.model.vision_model(shown).last_hidden_state

    def _told(self, packed: _Packed, seen: torch.Tensor, answer_tokens: int) -> list[str]:
        import torch

        text = self.model.config.text_config
        read = self.model.text_encoder(
            input_ids=packed.ids,
            attention_mask=packed.mask(self.model.dtype),
            position_ids=packed.places,
            encoder_hidden_states=seen[packed.pictures],
        ).last_hidden_state
        understood, mask = packed.apart(read)
        begun = torch.full((len(understood), 1), text.bos_token_id, device=understood.device)
        written = self.model.text_decoder.generate(
            input_ids=begun,
            encoder_hidden_states=understood,
            # The library's own generate() passes ones.
            encoder_attention_mask=mask,
            eos_token_id=text.sep_token_id,
            pad_token_id=text.pad_token_id,
            max_new_tokens=answer_tokens,
            do_sample=False,
            num_beams=1,
        )
        return [answer.strip() for answer in self.tokenizer.batch_decode(written, skip_special_tokens=True)]

    def _take(self, folder: str) -> None:
        from peft import PeftModel

        if self.dressed is None:
            self.dressed = PeftModel.from_pretrained(self.model, folder, adapter_name=self.worn[folder])
        else:
            self.dressed.load_adapter(folder, adapter_name=self.worn[folder])
        self.dressed.eval()

    @contextmanager
    def _wearing(self, folder: str) -> Iterator[None]:
        if self.dressed is None:
            yield
        elif not folder:
            with self.dressed.disable_adapter():
                yield
        else:
            self.dressed.set_adapter(self.worn[folder])
            yield


class _Packed:
    """Questions on one picture as one sequence, none of which sees another: what the cross-attention makes of the
    picture, its keys and values, is then made once for all of them."""

    def __init__(self, tokens: Sequence[Sequence[int]], pictures: Sequence[int], *, pad: int, device: torch.device):
        import torch

        rows: list[list[int]] = []  # questions of each row
        open_rows: dict[int, list[int]] = {}
        for question, picture in enumerate(pictures):
            row = open_rows.get(picture)
            if row is None or len(row) == TOGETHER:
                row = open_rows[picture] = []
                rows.append(row)
            row.append(question)
        self.pictures = torch.tensor([pictures[row[0]] for row in rows], device=device)
        length = max(sum(len(tokens[question]) for question in row) for row in rows)
        ids, places = torch.full((len(rows), length), pad), torch.zeros((len(rows), length), dtype=torch.long)
        whose = torch.full((len(rows), length), -1)
        longest = max(map(len, tokens))
        self.at = torch.zeros((len(tokens), longest), dtype=torch.long)  # where each token stands, over all rows
        self.real = torch.zeros((len(tokens), longest), dtype=torch.long)
        for number, row in enumerate(rows):
            start = 0
            for question in row:
                size = len(tokens[question])
                ids[number, start : start + size] = torch.tensor(tokens[question])
                places[number, start : start + size] = torch.arange(size)
                whose[number, start : start + size] = question
                self.at[question, :size] = number * length + start + torch.arange(size)
                self.real[question, :size] = 1
                start += size
        self.ids, self.places, self.whose = ids.to(device), places.to(device), whose.to(device)
        self.at, self.real = self.at.to(device), self.real.to(device)

    def mask(self, dtype: torch.dtype) -> torch.Tensor:
        """Added to the attention's scores."""
        import torch

        alike = self.whose[:, None, :, None] == self.whose[:, None, None, :]
        return torch.zeros(alike.shape, dtype=dtype, device=alike.device).masked_fill(~alike, torch.finfo(dtype).min)

    def apart(self, read: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A row a question again, and which of its places are real."""
        return read.flatten(0, 1)[self.at], self.real


def quantized(quantization: str | None) -> dict[str, Any]:
    """What from_pretrained is given: 8bit is bitsandbytes' Linear8bitLt, outliers from 6.0 kept in 16 bits."""
    if quantization is None:
        return {}
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=6.0)
    return {"quantization_config": config, "device_map": {"": models.device()}}
