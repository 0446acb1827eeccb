"""What a scorer's file promises before it runs: it builds from a YAML, explains itself, is cheap to import."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import subprocess
import sys
import typing
import zipfile
from pathlib import Path

import answer_pairs
import pytest

from tamis import needs, scorers
from tamis.config import ConfigError

JUDGED = ("answerable", "caption", "needs_picture", "pairwise", "product_questions", "prompt_writer", "quiz")
JUDGED += ("quiz_writer", "self_reward", "visual_gain")
JUDGED += ("chat_vqa", "explained_score", "guessed_score", "self_explanation")
JUDGED += ("multiple_choice", "rated_image", "rating", "reply", "task")
NAMES = ("clip", "detection", "duplicates", "embedding", "image_quality", "oracle", "relevance", "text_similarity")
NAMES += ("true_remarks",)
NAMES += ("bartscore", "bertscore", "exact", "meteor", "sbert", "wups")
NAMES += ("blip_retrieval", "blip_vqa", "clip_vocabulary", "generated_vqa", "vilt_vqa", *JUDGED)
NAMES += ("picture_kind",)
NEEDED = dict.fromkeys(JUDGED, {"judge": {"model": "tiny/vlm"}}) | {"clip_vocabulary": {"vocabulary": ["red"]}}
HEAVY = {"torch", "transformers", "datasets", "sentence_transformers", "skimage", "scipy", "pywt", "imagehash"}
HEAVY |= {"evaluate", "nltk"}
WITH_WORDNET = ("meteor", "wups")
BUILT = [pytest.param(name, marks=answer_pairs.needs_wordnet if name in WITH_WORDNET else ()) for name in NAMES]


def defaults(name):
    return {"scorer": name} | NEEDED.get(name, {})


def test_none_is_forgotten():
    assert sorted(NAMES) == scorers.names()


@pytest.mark.parametrize("name", BUILT)
def test_it_builds_from_its_defaults(name):
    [scorer] = scorers.build([defaults(name)])
    assert scorer.name == name
    assert scorer.inputs and all(column.startswith(f"{name}_") for column in scorer.columns)
    [other] = scorers.build([defaults(name) | {"name": "other"}])
    assert [column.removeprefix("other") for column in other.columns] == [
        column.removeprefix(name) for column in scorer.columns
    ]


@pytest.mark.parametrize("name", BUILT)
def test_every_setting_says_what_it_does(name):
    [scorer] = scorers.build([defaults(name)])
    hints = typing.get_type_hints(type(scorer), include_extras=True)
    for field in dataclasses.fields(scorer):
        assert typing.get_origin(hints[field.name]) is typing.Annotated, field.name
    assert "higher is better" in type(scorer).__doc__ or "It is no score" in type(scorer).__doc__
    assert "None where" in type(scorer).__doc__


@pytest.mark.parametrize("name", NAMES)
def test_importing_it_imports_nothing_heavy(name):
    tree = ast.parse(inspect.getsource(importlib.import_module(f"tamis.scorers.{name}")))
    at_import = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in at_import}
    assert not {module.split(".")[0] for module in imported} & HEAVY


@pytest.mark.parametrize(
    ("name", "package", "told"),
    [
        ("wups", "nltk", r"nltk is not installed: pip install nltk, or tamis\[wordnet\]"),
        ("meteor", "nltk", r"tamis\[wordnet\]"),
        ("sbert", "sentence_transformers", r"pip install sentence-transformers, or tamis\[sentence\]"),
        *((name, "evaluate", "pip install evaluate, or tamis$") for name in ("bertscore", "bartscore", "sbert")),
        *((name, "evaluate", "pip install evaluate") for name in WITH_WORDNET),
    ],
)
def test_a_package_that_is_missing_is_told_when_it_is_built(name, package, told, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked == package else found(asked))
    with pytest.raises(ConfigError, match=told):
        scorers.build([name])


@pytest.mark.parametrize("name", WITH_WORDNET)
def test_wordnet_is_looked_for_when_it_is_built_and_where_the_metric_looks(name, monkeypatch, tmp_path):
    import nltk

    metric = importlib.import_module(f"tamis.metrics.{name}.{name}")
    nowhere = Path("/nowhere")
    assert metric.DEBIAN == needs.DEBIAN and all(place in inspect.getsource(metric.wordnet) for place in needs.CORPUS)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(metric, "DEBIAN", nowhere)
    monkeypatch.setattr(needs, "DEBIAN", nowhere)
    for look in (metric.wordnet.__wrapped__, lambda: scorers.build([name])):
        with pytest.raises((LookupError, ConfigError), match="nltk.downloader wordnet.*apt-get install wordnet-base"):
            look()
    (tmp_path / "corpora").mkdir()
    with zipfile.ZipFile(tmp_path / "corpora" / "wordnet.zip", "w") as packed:  # as NLTK downloads it
        packed.writestr("wordnet/data.noun", "")
    scorers.build([name])


@answer_pairs.needs_wordnet
def test_building_all_metrics_of_texts_imports_nothing_to_look_for_what_they_need():
    code = "import sys; from tamis import scorers; scorers.build(['wups', 'meteor', 'sbert', 'bartscore'])\n"
    code += f"assert not {HEAVY!r} & set(sys.modules), sys.modules"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr[-2000:]
