"""Typed questions answered from one forward pass: the images and the state are read once, all questions fork off.

Numbers are the library's `pipeline("decision")`'s, which runs every question's whole prompt by itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from tamis.judge.asking import Request, answer_as_asked, as_library, reordered
from tamis.judge.forward import at, forked, on, positions_of
from tamis.judge.prompts import Prompt, alike_seen, padded, parts, prompts_of, shared_length, together, visible

if TYPE_CHECKING:
    import torch

    from tamis.judge.loading import Loaded

Answers = dict[str, dict[str, Any]]


def decide(
    loaded: Loaded,
    requests: list[Request],
    *,
    batch_size: int,
    tokens: int,
    max_pixels: int,
    order_seed: int | None,
    notes: Counter[str] | None = None,
) -> list[Answers]:
    """The answers to each request's questions, by name, in the library's shape.

    Prompts of a request that have their beginning in common, images included, are run as one prefix and one branch a
    question; requests with prefixes of one length go together, at most batch_size of them, with no padding before
    anything. Other prompts run whole, batched where the model allows: their image is then encoded once a prompt,
    but for decision heads, which get it encoded. A wrong question raises ValueError by its name before any is asked.
    tokens: how many a forward pass may hold, those it remembers included; it decides the memory.
    notes: counts requests by how they were run, "shared" or the reason why not.
    """
    import torch

    alike: dict[tuple[Any, ...], list[list[Prompt]]] = defaultdict(list)
    whole: list[Prompt] = []
    asked = [prompts_of(as_library(_ordered(request, order_seed), max_pixels), loaded) for request in requests]
    for prompts in asked:
        common, reason = shared_length(prompts, loaded)
        if reason is None:
            alike[common, prompts[0].seen_alike].append(prompts)
        else:
            whole += prompts
        if notes is not None:
            notes[reason or "shared"] += 1
    scores: dict[int, list[torch.Tensor]] = {}
    with torch.inference_mode():
        for (common, _), group in alike.items():
            size = max(1, min(batch_size, tokens // common))
            for first in range(0, len(group), size):
                scores |= _branched(loaded, group[first : first + size], common, tokens)
        scores |= _whole(loaded, whole, batch_size, tokens)
    return [_answers(request, prompts, scores) for request, prompts in zip(requests, asked, strict=True)]


def _ordered(request: Request, seed: int | None) -> Request:
    return request if seed is None else Request(request.state, reordered(request.questions, seed))


def _branched(loaded: Loaded, group: list[list[Prompt]], common: int, tokens: int) -> dict[int, list[torch.Tensor]]:
    """One prefix a request, forked into one branch a question."""
    import torch

    firsts = [prompts[0] for prompts in group]
    positions = {id(prompt): positions_of(loaded, prompt) for prompts in group for prompt in prompts}
    begun = loaded.model(
        input_ids=torch.cat([prompt.ids[:, :common] for prompt in firsts]).to(loaded.device),
        attention_mask=visible([common] * len(group)).to(loaded.device),
        **on(loaded, together([{k: v[:, :common] for k, v in one.beside.items()} for one in firsts], torch.cat)),
        **on(loaded, together([one.seen for one in firsts], torch.cat)),
        **at(loaded, [positions[id(prompt)][..., :common] for prompt in firsts]),
        use_cache=True,
        logits_to_keep=1,
    ).past_key_values
    branches = [(row, prompt) for row, prompts in enumerate(group) for prompt in prompts]
    scores: dict[int, list[torch.Tensor]] = {}
    pieces = list(parts(branches, lambda branch: int(branch[1].marks[0]), most=len(branches), tokens=tokens))
    for number, piece in enumerate(pieces, start=1):
        cache = forked(loaded, begun, [row for row, _ in piece], last=number == len(pieces))
        prompts = [prompt for _, prompt in piece]
        ends = [int(prompt.marks[0]) for prompt in prompts]  # what stands behind is read by nobody
        lengths = [end - common for end in ends]
        last = torch.tensor(lengths) - 1
        kept, which = last.unique(return_inverse=True)
        logits = loaded.model(
            input_ids=padded([p.ids[:, common:end] for p, end in zip(prompts, ends, strict=True)]).to(loaded.device),
            attention_mask=visible(lengths, before=common).to(loaded.device),
            **at(loaded, [positions[id(p)][..., common:end] for p, end in zip(prompts, ends, strict=True)]),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=kept.to(loaded.device),
        ).logits
        for row, prompt in enumerate(prompts):
            scores[id(prompt)] = _scores(loaded, prompt, logits[row, which[row]][None])
    return scores


def _whole(loaded: Loaded, prompts: list[Prompt], batch_size: int, tokens: int) -> dict[int, list[torch.Tensor]]:
    """Whole prompts, padded on the right; those for a decision head one by one, as it is written.

    Where a model never shares, only prompts of one length go together: Gemma, told to attend in both directions, does
    so until there is padding to be masked.
    """
    import torch
    from transformers.decision.modeling_utils import DecisionMixin

    if isinstance(loaded.model, DecisionMixin):
        return _by_head(loaded, prompts)
    alike: dict[tuple[Any, ...], list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        alike[prompt.seen_alike, prompt.length if loaded.whole else 0].append(prompt)
    scores: dict[int, list[torch.Tensor]] = {}
    for group in alike.values():
        for piece in parts(group, lambda prompt: prompt.length, most=batch_size, tokens=tokens):
            read = torch.cat([prompt.marks - 1 for prompt in piece]).unique()
            logits = loaded.model(
                input_ids=padded([prompt.ids for prompt in piece]).to(loaded.device),
                attention_mask=visible([prompt.length for prompt in piece]).to(loaded.device),
                **on(loaded, together([prompt.beside for prompt in piece], padded)),
                **on(loaded, together([prompt.seen for prompt in piece], torch.cat)),
                use_cache=False,
                logits_to_keep=read.to(loaded.device),
            ).logits
            for row, prompt in enumerate(piece):
                scores[id(prompt)] = _scores(loaded, prompt, logits[row, torch.searchsorted(read, prompt.marks - 1)])
    return scores


def _by_head(loaded: Loaded, prompts: list[Prompt]) -> dict[int, list[torch.Tensor]]:
    """By the model's own `decide`, a prompt at a time; the images of a request are encoded once, where it allows."""
    scores: dict[int, list[torch.Tensor]] = {}
    last: Prompt | None = None
    seen: dict[str, Any] = {}
    for prompt in prompts:
        if last is None or not alike_seen(prompt, last):
            seen, last = loaded.encoded(on(loaded, prompt.seen)), prompt
        inputs = on(loaded, {"input_ids": prompt.ids, **prompt.beside}) | seen
        asked = {"decision_questions": prompt.questions, "decision_config": loaded.config}
        read = loaded.model.decide(marks=prompt.marks, **inputs, **asked)
        scores[id(prompt)] = [values.cpu() for values in read]
    return scores


def _scores(loaded: Loaded, prompt: Prompt, logits: torch.Tensor) -> list[torch.Tensor]:
    """The logits of the labels at each mark, through the decision config's processors (its temperature)."""
    from transformers.decision.modeling_utils import process_scores

    labels = [
        row[loaded.label_ids(tuple(question.labels))].cpu()
        for row, question in zip(logits, prompt.questions, strict=False)  # a mark may follow the last question
    ]
    return process_scores(loaded.config, prompt.ids, prompt.marks, prompt.questions, labels)


def _answers(request: Request, prompts: list[Prompt], scores: dict[int, list[torch.Tensor]]) -> Answers:
    answers = {}
    for prompt in prompts:
        for asked, values in zip(prompt.questions, scores[id(prompt)], strict=True):
            probabilities = dict(zip(asked.options, values.softmax(-1).tolist(), strict=True))
            answers[asked.name] = answer_as_asked(request, asked, probabilities)
    return answers
