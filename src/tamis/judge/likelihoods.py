"""How likely a model is to go on in each of several ways: the image and the prompt are read once, all ways fork off.

Numbers are those of every whole sequence run by itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis.judge.asking import Ask
from tamis.judge.forward import at, forked, on, positions_of
from tamis.judge.prompts import Prompt, padded, parts, together, visible
from tamis.judge.writing import gone_on, inputs_of

if TYPE_CHECKING:
    import torch

    from tamis.judge.loading import Loaded

Endings = list[list[int]]


@dataclass(frozen=True, eq=False)
class Asked:
    """An ask and the tokens that may follow it."""

    inputs: dict[str, torch.Tensor]
    endings: Endings
    common: int  # how many first tokens they have in common; each has at least one of its own behind them

    def prompt(self, more: list[int]) -> Prompt:
        """What was asked, and these tokens behind it."""
        import torch

        inputs = {k: v for k, v in gone_on(self.inputs, more).items() if k != "attention_mask"}
        ids = inputs.pop("input_ids")
        beside = {name: value for name, value in inputs.items() if value.shape == ids.shape}
        seen = {name: value for name, value in inputs.items() if name not in beside}
        return Prompt(ids, beside, seen, torch.tensor([ids.shape[1]]), [])


def likelihoods(
    loaded: Loaded,
    asks: list[Ask],
    endings: Sequence[Sequence[str]],
    *,
    batch_size: int,
    tokens: int,
    max_pixels: int,
    first_tokens: bool = False,
    notes: Counter[str] | None = None,
) -> list[list[float]]:
    """For each ask the log-probability of each of its endings: the sum over the ending's tokens, behind what is begun.

    A text is cut into tokens in more ways than one; meant is the way in which the tokenizer cuts the ending by itself.
    first_tokens: that of each ending's first token alone; endings that begin alike are refused.
    Asks with beginnings of one length go together, at most batch_size of them, with no padding before anything. tokens:
    how many a forward pass may hold. notes: counts asks by how they were run, "shared" or the reason why not.
    """
    import torch
    from transformers.decision.modeling_utils import DecisionMixin

    if isinstance(loaded.model, DecisionMixin):
        raise ValueError(f"judge: {loaded.model.name_or_path!r} is a decision model: it decides, and writes nothing")
    if len(asks) != len(endings):
        raise ValueError(f"likelihoods: endings for {len(endings)} of {len(asks)} asks")
    asked = [_asked(loaded, ask, list(some), max_pixels, first_tokens) for ask, some in zip(asks, endings, strict=True)]
    found: dict[int, list[float]] = {}
    with torch.inference_mode():
        if loaded.whole is not None:
            found = _whole(loaded, asked, batch_size, tokens)
        else:
            alike: dict[tuple[Any, ...], list[tuple[Asked, Prompt]]] = defaultdict(list)
            for one in asked:
                begun = one.prompt(one.endings[0][: one.common])
                alike[begun.length, one.common, begun.seen_alike].append((one, begun))
            for (length, common, _), group in alike.items():
                size = max(1, min(batch_size, tokens // length))
                for first in range(0, len(group), size):
                    found |= _shared(loaded, group[first : first + size], length, common, tokens)
    if notes is not None:
        notes[loaded.whole or "shared"] += len(asks)
    return [found[id(one)] for one in asked]


def _asked(loaded: Loaded, ask: Ask, texts: list[str], max_pixels: int, first_tokens: bool) -> Asked:
    endings = [loaded.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True) for text in texts]
    if not endings or not all(endings):
        raise ValueError(f"likelihoods: {texts} is not accepted; expected texts of at least one token each")
    if first_tokens:
        endings = [ending[:1] for ending in endings]
        if len({ending[0] for ending in endings}) < len(endings):
            raise ValueError(f"likelihoods: {texts} is not accepted; to this tokenizer two of them begin alike")
    shortest = min(map(len, endings)) - 1
    common = next((at for at in range(shortest) if len({ending[at] for ending in endings}) > 1), shortest)
    return Asked(inputs_of(loaded, ask, max_pixels), endings, common)


def _shared(
    loaded: Loaded, group: list[tuple[Asked, Prompt]], length: int, common: int, tokens: int
) -> dict[int, list[float]]:
    """What all endings have in common once, then the rest of each from there."""
    import torch

    prompts = [prompt for _, prompt in group]
    rests = [[ending[common:] for ending in asked.endings] for asked, _ in group]
    positions = [
        positions_of(loaded, asked.prompt(asked.endings[0][:common] + max(own, key=len)))
        for (asked, _), own in zip(group, rests, strict=True)
    ]
    outputs = loaded.model(
        input_ids=torch.cat([prompt.ids for prompt in prompts]).to(loaded.device),
        attention_mask=visible([length] * len(group)).to(loaded.device),
        **on(loaded, together([prompt.beside for prompt in prompts], torch.cat)),
        **on(loaded, together([prompt.seen for prompt in prompts], torch.cat)),
        **at(loaded, [one[..., :length] for one in positions]),
        use_cache=True,
        logits_to_keep=common + 1,
    )
    sums: list[list[float]] = []
    for (asked, _), own, logits in zip(group, rests, outputs.logits, strict=True):
        start = _told(logits[:common], asked.endings[0][:common])
        sums.append([start + _told(logits[common:], rest[:1]) for rest in own])
    branches = [(row, place, rest) for row, own in enumerate(rests) for place, rest in enumerate(own) if len(rest) > 1]
    pieces = list(parts(branches, lambda one: length + len(one[2]), most=max(1, len(branches)), tokens=tokens))
    for number, piece in enumerate(pieces, start=1):
        lengths = [len(rest) - 1 for _, _, rest in piece]
        logits = loaded.model(
            input_ids=padded([torch.tensor([rest[:-1]]) for _, _, rest in piece]).to(loaded.device),
            attention_mask=visible(lengths, before=length).to(loaded.device),
            **at(
                loaded,
                [positions[row][..., length : length + own] for (row, _, _), own in zip(piece, lengths, strict=True)],
            ),
            past_key_values=forked(
                loaded, outputs.past_key_values, [row for row, _, _ in piece], last=number == len(pieces)
            ),
            use_cache=True,
        ).logits
        for (row, place, rest), told in zip(piece, logits, strict=True):
            sums[row][place] += _told(told, rest[1:])
    return {id(asked): told for (asked, _), told in zip(group, sums, strict=True)}


def _whole(loaded: Loaded, asked: list[Asked], batch_size: int, tokens: int) -> dict[int, list[float]]:
    """Every whole sequence by itself, with others of its length alone: nothing is padded that the model could see."""
    import torch

    alike: dict[tuple[Any, ...], list[tuple[Asked, int, Prompt]]] = defaultdict(list)
    for one in asked:
        for place, ending in enumerate(one.endings):
            prompt = one.prompt(ending)
            alike[prompt.length, len(ending), prompt.seen_alike].append((one, place, prompt))
    found: dict[int, list[float]] = {id(one): [0.0] * len(one.endings) for one in asked}
    for (_, own, _), group in alike.items():
        for piece in parts(group, lambda one: one[2].length, most=batch_size, tokens=tokens):
            prompts = [prompt for _, _, prompt in piece]
            logits = loaded.model(
                input_ids=torch.cat([prompt.ids for prompt in prompts]).to(loaded.device),
                attention_mask=visible([prompt.length for prompt in prompts]).to(loaded.device),
                **on(loaded, together([prompt.beside for prompt in prompts], torch.cat)),
                **on(loaded, together([prompt.seen for prompt in prompts], torch.cat)),
                use_cache=False,
                logits_to_keep=own + 1,
            ).logits
            for (one, place, _), told in zip(piece, logits, strict=True):
                found[id(one)][place] = _told(told, one.endings[place])
    return found


def _told(logits: torch.Tensor, ids: list[int]) -> float:
    """The log-probability of these tokens, of which the first is told by the first row."""
    import torch

    if not ids:
        return 0.0
    wanted = torch.tensor(ids, device=logits.device)[:, None]
    return float(logits[: len(ids)].float().log_softmax(-1).gather(1, wanted).double().sum())
