"""CLIP and SigLIP answer by ranking: which answer of a vocabulary, told with its question, fits the picture best?"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tamis.vqa.asked import Picture, Seen, cut, filled

if TYPE_CHECKING:
    import torch

    from tamis.scorers.clip import Towers

TEXTS_AT_ONCE = 256
REMEMBERED = 256_000_000  # bytes of texts' embeddings: the oldest question's go first


class VocabularyAnswers:
    """Pictures are embedded once, the vocabulary once for each question that differs."""

    def __init__(self, towers: Towers, vocabulary: Sequence[str], template: str) -> None:
        self.towers, self.vocabulary, self.template = towers, list(vocabulary), template
        self.seen = Seen()
        self.told: OrderedDict[str, torch.Tensor] = OrderedDict()
        around = [filled(template, question="", answer=answer) for answer in self.vocabulary]
        longest = max(map(len, towers.tokenizer(around)["input_ids"]))
        self.left = towers.longest - longest  # tokens for the question: the answer stands behind it, and must be read
        if self.left < 1:
            raise ValueError(f"vocabulary: its longest answer leaves no room in {towers.longest} tokens for a question")

    def answer(self, pictures: Sequence[Picture], questions: Sequence[str]) -> list[str]:
        import torch

        with torch.inference_mode():
            seen, rows = self.seen.of(pictures, self.towers.images)
            told = cut(self.towers.tokenizer, questions, self.left)
            return [
                self.vocabulary[int((self._texts(question) @ seen[row]).argmax())]
                for question, row in zip(told, rows, strict=True)
            ]

    def _texts(self, question: str) -> torch.Tensor:
        import torch

        question = question if "{question}" in self.template else ""
        if question not in self.told:
            texts = [filled(self.template, question=question, answer=answer) for answer in self.vocabulary]
            parts = [texts[first : first + TEXTS_AT_ONCE] for first in range(0, len(texts), TEXTS_AT_ONCE)]
            self.told[question] = torch.cat([self.towers.texts(part) for part in parts])
        self.told.move_to_end(question)
        size = self.told[question].nbytes
        while len(self.told) > max(1, REMEMBERED // size):
            self.told.popitem(last=False)
        return self.told[question]
