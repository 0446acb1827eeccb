"""What a scorer's file promises before it runs: it builds from a YAML, explains itself, is cheap to import."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import typing

import pytest

from tamis import scorers

JUDGED = ("answerable", "caption", "needs_picture", "pairwise", "product_questions", "prompt_writer", "quiz")
JUDGED += ("quiz_writer", "self_reward", "visual_gain")
JUDGED += ("chat_vqa",)
NAMES = ("clip", "detection", "duplicates", "embedding", "image_quality", "oracle", "relevance", "text_similarity")
NAMES += ("bartscore", "bertscore", "exact", "meteor", "sbert", "wups")
NAMES += ("blip_vqa", "clip_vocabulary", "generated_vqa", "vilt_vqa", *JUDGED)
NEEDED = dict.fromkeys(JUDGED, {"judge": {"model": "tiny/vlm"}}) | {"clip_vocabulary": {"vocabulary": ["red"]}}
HEAVY = {"torch", "transformers", "datasets", "sentence_transformers", "skimage", "scipy", "pywt", "imagehash"}
HEAVY |= {"evaluate", "nltk"}


def defaults(name):
    return {"scorer": name} | NEEDED.get(name, {})


def test_none_is_forgotten():
    assert sorted(NAMES) == scorers.names()


@pytest.mark.parametrize("name", NAMES)
def test_it_builds_from_its_defaults(name):
    [scorer] = scorers.build([defaults(name)])
    assert scorer.name == name
    assert scorer.inputs and all(column.startswith(f"{name}_") for column in scorer.columns)
    [other] = scorers.build([defaults(name) | {"name": "other"}])
    assert [column.removeprefix("other") for column in other.columns] == [
        column.removeprefix(name) for column in scorer.columns
    ]


@pytest.mark.parametrize("name", NAMES)
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
