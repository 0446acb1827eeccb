"""Pictures drawn from prompts: a row's own seed and adapter decide its picture, and nothing beside it does."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value
from PIL import Image as Pictures

from tamis.generate import WEIGHTS, Drawing, adapter_hash
from tamis.scoring import attach_scores

DRAWING = Drawing("tiny/sd", num_inference_steps=3, guidance_scale=4.0)
PROMPTS = ("a red plain circle on white ground", "a blue striped star on black ground", "a green heart on tan ground")

pytestmark = pytest.mark.usefixtures("one_thread", "no_model_held")


@pytest.fixture(scope="module")
def adapters(tmp_path_factory) -> dict[str, Path]:
    """Two LoRAs of tiny/sd whose weights are chance, and one that training has blown up."""
    import torch
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig, get_peft_model_state_dict

    made, pipeline = {}, StableDiffusionPipeline.from_pretrained("tiny/sd")
    pipeline.unet.add_adapter(LoraConfig(r=4, target_modules=["to_q", "to_k", "to_v"]))
    weights, chance = get_peft_model_state_dict(pipeline.unet), torch.Generator().manual_seed(0)
    for name, spread in (("one", 0.4), ("other", 0.4), ("blown", float("nan"))):
        drawn = {key: torch.randn(value.shape, generator=chance) * spread for key, value in weights.items()}
        made[name] = tmp_path_factory.mktemp(name)
        pipeline.save_lora_weights(made[name], unet_lora_layers=convert_state_dict_to_diffusers(drawn))
    return made


def to_draw(rows: list[dict[str, Any]]) -> Dataset:
    features = {"prompt": Value("string"), "image_seed": Value("int64")}
    features |= {"adapter": Value("string"), "adapter_hash": Value("string")}
    return Dataset.from_list(rows, features=Features(features))


def row(prompt: str | None, seed: int, adapter: Path | None = None) -> dict[str, Any]:
    digest = adapter_hash(adapter) if adapter else ""
    return {"prompt": prompt, "image_seed": seed, "adapter": str(adapter or ""), "adapter_hash": digest}


@pytest.fixture(scope="module")
def rows(adapters) -> Dataset:
    """Six pictures of three prompts and seeds, no adapter and two, in turns."""
    worn = (None, adapters["one"], adapters["other"])
    return to_draw([row(PROMPTS[at % 3], 10 + at // 3, worn[at % 3]) for at in range(6)])


def pixels(drawn: Dataset, column: str = "image") -> np.ndarray:
    return np.stack([np.asarray(Pictures.open(io.BytesIO(cell["bytes"])), dtype=int) for cell in drawn[column]])


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """But for rounding: products of a batch are summed in another order."""
    return bool(np.abs(one - other).max() <= 2)


def test_a_rows_picture_is_the_same_in_any_batch_and_order(run, rows) -> None:
    together = attach_scores(rows, DRAWING, run=run, batch_size=6)
    assert together.features["image"] == Image(decode=False) and set(together["image_error"]) == {None}
    wanted = pixels(together)
    assert wanted.shape == (6, 64, 64, 3) and wanted.std() > 30
    alone = attach_scores(rows, replace(DRAWING, name="alone"), run=run, batch_size=1)
    assert alike(pixels(alone, "alone"), wanted)
    order = [4, 2, 0, 5, 3, 1]
    turned = attach_scores(rows.select(order).flatten_indices(), DRAWING, run=run, batch_size=4)
    assert alike(pixels(turned), wanted[order])


def test_seed_prompt_and_adapter_each_decide(run, rows, adapters) -> None:
    one, seed = PROMPTS[0], 10
    changed = [row(one, seed), row(one, 11), row(PROMPTS[1], seed), row(one, seed, adapters["one"]), row(one, seed)]
    drawn = pixels(attach_scores(to_draw(changed), DRAWING, run=run, batch_size=8))
    base, *others, again = drawn
    assert alike(base, again)  # the adapter before it is taken off again
    assert all(np.abs(base - other).mean() > 1 for other in others)


def test_adapters_leave_nothing_behind_and_are_off_where_no_column_names_one(run, rows, adapters) -> None:
    """The library's own pipeline, with one adapter loaded and nothing before it."""
    import torch
    from diffusers import StableDiffusionPipeline

    drawn = pixels(attach_scores(rows, DRAWING, run=run, batch_size=4))
    for at, name in ((0, None), (1, "one"), (2, "other")):
        pipeline = StableDiffusionPipeline.from_pretrained("tiny/sd")
        if name:
            pipeline.load_lora_weights(adapters[name], weight_name=WEIGHTS)
        generator = torch.Generator("cpu").manual_seed(10)
        settings = {"num_inference_steps": 3, "guidance_scale": 4.0, "generator": generator}
        assert alike(np.asarray(pipeline(PROMPTS[at], **settings).images[0], dtype=int), drawn[at]), name
    bare = attach_scores(rows, replace(DRAWING, name="bare", adapter_column=None), run=run)
    assert alike(pixels(bare, "bare")[0], drawn[0]) and not alike(pixels(bare, "bare")[1], drawn[1])
    assert replace(DRAWING, adapter_column=None).inputs == ("prompt", "image_seed")


