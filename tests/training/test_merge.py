"""Merged adapters: TIES as the paper defines it, folded and as an adapter, found again, and what is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_adapters
import torch
from safetensors.torch import load_file, save_file
from small_adapters import IDS, TINY
from small_blip import files

from tamis.config import ConfigError
from tamis.sources import Source, pin
from tamis.training import merge_layers, peft_files
from tamis.training.merge import Merge, MergedAdapter, fold, merge_adapters, save_folded

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SOME, OTHERS = ["q_proj", "down_proj"], ["q_proj", "up_proj"]
Parts = dict[str, Path]


@pytest.fixture(scope="module")
def whole() -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(TINY).eval()


@pytest.fixture
def model(whole: Any) -> Any:
    return copy.deepcopy(whole)


@pytest.fixture(scope="module")
def base() -> Source:
    return pin(TINY, "model")


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


@pytest.fixture(scope="module")
def write(whole: Any, base: Source) -> Callable[..., Path]:
    """An adapter of random matrices, both of them."""

    def call(folder: Path, seed: int, layers: list[str] = SOME, **more: Any) -> Path:
        return small_adapters.write(whole, base, folder, seed, layers, **more)

    return call


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Path]) -> Parts:
    folder = tmp_path_factory.mktemp("two")
    return {"scoring": write(folder / "scoring", 1, ALL), "consistency": write(folder / "consistency", 2, ALL)}


@pytest.fixture(scope="module")
def unlike(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Path]) -> Parts:
    """Of other ranks, scales and layers."""
    folder = tmp_path_factory.mktemp("unlike")
    return {
        "a": write(folder / "a", 3, SOME, r=4, lora_alpha=6),
        "b": write(folder / "b", 4, OTHERS, r=8, lora_alpha=4, use_rslora=True),
        "c": write(folder / "c", 5, SOME, r=2, alpha_pattern={"layers.1.self_attn.q_proj": 7}),
    }


# The outside implementation: whole matrices, float64, from the paper's definition.


def changes_of(folder: Path) -> dict[str, np.ndarray]:
    """By reading the files, for adapters of one alpha."""
    config = json.loads((folder / "adapter_config.json").read_text())
    stored = {name: weight.double().numpy() for name, weight in load_file(folder / "adapter_model.safetensors").items()}
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config["use_rslora"] else config["r"])
    layers = {name.split(".lora_")[0] for name in stored}
    return {
        name.removeprefix("base_model.model."): scale
        * stored[f"{name}.lora_B.weight"]
        @ stored[f"{name}.lora_A.weight"]
        for name in layers
    }


def ties_of_the_paper(changes: list[np.ndarray], density: float) -> np.ndarray:
    trimmed = []
    for change in changes:
        flat = change.ravel().copy()
        fall = np.argsort(-np.abs(flat), kind="stable")[round(density * flat.size) :]
        flat[fall] = 0
        trimmed.append(flat.reshape(change.shape))
    stacked = np.stack(trimmed)
    plus = np.where(stacked > 0, stacked, 0).sum(axis=0)
    minus = np.where(stacked < 0, -stacked, 0).sum(axis=0)
    elected = np.where(plus > minus, 1, np.where(minus > plus, -1, 0))
    agreeing = (np.sign(stacked) == elected) & (stacked != 0)
    return np.where(agreeing, stacked, 0).sum(axis=0) / np.maximum(agreeing.sum(axis=0), 1)


def merged(parts: Parts, merge: Merge) -> dict[str, torch.Tensor]:
    read = merge_layers.read(parts)
    return {layer.layer: layer.change for layer in merge_layers.merged(read, merge, lambda _: "cpu")}


def same(change: torch.Tensor, expected: np.ndarray) -> bool:
    return np.abs(change.double().numpy() - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
def test_it_is_ties_of_the_paper(two: Parts, density: float) -> None:
    ours = merged(two, Merge(density=density, scale=0.7))
    theirs = [changes_of(folder) for folder in two.values()]
    assert set(ours) == set(theirs[0])
    assert len(ours) == 4 * 7
    for layer, change in ours.items():
        assert same(change, 0.7 * ties_of_the_paper([each[layer] for each in theirs], density))


def test_parts_of_other_ranks_scales_and_layers(unlike: Parts) -> None:
    for kind in ("ties", "linear"):
        ours = merged(unlike, Merge(kind, density=0.3))
        theirs = [changes_of(unlike["a"]), changes_of(unlike["b"]), changes_of(unlike["c"])]
        raised = next(layer for layer in theirs[2] if "layers.1.self_attn.q_proj" in layer)
        theirs[2][raised] *= 7 / 4  # alpha_pattern
        assert set(ours) == set().union(*theirs)
        for layer, change in ours.items():
            having = [each[layer] for each in theirs if layer in each]
            # a layer left alone has no sign, but is a change of zero in the mean
            assert same(change, ties_of_the_paper(having, 0.3) if kind == "ties" else sum(having) / 3)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([2.0, 4.0], 3.0),
        ([2.0, -5.0], -5.0),  # the larger has it, alone
        ([3.0, 3.0, -5.0], 3.0),  # by summed size, not by count or largest
        ([1.0, 1.0, -5.0], -5.0),
        ([4.0, 0.0], 4.0),  # zero neither votes nor counts
        ([2.0, -2.0], 0.0),  # nothing is elected
        ([0.0, 0.0], 0.0),
    ],
)
def test_signs_are_elected_by_summed_size(values: list[float], expected: float) -> None:
    changes = [torch.full((1, 1), value) for value in values]
    shares = [1 / len(values)] * len(values)
    assert merge_layers.ties(changes, shares, 1.0).item() == pytest.approx(expected)
    assert merge_layers.ties([-change for change in changes], shares, 1.0).item() == pytest.approx(-expected)
    assert ties_of_the_paper([change.numpy() for change in changes], 1.0).item() == pytest.approx(expected)


def test_shares_weigh_votes_and_mean() -> None:
    changes = [torch.tensor([[3.0, 2.0]]), torch.tensor([[-2.0, 4.0]])]
    assert merge_layers.ties(changes, [0.5, 0.5], 1.0).tolist() == [[3.0, 3.0]]
    assert merge_layers.ties(changes, [0.25, 0.75], 1.0).tolist() == [[-2.0, 3.5]]
    assert Merge(weights=(1, 3)).shares(2) == [0.25, 0.75] == Merge(weights=(2, 6)).shares(2)


def test_trimming_keeps_exactly_that_share() -> None:
    change = torch.tensor([[1.0, -3.0, 2.0], [0.0, -1.0, 1.0]])
    assert merge_layers.trim(change, 0.5).tolist() == [[1.0, -3.0, 2.0], [0.0, 0.0, 0.0]]  # of three ones the first
    assert merge_layers.trim(change, 0.01).tolist() == [[0.0, -3.0, 0.0], [0.0, 0.0, 0.0]]
    assert merge_layers.trim(change, 1.0) is change
    assert int((merge_layers.trim(torch.ones(7, 9), 0.29) != 0).sum()) == 18


def test_one_adapter_is_given_back(unlike: Parts, model: Any) -> None:
    from peft import PeftModel

    for name, folder in unlike.items():
        for kind in ("ties", "linear"):
            folded = copy.deepcopy(model)
            fold(folded, {name: folder}, Merge(kind, density=1.0))
            worn = PeftModel.from_pretrained(copy.deepcopy(model), folder)
            assert torch.allclose(logits(folded), logits(worn), atol=1e-4)
            plain = worn.merge_and_unload().state_dict()  # scales, too, as PEFT has them
            assert all(torch.allclose(weight, plain[key], atol=1e-6) for key, weight in folded.state_dict().items())


def test_folding_adds_the_merged_change_and_nothing_else(unlike: Parts, model: Any, whole: Any) -> None:
    merge = Merge(density=0.4)
    changes = merged(unlike, merge)
    fold(model, unlike, merge)
    first = "model.language_model.layers.0.self_attn.q_proj"
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    for each in (whole, model):
        layer = each.get_submodule(first)
        hook = layer.register_forward_hook(lambda _, given, made: seen.append((given[0], made)))
        logits(each)
        hook.remove()
    (given, before), (given_after, after) = seen
    assert torch.equal(given, given_after)  # nothing before the first adapted layer moved
    assert torch.allclose(after, before + given @ changes[first].T, atol=1e-4)
    for name, weight in whole.state_dict().items():
        change = changes.get(name.removesuffix(".weight"))
        assert torch.equal(model.state_dict()[name], weight if change is None else weight + change)


@pytest.mark.parametrize("rank", [1, 8, 160])
def test_an_adapter_of_a_rank_states_its_error(unlike: Parts, base: Source, tmp_path: Path, rank: int) -> None:
    merge = Merge(density=0.4)
    made = merge_adapters(unlike, merge, base, tmp_path / "m", rank=rank)
    stored, exact = changes_of(made.adapter.path), merged(unlike, merge)
    assert set(stored) == set(exact) == set(made.relative_errors)
    parted = {layer: exact[layer].double().numpy() - stored[layer] for layer in exact}
    for layer, change in exact.items():
        # as near as any of that rank: the singular values that are left out
        left_out = torch.linalg.svdvals(change.double())[rank:].norm() / change.double().norm()
        measured = np.linalg.norm(parted[layer]) / change.double().norm().item()
        assert made.relative_errors[layer] == pytest.approx(measured, rel=1e-3, abs=1e-6)
        assert made.relative_errors[layer] == pytest.approx(left_out.item(), rel=1e-3, abs=1e-5)
    size = sum(change.double().square().sum().item() for change in exact.values()) ** 0.5
    measured = sum((part**2).sum() for part in parted.values()) ** 0.5 / size
    assert (
        made.relative_error
        == made.adapter.train_metrics["relative_error"]
        == pytest.approx(measured, rel=1e-3, abs=1e-6)
    )
    assert (made.relative_error < 1e-5) == (rank == 160)


def test_at_full_rank_it_is_the_fold_and_reloads(two: Parts, base: Source, model: Any, tmp_path: Path) -> None:
    from peft import PeftModel

    merge = Merge(density=0.5)
    made = merge_adapters(two, merge, base, tmp_path / "m", rank=160)
    worn = PeftModel.from_pretrained(copy.deepcopy(model), made.adapter.path)
    fold(model, two, merge)
    unloaded = worn.merge_and_unload().state_dict()
    assert all(torch.allclose(weight, unloaded[name], atol=1e-5) for name, weight in model.state_dict().items())


def test_reloaded_it_gives_the_outputs_it_gave(two: Parts, base: Source, model: Any, tmp_path: Path) -> None:
    """And saved from a model, as an adapter that was trained is, it is the same file."""
    from peft import PeftModel

    made = merge_adapters(two, Merge(density=0.5), base, tmp_path / "m", rank=8)
    expected = copy.deepcopy(model)
    for layer, change in changes_of(made.adapter.path).items():
        expected.get_submodule(layer).weight.data += torch.from_numpy(change).float()
    worn = PeftModel.from_pretrained(model, made.adapter.path)
    found = logits(worn)
    assert torch.allclose(found, logits(expected), atol=1e-3)
    (tmp_path / "again").mkdir()
    peft_files.save(worn, tmp_path / "again", base)
    mine, its = files(made.adapter.path), files(tmp_path / "again")
    assert mine["adapter_model.safetensors"] == its["adapter_model.safetensors"]
    mine, its = (json.loads(each["adapter_config.json"]) for each in (mine, its))
    assert mine.pop("target_modules") == sorted(changes_of(made.adapter.path))
    its.pop("target_modules")  # PEFT shortens long lists where it reads them
    assert mine == its


def test_linear_is_the_mean_of_the_changes(two: Parts) -> None:
    theirs = [changes_of(folder) for folder in two.values()]
    for layer, change in merged(two, Merge("linear")).items():
        assert same(change, (theirs[0][layer] + theirs[1][layer]) / 2)
    for layer, change in merged(two, Merge("linear", weights=(1, 3), scale=2)).items():
        assert same(change, (theirs[0][layer] + 3 * theirs[1][layer]) / 2)


@pytest.mark.parametrize("kind", ["ties", "ties_factors"])
def test_patterns_of_ranks_and_scales_end_with_the_parts(
    write: Callable[..., Path], base: Source, model: Any, tmp_path: Path, kind: Any
) -> None:
    from peft import PeftModel

    patterns = {"rank_pattern": {"layers.1.mlp.down_proj": 3}, "alpha_pattern": {"q_proj": 5}, "use_rslora": True}
    parts = {name: write(tmp_path / name, seed, **patterns) for seed, name in enumerate("ab")}
    rank = None if kind == "ties_factors" else 160
    made = merge_adapters(parts, Merge(kind), base, tmp_path / "m", rank=rank)
    worn = PeftModel.from_pretrained(copy.deepcopy(model), made.adapter.path).merge_and_unload().state_dict()
    fold(model, parts, Merge(kind))
    assert all(torch.allclose(weight, worn[name], atol=1e-5) for name, weight in model.state_dict().items())


@pytest.mark.filterwarnings("ignore:The density 1")  # of PEFT itself
@pytest.mark.parametrize(("density", "weights"), [(0.5, ()), (1.0, ()), (0.3, (1.0, 3.0))])
def test_ties_of_factors_is_pefts(
    two: Parts, base: Source, model: Any, tmp_path: Path, density: float, weights: tuple[float, ...]
) -> None:
    from peft import PeftModel

    merge = Merge("ties_factors", density, weights=weights)
    made = merge_adapters(two, merge, base, tmp_path / "m")
    worn = PeftModel.from_pretrained(copy.deepcopy(model), two["scoring"], adapter_name="scoring")
    worn.load_adapter(two["consistency"], "consistency")
    given = [2 * weight / sum(weights) for weight in weights] or [1.0, 1.0]
    worn.add_weighted_adapter(list(two), given, "merged", combination_type="ties", density=density)
    worn.set_adapter("merged")
    mine = PeftModel.from_pretrained(model, made.adapter.path)
    assert torch.allclose(logits(mine), logits(worn), atol=1e-5)
    theirs = {name.replace(".merged.", "."): weight for name, weight in worn.named_parameters() if ".merged." in name}
    ours = load_file(made.adapter.path / "adapter_model.safetensors")
    assert theirs.keys() == ours.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)
    assert made.relative_error == 0
    assert made.adapter.train_metrics["rank"] == 4


def test_the_same_merge_is_the_same_bytes_and_is_found_again(
    unlike: Parts, base: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(where: str, merge: Merge = Merge(), rank: int = 4, **more: Any) -> MergedAdapter:  # noqa: B008
        return merge_adapters(more.get("parts", unlike), merge, base, tmp_path / where, rank=rank)

    one, other = make("one"), make("other")
    assert files(one.adapter.path) == files(other.adapter.path)
    assert (one.adapter.path / "training.json").read_bytes() == (other.adapter.path / "training.json").read_bytes()
    calls: list[int] = []
    work = merge_layers.truncated
    monkeypatch.setattr(merge_layers, "truncated", lambda *given: calls.append(1) or work(*given))
    assert make("one") == one
    assert calls == []
    renamed = dict(zip("xyz", unlike.values(), strict=True))
    assert make("one", Merge(weights=(2, 2, 2)), parts=renamed) == one  # the same shares of the same parts
    assert calls == []
    for number, changed in enumerate(({"merge": Merge(density=0.4)}, {"merge": Merge("linear")}, {"rank": 3}), start=1):
        make("one", **changed)
        assert len(calls) == number * 12
    (one.adapter.path / "training.json").unlink()  # cut off before its record
    assert files(make("one").adapter.path) == files(other.adapter.path)


def test_parts_in_bfloat16_make_one_in_bfloat16(
    write: Callable[..., Path], base: Source, model: Any, tmp_path: Path
) -> None:
    parts = {name: write(tmp_path / name, seed, dtype=torch.bfloat16) for seed, name in enumerate("ab")}
    made = merge_adapters(parts, Merge(), base, tmp_path / "m", rank=8)
    stored = load_file(made.adapter.path / "adapter_model.safetensors")
    assert {weight.dtype for weight in stored.values()} == {torch.bfloat16}
    change = merged(parts, Merge())
    kept = changes_of(made.adapter.path)
    for layer, error in made.relative_errors.items():  # rounding is in it
        measured = np.linalg.norm(change[layer].numpy() - kept[layer]) / change[layer].norm().item()
        assert error == pytest.approx(measured, rel=1e-3)
    half = copy.deepcopy(model).bfloat16()
    fold(half, parts, Merge())
    layer = next(iter(change))
    expected = (model.get_submodule(layer).weight.bfloat16().float() + change[layer]).bfloat16()
    assert torch.equal(half.get_submodule(layer).weight, expected)


def test_the_folded_model_is_saved_whole_and_found_again(two: Parts, base: Source, model: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    loads: list[int] = []

    def load() -> tuple[Any, list[Any]]:
        loads.append(1)
        return copy.deepcopy(model), [AutoProcessor.from_pretrained(TINY)]

    made = save_folded(load, two, Merge(), base, tmp_path / "one", dtype=torch.float32)
    folded = copy.deepcopy(model)
    fold(folded, two, Merge())
    again = AutoModelForImageTextToText.from_pretrained(made.path)
    assert torch.equal(logits(again), logits(folded))
    assert (logits(again) - logits(model)).abs().max() > 0.1
    AutoProcessor.from_pretrained(made.path)
    assert save_folded(load, two, Merge(), base, tmp_path / "one", dtype=torch.float32) == made
    assert len(loads) == 1
    other = save_folded(load, two, Merge(), base, tmp_path / "other", dtype=torch.float32)
    assert files(made.path) == files(other.path)
    with pytest.raises(ConfigError, match="dtype: the model was loaded as torch.float32; expected torch.bfloat16"):
        save_folded(load, two, Merge(), base, tmp_path / "half", dtype=torch.bfloat16)


def test_what_was_worn_is_folded_in_with_the_merged_change(
    two: Parts, write: Callable[..., Path], base: Source, model: Any, tmp_path: Path
) -> None:
    from transformers import AutoModelForImageTextToText

    worn = write(tmp_path / "worn", 7)

    def load() -> tuple[Any, list[Any]]:
        return copy.deepcopy(model), []

    made = save_folded(load, two, Merge(), base, tmp_path / "one", dtype=torch.float32, worn=worn)
    again = AutoModelForImageTextToText.from_pretrained(made.path)
    change, beneath = merged(two, Merge()), merged({"worn": worn}, Merge("linear"))
    for layer in change | beneath:
        expected = model.get_submodule(layer).weight + change.get(layer, 0.0) + beneath.get(layer, 0.0)
        torch.testing.assert_close(again.get_submodule(layer).weight, expected, atol=1e-6, rtol=1e-5)
    without = save_folded(load, two, Merge(), base, tmp_path / "one", dtype=torch.float32)  # not found for it
    assert files(without.path) == files(
        save_folded(load, two, Merge(), base, tmp_path / "other", dtype=torch.float32).path
    )
    with pytest.raises(ConfigError, match="lies there"):
        save_folded(load, two, Merge(), base, worn, dtype=torch.float32, worn=worn)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kind": "dare"}, r"kind: 'dare' is not accepted"),
        ({"density": 0.0}, r"density: 0\.0 is not accepted"),
        ({"density": 1.1}, r"density: 1\.1 is not accepted"),
        ({"density": float("nan")}, r"density: nan"),
        ({"scale": 0.0}, r"scale: 0\.0"),
        ({"weights": (1.0, -1.0)}, r"weights: -1\.0"),
        ({"weights": (1.0, float("inf"))}, r"weights: inf"),
    ],
)
def test_settings_are_refused_by_name(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Merge(**given)


def edited(folder: Path, target: Path, **changed: Any) -> Path:
    target.mkdir(parents=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    (target / "adapter_config.json").write_text(json.dumps(config | changed))
    (target / "adapter_model.safetensors").write_bytes((folder / "adapter_model.safetensors").read_bytes())
    return target


@pytest.mark.parametrize(
    "changed",
    [
        {"use_dora": True},
        {"bias": "all"},
        {"lora_bias": True},
        {"modules_to_save": ["lm_head"]},
        {"peft_type": "IA3"},
        {"init_lora_weights": "pissa"},
        {"fan_in_fan_out": True},
    ],
)
def test_what_is_no_plain_lora_is_refused_by_name(two: Parts, tmp_path: Path, changed: dict[str, Any]) -> None:
    odd = edited(two["consistency"], tmp_path / "odd", **changed)
    (field,) = changed
    with pytest.raises(ConfigError, match=f"adapter 'consistency': {field}="):
        merge_layers.read({"scoring": two["scoring"], "consistency": odd})


def test_other_base_models_are_refused_by_name(two: Parts, base: Source, model: Any, tmp_path: Path) -> None:
    other = edited(two["consistency"], tmp_path / "odd", base_model_name_or_path="x/y")
    odd = {"scoring": two["scoring"], "odd": other}
    with pytest.raises(ConfigError, match="'scoring' and 'odd' are of different base models.* 'vlm' in one, 'x/y'"):
        fold(model, odd, Merge())
    with pytest.raises(ConfigError, match="adapter 'odd' is of base model 'x/y'.*expected 'vlm'"):
        merge_adapters({"odd": other}, Merge(), base, tmp_path / "m", rank=2)
    hub = Source("x/y", "model", "b" * 40, None)
    told = {"base_model_name_or_path": "x/y", "revision": "a" * 40}
    with pytest.raises(ConfigError, match=f"'x/y' at {'a' * 40}; expected 'x/y' at {'b' * 40}"):
        merge_adapters({"old": edited(two["scoring"], tmp_path / "old", **told)}, Merge(), hub, tmp_path / "m", rank=2)


def test_what_does_not_fit_is_refused_and_nothing_moves(
    two: Parts, unlike: Parts, base: Source, model: Any, whole: Any, tmp_path: Path
) -> None:
    into = tmp_path / "m"
    for told, call in {
        "parts: there is none": lambda: fold(model, {}, Merge()),
        "weights: 3 are given for 2 adapters": lambda: fold(model, two, Merge(weights=(1, 1, 1))),
        "kind: 'ties_factors' needs adapters of one rank.*'a' 4, 'c' 2": lambda: fold(
            model, unlike, Merge("ties_factors")
        ),
        "rank: 4 is not accepted with kind 'ties_factors'": lambda: merge_adapters(
            two, Merge("ties_factors"), base, into, rank=4
        ),
        "rank: None is not accepted with kind 'ties'": lambda: merge_adapters(two, Merge(), base, into),
        "rank: 0 is not accepted": lambda: merge_adapters(two, Merge(), base, into, rank=0),
        "folder: adapter 'scoring' lies there": lambda: merge_adapters(two, Merge(), base, two["scoring"], rank=2),
        "no adapter_config.json, no adapter_model.safetensors": lambda: fold(model, {"gone": into}, Merge()),
        "a Linear has no layer": lambda: fold(torch.nn.Linear(2, 2), two, Merge()),
    }.items():
        with pytest.raises(ConfigError, match=told):
            call()
    assert not into.exists()
    assert all(torch.equal(weight, whole.state_dict()[name]) for name, weight in model.state_dict().items())


def test_files_that_are_no_lora_of_linear_layers_are_refused(two: Parts, whole: Any, tmp_path: Path) -> None:
    stored = load_file(two["scoring"] / "adapter_model.safetensors")
    layer = "base_model.model.lm_head"
    down, up = f"{layer}.lora_A.weight", f"{layer}.lora_B.weight"
    pair = {down: torch.ones(2, 160), up: torch.ones(1541, 2)}
    for number, (weights, told) in enumerate(
        (
            ({}, "holds no weights"),
            (stored | {down: pair[down]}, "lm_head.lora_A.weight' is not one of a layer's pair"),
            (stored | {f"{layer}.lora_magnitude_vector": pair[down]}, "lora_magnitude_vector' is not one of"),
            (stored | {down: pair[down][..., None, None], up: pair[up][..., None, None]}, "'lm_head' is not linear"),
            (stored | pair | {down: pair[down] * float("nan")}, "'lm_head' holds weights that are not finite"),
            (stored | pair, "its weight is shared .*embed_tokens"),
        )
    ):
        odd = edited(two["scoring"], tmp_path / f"{number}")
        save_file(weights, odd / "adapter_model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ConfigError, match=told):
            fold(whole, {"odd": odd}, Merge())
