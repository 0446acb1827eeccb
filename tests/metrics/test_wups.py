"""WUPS and METEOR against NLTK's own slow functions, and what their definitions promise."""

from __future__ import annotations

import functools
import itertools
import math
import random
import shutil
import time
from pathlib import Path

import answer_pairs
import nltk
import pytest

from tamis.metrics.meteor import meteor as meteor_module
from tamis.metrics.meteor.meteor import ceiling, meteor
from tamis.metrics.wups import wups as wups_module
from tamis.metrics.wups.wups import report_wups, set_wups, similarity, wordnet, wups

pytestmark = answer_pairs.needs_wordnet


@functools.cache
def by_nltk(word, other, nouns):
    """The definition written out, with NLTK's similarity."""
    reader = wordnet()
    fields = [reader.synsets(text, reader.NOUN if nouns else None) for text in (word, other)]
    return max((a.wup_similarity(b) or 0.0 for a, b in itertools.product(*fields)), default=0.0)


def published(prediction, reference, threshold):
    def measure(a, b):
        if a == b:
            return 1.0
        score = by_nltk(a, b, True)
        return score * (1.0 if score >= threshold else 0.1)

    answered, true = (
        [item.strip().replace(" ", "_").lower() for item in side.split(",")] for side in (prediction, reference)
    )
    answered, true = set(answered), set(true)
    return min(
        math.prod(max(measure(a, t) for t in true) for a in answered),
        math.prod(max(measure(a, t) for a in answered) for t in true),
    )


def of_the_report(prediction, reference, threshold):
    best = [max(by_nltk(a, t, False) for t in reference.lower().split()) for a in prediction.lower().split()]
    return sum(1.0 if score >= threshold else score for score in best) / len(best)


def test_every_similarity_equals_nltks_for_all_parts_of_speech():
    reader, draw = wordnet(), random.Random(0)
    words = draw.sample(sorted(reader.all_lemma_names()), 300) + answer_pairs.COMMON
    meanings = [meaning for word in words for meaning in reader.synsets(word)]
    assert {meaning.pos() for meaning in meanings} == set("nvasr")
    for _ in range(600):
        left = draw.choice(meanings)
        near = left.hypernyms() + left.hyponyms() + left.instance_hypernyms() + [left]
        right = draw.choice(near if draw.random() < 0.4 else meanings)
        expected = left.wup_similarity(right) or 0.0
        ours = wups_module._meaning(left.name()).wup(wups_module._meaning(right.name()))
        assert ours == pytest.approx(expected, abs=1e-12), (left, right)


def test_500_pairs_equal_the_definition_computed_by_nltk():
    predictions, references = answer_pairs.pairs(500)
    rows = wups(predictions, references)
    for place, pair in enumerate(zip(predictions, references, strict=True)):
        assert rows["wups_0.9"][place] == pytest.approx(published(*pair, 0.9), abs=1e-9), pair
        assert rows["wups_0.0"][place] == pytest.approx(published(*pair, 0.0), abs=1e-9), pair
        assert rows["wups_report_0.9"][place] == pytest.approx(of_the_report(*pair, 0.9), abs=1e-9), pair
        weighted = 0.9 * rows["wups_0.9"][place] + 0.1 * rows["wups_0.0"][place]
        assert rows["wups_weighted"][place] == pytest.approx(weighted)
    assert len({round(value, 6) for value in rows["wups_0.0"]}) > 30  # not all 0 or 1


def test_strict_is_never_above_lenient_nor_exact_match_above_strict():
    predictions, references = answer_pairs.pairs(500, seed=1)
    rows = wups(predictions, references)
    for place, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        strict, weighted, lenient = (rows[f"wups_{kind}"][place] for kind in ("0.9", "weighted", "0.0"))
        assert 0 <= strict <= weighted + 1e-12 and weighted <= lenient + 1e-12 and lenient <= 1
        if prediction.lower() == reference.lower():
            assert strict == 1
    assert sum(rows["wups_0.9"]) < 0.8 * sum(rows["wups_0.0"])


def test_words_below_the_threshold_keep_a_tenth():
    assert similarity("cat", "dog") == pytest.approx(0.857142857)
    assert set_wups("cat", "dog", threshold=0.9) == pytest.approx(0.0857142857)
    assert set_wups("cat", "dog", threshold=0.85) == pytest.approx(0.857142857)
    assert report_wups("cat", "dog", threshold=0.9) == pytest.approx(0.857142857)  # undiminished: another measure
    assert report_wups("cat", "dog", threshold=0.0) == 1.0  # ... and for any pair
    assert report_wups("xqzzy", "sofa", threshold=0.0) == 1.0


