"""Every metric's folder: loaded by the evaluate library without this package, documented, published as a Space."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import answer_pairs
import evaluate
import pytest
from huggingface_hub import HfApi, SpaceCard
from packaging.requirements import Requirement

from tamis import metrics

FOLDERS = sorted(path.parent for path in Path(metrics.__file__).parent.glob("*/__init__.py"))
NAMES = ["average_mark", "bart_score", "bert_score", "exact_match", "meteor", "sbert_cosine", "wups"]
ROOT = Path(__file__).resolve().parent.parent.parent

ALONE = """
import json, sys
sys.modules["tamis"] = None  # installed or not, it cannot be imported
import evaluate
calls = {"exact_match": {}, "average_mark": {"difficulties": [0, 3]}, "wups": {}}
for name in sys.argv[2:]:
    metric = evaluate.load(f"{sys.argv[1]}/{name}")
    if name in calls:
        print(json.dumps(metric.compute(predictions=["sofa", "cat"], references=["couch", "cat"], **calls[name])))
"""


def test_none_is_forgotten():
    assert [folder.name for folder in FOLDERS] == NAMES


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_folder_is_a_space(folder):
    card = SpaceCard.load(folder / "README.md")
    assert card.data.sdk == "gradio" and card.data.license == "apache-2.0" and card.data.tags == ["evaluate", "metric"]
    assert (folder / card.data.to_dict()["app_file"]).is_file()
    for part in ("**Range**", "**Ceiling**", "**Inputs**", "**Differences**", "](https://"):
        assert part in card.text, part
    versions = (ROOT / "setup.cfg").read_text()
    for line in (folder / "requirements.txt").read_text().splitlines():
        assert Requirement(line) and f"{line}\n" in versions  # the floors that were tested
    page, first = ((path / "app.py").read_text() for path in (folder, FOLDERS[0]))
    assert page == first.replace(FOLDERS[0].name, folder.name)


def test_what_modules_share_is_the_same_in_all():
    """Each file stands alone, and so some functions are in several."""
    seen: dict[str, str] = {}
    for folder in FOLDERS:
        for node in ast.parse((folder / f"{folder.name}.py").read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name in ("paired_texts", "wordnet", "_lexnames"):
                assert seen.setdefault(node.name, ast.dump(node)) == ast.dump(node), (folder.name, node.name)
    assert len(seen) == 3


@answer_pairs.needs_wordnet
def test_all_load_without_this_package(tmp_path):
    command = [sys.executable, "-c", ALONE, str(FOLDERS[0].parent), *NAMES]
    child = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert child.returncode == 0, child.stderr
    average_mark, exact_match, wups = (json.loads(line) for line in child.stdout.splitlines() if line[0] == "{")
    assert average_mark["average_mark"] == pytest.approx(8 / 9) and average_mark["rows"]["weight"] == [1, 8]
    assert exact_match == {"exact_match": 0.5, "rows": {"exact_match": [0.0, 1.0]}}
    assert wups["wups_0.9"] == 1.0 and wups["rows"]["wups_0.9"] == [1.0, 1.0]


def test_models_are_settings_of_compute(tmp_path):
    texts = {"predictions": ["red sofa", "cat"], "references": ["crimson sofa", "cat"]}
    models = {
        "bert_score": {
            "model": str(answer_pairs.save_bert(tmp_path / "bert")),
            "layer": 2,
            "baseline": [0.1, 0.2, 0.3],
        },
        "bart_score": {"model": str(answer_pairs.save_bart(tmp_path / "bart"))},
        "sbert_cosine": {"model": str(answer_pairs.save_sentence_transformer(tmp_path / "sbert"))},
    }
    for name, settings in models.items():
        told = evaluate.load(str(FOLDERS[0].parent / name)).compute(**texts, **settings)
        rows = told.pop("rows")
        assert told == {column: pytest.approx(sum(values) / 2) for column, values in rows.items()}
        if name != "bart_score":  # by random weights the same text is no likelier than another
            assert all(values[1] > values[0] for values in rows.values()), rows


def test_a_metric_is_published_as_a_space_and_loaded_from_there(hub, monkeypatch):
    api, name = HfApi(), "exact_match"
    api.create_repo(f"me/{name}", repo_type="space", space_sdk="gradio", exist_ok=True)
    folder = Path(metrics.__file__).parent / name
    api.upload_folder(
        repo_id=f"me/{name}", repo_type="space", folder_path=folder, ignore_patterns=["__init__.py", "__pycache__/*"]
    )
    files = {"README.md", "app.py", "exact_match.py", "requirements.txt"}
    assert set(api.list_repo_files(f"me/{name}", repo_type="space")) - {".gitattributes"} == files
    info = api.space_info(f"me/{name}")
    assert info.card_data["sdk"] == "gradio" and "metric" in info.tags
    # It would ask another server to count the download.
    monkeypatch.setattr(evaluate.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
    loaded = evaluate.load(f"me/{name}", module_type="metric")
    assert "me--exact_match" in type(loaded).__module__
    assert loaded.compute(predictions=["Red"], references=["red"])["exact_match"] == 1.0