def test_what_is_drawn_is_drawn_once(run, rows, adapters, tmp_path) -> None:
    """Until an adapter is trained anew in its folder."""
    drawing = replace(DRAWING, rows_per_chunk=2)
    first = attach_scores(rows, drawing, run=run)
    assert run.stages[-1]["chunks_computed"] == 3
    assert attach_scores(rows, drawing, run=run)["image"][:] == first["image"][:]
    assert (run.stages[-1]["chunks_computed"], run.stages[-1]["chunks_reused"]) == (0, 3)

    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / WEIGHTS).write_bytes((adapters["one"] / WEIGHTS).read_bytes())
    before = attach_scores(to_draw([row(PROMPTS[0], 1, folder)]), drawing, run=run)
    (folder / WEIGHTS).write_bytes((adapters["other"] / WEIGHTS).read_bytes())
    after = attach_scores(to_draw([row(PROMPTS[0], 1, folder)]), drawing, run=run)
    assert run.stages[-1]["chunks_computed"] == 1
    assert not alike(pixels(before), pixels(after))
    assert alike(
        pixels(after), pixels(attach_scores(to_draw([row(PROMPTS[0], 1, adapters["other"])]), DRAWING, run=run))
    )


def test_an_adapter_that_is_not_what_its_row_says_is_never_drawn_with(run, adapters, tmp_path) -> None:
    wrong = row(PROMPTS[0], 1, adapters["one"]) | {"adapter_hash": "0" * 64}
    with pytest.raises(ValueError, match="as its row says"):
        attach_scores(to_draw([wrong]), DRAWING, run=run)
    gone = row(PROMPTS[0], 1, adapters["one"]) | {"adapter": str(tmp_path / "gone")}
    with pytest.raises(FileNotFoundError, match="gone"):
        attach_scores(to_draw([gone]), DRAWING, run=run)


def test_an_adapter_of_something_else_is_refused(run, tmp_path) -> None:
    import torch
    from safetensors.torch import save_file

    pair = {"lora_A.weight": torch.ones(4, 64), "lora_B.weight": torch.ones(64, 4)}
    save_file({f"transformer.nowhere.to_q.{name}": value for name, value in pair.items()}, tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match="none of its weights are for a part of this model"):
        attach_scores(to_draw([row(PROMPTS[0], 1, tmp_path)]), DRAWING, run=run)


def test_every_null_has_its_reason(run, adapters) -> None:
    """What a blown-up adapter draws is no picture; the rows around it are not harmed."""
    prompts = [None, "", PROMPTS[0], PROMPTS[0], PROMPTS[0]]
    worn = [None, None, None, adapters["blown"], None]
    drawn = attach_scores(to_draw([row(*one) for one in zip(prompts, [1] * 5, worn, strict=True)]), DRAWING, run=run)
    assert drawn["image_error"][:] == ["text: null", "text: empty", None, "drawing: not finite", None]
    assert [cell is None for cell in drawn["image"]] == [True, True, False, True, False]
    before, after = pixels(drawn.select([2, 4]))
    assert alike(before, after)


def test_memory_that_runs_out_while_an_adapter_is_put_on_loses_no_adapter(run, rows, monkeypatch) -> None:
    from diffusers import StableDiffusionPipeline

    load, calls = StableDiffusionPipeline.load_lora_weights, []

    def fails_once(*how: Any, **settings: Any) -> None:
        load(*how, **settings)
        calls.append(how)
        if len(calls) == 1:
            raise RuntimeError("CUDA out of memory.")

    wanted = pixels(attach_scores(rows, DRAWING, run=run))
    monkeypatch.setattr(StableDiffusionPipeline, "load_lora_weights", fails_once)
    again = attach_scores(rows, replace(DRAWING, name="again"), run=run)
    assert calls and alike(pixels(again, "again"), wanted)


def test_size_and_what_not_to_draw_are_settings(run) -> None:
    rows = to_draw([row(PROMPTS[0], 1)])
    small = attach_scores(rows, replace(DRAWING, side=32), run=run)
    assert pixels(small).shape == (1, 32, 32, 3)
    plain, otherwise = (
        attach_scores(rows, replace(DRAWING, negative_prompt=what), run=run) for what in (None, "a red circle")
    )
    assert not alike(pixels(plain), pixels(otherwise))


def test_a_prompt_is_encoded_once_for_all_of_its_pictures(run, monkeypatch) -> None:
    from diffusers import StableDiffusionPipeline

    encode, asked = StableDiffusionPipeline.encode_prompt, []

    def counted(pipeline, prompt, *how, **settings):
        if prompt is not None:
            asked.append(prompt)
        return encode(pipeline, prompt, *how, **settings)

    monkeypatch.setattr(StableDiffusionPipeline, "encode_prompt", counted)
    rows = to_draw([row(prompt, seed) for prompt in PROMPTS[:2] for seed in range(5)])
    attach_scores(rows, DRAWING, run=run, batch_size=4)  # batches end in the middle of a prompt's pictures
    assert asked == list(PROMPTS[:2])