def test_a_word_that_wordnet_lacks_is_right_only_to_the_letter():
    assert wups(["xqzzy", "xqzzy", "Xqzzy"], ["sofa", "xqzzy", "xqzzy"])["wups_0.0"] == [0, 1, 1]
    assert report_wups("xqzzy", "xqzzy", threshold=0.9) == 0.0  # no shortcut for equal words there


def test_sets_are_split_at_commas_and_compounds_found():
    assert set_wups("chair, table", "table,chair", threshold=0.9) == 1.0
    assert set_wups("chair", "chair,table", threshold=0.0) == pytest.approx(similarity("chair", "table"))
    assert set_wups("chair,,chair ", "chair", threshold=0.9) == 1.0
    assert set_wups("coffee table", "table", threshold=0.0) > 0.8  # coffee_table in WordNet
    assert set_wups("", "chair", threshold=0.0) == set_wups(" , ", "chair", threshold=0.0) == 0.0


def test_ten_thousand_pairs_of_one_word_take_seconds():
    draw = random.Random(2)
    words = [word for word in itertools.islice(wordnet().all_lemma_names("n"), 0, 40_000, 40) if word.isalpha()]
    predictions, references = ([draw.choice(words) for _ in range(10_000)] for _ in range(2))
    started = time.perf_counter()
    wups(predictions, references)
    assert time.perf_counter() - started < 15  # 2 s on a quiet core; NLTK's own function needs minutes


@pytest.mark.parametrize("module", [wups_module, meteor_module])
def test_without_wordnet_there_is_an_error_that_names_both_ways(module, monkeypatch):
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(module, "DEBIAN", Path("/nowhere"))
    monkeypatch.setattr(module, "wordnet", module.wordnet.__wrapped__)  # not the one that is loaded
    score = module.wups if module is wups_module else module.meteor
    with pytest.raises(LookupError, match="nltk.downloader wordnet.*apt-get install wordnet-base"):
        score(["not asked for yet"], ["nor this"])


def test_nltks_own_corpus_is_read_where_it_is(tmp_path, monkeypatch):
    corpus = tmp_path / "corpora" / "wordnet"
    corpus.mkdir(parents=True)
    for file in wups_module.DEBIAN.iterdir():
        shutil.copyfile(file, corpus / file.name)
    (corpus / "lexnames").write_text(wups_module._lexnames())
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(wups_module, "DEBIAN", Path("/nowhere"))
    reader = wups_module.wordnet.__wrapped__()
    assert str(reader._root) == str(corpus)
    assert reader.synset("cat.n.01").wup_similarity(reader.synset("dog.n.01")) == pytest.approx(0.857142857)
    assert reader.synset("sofa.n.01").lexname() == "noun.artifact"


def test_meteor_equals_nltks_on_500_pairs_and_in_its_own_example():
    from nltk.tokenize import TreebankWordTokenizer
    from nltk.translate.meteor_score import meteor_score

    predictions, references = answer_pairs.pairs(500, seed=3)
    words = TreebankWordTokenizer().tokenize
    expected = [
        meteor_score([words(reference)], words(prediction), wordnet=wordnet())
        for prediction, reference in zip(predictions, references, strict=True)
    ]
    assert meteor(predictions, references) == pytest.approx(expected, abs=1e-9)
    assert len({round(value, 4) for value in expected}) > 20
    guide = "It is a guide to action which ensures that the military always obeys the commands of the party"
    other = "It is a guide to action that ensures that the military will forever heed Party commands"
    assert meteor([guide], [other]) == [pytest.approx(0.6944, abs=1e-4)]  # as NLTK documents


def test_meteor_of_one_word_is_half_at_best():
    predictions, references = answer_pairs.pairs(500, seed=4)
    single = [
        pair for pair in zip(predictions, references, strict=True) if len(pair[1].split()) == 1 and pair[1].isalpha()
    ]
    rows = meteor(*map(list, zip(*single, strict=True)))
    assert max(rows) == 0.5 == ceiling(1) and len(single) > 200
    assert meteor(["sofa"], ["couch"]) == [0.5]  # a synonym counts as much
    for words in (1, 2, 3, 5):
        text = " ".join(answer_pairs.COMMON[:words])
        assert meteor([text], [text]) == [pytest.approx(ceiling(words))]
    assert meteor(["", "dog"], ["red", "red"]) == [0.0, 0.0]
    assert meteor_module.wordnet().get_version() == "3.0"
