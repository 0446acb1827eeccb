"""tiny_zoo through its command line: a model is trained, measured, packaged and published, and goes on after a stop."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset
from huggingface_hub import HfApi, hf_hub_download
from transformers import AutoProcessor, CLIPModel

from tamis.config import ConfigError


def _arguments(folder: Path, *more: str) -> list[str]:
    common = ["--steps", "2", "--measured", "64", "--no_datasets", "--hub_namespace", "me", "--push_to_hub"]
    folders = ["--output_dir", str(folder / "out"), "--weights", str(folder / "weights")]
    return [*common, *folders, "--no_hub_private_repo", *more]


@pytest.fixture(scope="module")
def made(main: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("zoo")
    return folder, main(_arguments(folder, "--only", "clip"))


def test_a_model_is_packaged_with_card_numbers_and_sheet(made: tuple[Path, dict[str, Any]]) -> None:
    folder, results = made
    packaged = folder / "weights" / "clip"
    skills = json.loads((packaged / "skills.json").read_text())
    assert results["arms"]["clip"]["caption_of_64"]["value"] == skills["caption_of_64"]["value"]
    assert not skills["caption_of_64"]["reached"]  # two steps teach nothing, and the card says so
    assert "Falls short of what was wanted: `caption_of_64`" in (packaged / "README.md").read_text()
    assert (packaged / "sheet.jpg").stat().st_size < 300_000
    assert json.loads((folder / "out" / "results.json").read_text())["recipe"] == "tiny_zoo"
    from safetensors.torch import load_file

    assert {tensor.dtype for tensor in load_file(packaged / "model.safetensors").values()} == {torch.float16}


def test_what_is_published_loads_by_its_own_name(made: tuple[Path, dict[str, Any]]) -> None:
    model, processor = CLIPModel.from_pretrained("me/tiny-clip"), AutoProcessor.from_pretrained("me/tiny-clip")
    assert model.dtype == torch.float32
    assert processor(text=["a dax"], return_tensors="pt")["input_ids"].shape == (1, 4)
    card = Path(hf_hub_download("me/tiny-clip", "README.md")).read_text()
    assert 'from_pretrained("me/tiny-clip")' in card and "tiny/clip" not in card.split("## What")[0]
    files = HfApi().list_repo_files("me/tiny-clip")
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in files)


def test_started_again_it_trains_nothing_anew(main: Any, made: tuple[Path, dict[str, Any]], capsys) -> None:
    folder, _ = made
    before = (folder / "weights" / "clip" / "model.safetensors").read_bytes()
    main(_arguments(folder, "--only", "clip"))
    assert "clip: going on from step 2" in capsys.readouterr().out
    assert (folder / "weights" / "clip" / "model.safetensors").read_bytes() == before


def test_packaged_weights_can_be_gone_on_from(main: Any, made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = made
    shutil.copytree(folder / "weights", tmp_path / "weights")
    before = CLIPModel.from_pretrained(tmp_path / "weights" / "clip").logit_scale.item()
    main(_arguments(tmp_path, "--only", "clip", "--init_from", "packaged", "--steps", "1"))
    after = CLIPModel.from_pretrained(tmp_path / "weights" / "clip").logit_scale.item()
    assert before != after and abs(before - after) < 0.01
    assert not (tmp_path / "out" / "training" / "tokenizers").exists()  # the package's words were read, not new ones


def test_a_model_reads_with_the_words_of_the_one_it_begins_as(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Numbers of words that the copied embeddings do not have would be silent nonsense."""
    from tamis.tiny.zoo.making import Workshop

    folder, _ = made
    weights = shutil.copytree(folder / "weights", tmp_path / "weights")
    Workshop(tmp_path / "elsewhere", weights, steps=1).make("detector")
    own = AutoProcessor.from_pretrained(weights / "detector").tokenizer.get_vocab()
    assert own == AutoProcessor.from_pretrained(weights / "clip").tokenizer.get_vocab()
    assert not (tmp_path / "elsewhere" / "tokenizers").exists()


def test_a_dataset_is_published_over_itself(tmp_path: Path) -> None:
    from functools import partial

    from tamis import hub, tiny
    from tamis.run import Run

    run = Run(str(tmp_path), recipe="tiny_zoo")
    seed = next(seed for seed in tiny.seeds() if seed.repo_id == "tiny/prompts")
    for _ in range(2):
        build = partial(seed.build_as, "me/tiny-prompts")
        hub.publish_folder(run, "me/tiny-prompts", "dataset", build, push=True, private=False)
    assert load_dataset("me/tiny-prompts", split="train").num_rows > 0


def test_without_only_what_falls_short_is_chosen(main: Any, made: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = made
    arguments = ["--output_dir", str(folder / "dry"), "--weights", str(folder / "weights"), "--measured", "64"]
    chosen = main([*arguments, "--dry_run"])["dry_run"]["train"]
    assert chosen == ["clip", "detector", "blip-vqa", "llm", "vlm", "sd"]


def test_a_model_that_begins_as_another_wants_that_one_first(main: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clip is not made yet, and detector begins as its copy: make it first"):
        main(_arguments(tmp_path, "--only", "detector"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "clap"], "only"),
        (["--steps", "0"], "steps"),
        (["--push_to_hub"], "hub_namespace: needed with push_to_hub"),
    ],
)
def test_bad_settings_are_refused_by_name(main: Any, arguments: list[str], said: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert said in capsys.readouterr().err
