"""The scorers of answers: exact, wups, meteor, bertscore, bartscore, sbert; their rows are the metrics' own."""

from __future__ import annotations

import dataclasses

import answer_pairs
import numpy as np
import pytest

from tamis import scorers
from tamis.config import ConfigError
from tamis.metrics import stats
from tamis.metrics.average_mark.average_mark import average_mark, difficulty_weights
from tamis.scoring import attach_scores

PREDICTIONS, REFERENCES = answer_pairs.pairs(40, seed=7)
WITH_WORDNET = ("wups", "meteor")
NAMES = ["exact", "bertscore", "bartscore", "sbert"] + [
    pytest.param(name, marks=answer_pairs.needs_wordnet) for name in WITH_WORDNET
]
COLUMNS = {
    "exact": ["exact_match"],
    "wups": ["wups_0.9", "wups_0.0", "wups_weighted", "wups_report_0.9"],
    "meteor": ["meteor_score"],
    "bertscore": [
        *("bertscore_precision", "bertscore_recall", "bertscore_f1"),
        *("bertscore_precision_rescaled", "bertscore_recall_rescaled", "bertscore_f1_rescaled"),
    ],
    "bartscore": ["bartscore_forward", "bartscore_backward", "bartscore_mean"],
    "sbert": ["sbert_cosine"],
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("answer_models")
    return {
        "exact": {},
        "wups": {},
        "meteor": {},
        "bertscore": {"model": str(answer_pairs.save_bert(root / "bert")), "layer": 2, "baseline": [0.1, 0.2, 0.3]},
        "bartscore": {"model": str(answer_pairs.save_bart(root / "bart"))},
        "sbert": {"model": str(answer_pairs.save_sentence_transformer(root / "sbert"))},
    }


@pytest.fixture
def build(settings):
    def one(name, **more):
        [scorer] = scorers.build([{"scorer": name} | settings[name] | more])
        return scorer

    return one


def by_the_metric(name, settings):
    from tamis.metrics.bart_score import bart_score as bart
    from tamis.metrics.bert_score import bert_score as bert
    from tamis.metrics.exact_match.exact_match import exact_match
    from tamis.metrics.meteor.meteor import meteor
    from tamis.metrics.sbert_cosine import sbert_cosine as sbert
    from tamis.metrics.wups.wups import wups

    pair, model = (PREDICTIONS, REFERENCES), settings[name].get("model")
    return {
        "exact": lambda: {"exact_match": exact_match(*pair)},
        "wups": lambda: wups(*pair),
        "meteor": lambda: {"meteor_score": meteor(*pair)},
        "bertscore": lambda: bert.bert_score(*pair, bert.load(model, layer=2), baseline=(0.1, 0.2, 0.3)),
        "bartscore": lambda: bart.bart_score(*pair, bart.load(model)),
        "sbert": lambda: {"sbert_cosine": sbert.sbert_cosine(*pair, sbert.load(model))},
    }[name]()


@pytest.mark.parametrize("name", NAMES)
def test_columns_are_the_metrics_rows_at_any_batch_size(run, dataset_of, build, settings, name):
    dataset = dataset_of(prediction=PREDICTIONS, answer=REFERENCES)
    scored = attach_scores(dataset, build(name), run=run, batch_size=8)
    alone = attach_scores(dataset, dataclasses.replace(build(name), name="one"), run=run, batch_size=1)
    expected = by_the_metric(name, settings)
    assert [column for column in scored.column_names if column.startswith(f"{name}_")] == [
        *COLUMNS[name],
        f"{name}_error",
    ]
    assert set(expected) == set(COLUMNS[name])
    for column, values in expected.items():
        assert str(scored.features[column]) == "Value('float32')"
        np.testing.assert_allclose(scored[column][:], values, atol=1e-5, err_msg=column)
        np.testing.assert_allclose(alone[column.replace(name, "one", 1)][:], values, atol=1e-5, err_msg=column)
    assert len(set(expected[COLUMNS[name][0]])) > 1


@pytest.mark.parametrize("name", NAMES)
def test_odd_texts_have_a_value_or_a_reason(run, dataset_of, build, odd_texts, name):
    kinds = [*odd_texts, *("None", "NA", "nan")]
    values = [odd_texts[kind][0] if kind in odd_texts else kind for kind in kinds]
    predicted = attach_scores(
        dataset_of(prediction=values, answer=["red"] * len(values)), build(name), run=run, batch_size=4
    )
    for kind, reason, value in zip(kinds, predicted[f"{name}_error"], predicted[COLUMNS[name][0]], strict=True):
        assert reason == ("prediction: null" if kind == "null" else None), kind
        assert (value is None) == (kind == "null")
        if kind in ("empty", "spaces") and name in ("exact", "wups", "meteor", "bertscore"):
            assert value == 0.0  # a wrong answer, not a missing one
    other = dataclasses.replace(build(name), name="other")
    answered = attach_scores(dataset_of(prediction=["red"] * len(values), answer=values), other, run=run, batch_size=4)
    reasons = {"null": "answer: null", "empty": "answer: empty", "spaces": "answer: empty"}
    assert answered["other_error"][:] == [reasons.get(kind) for kind in kinds]


def test_words_that_look_missing_are_answers(run, dataset_of, build):
    dataset = dataset_of(prediction=["None", "na", "nan", None], answer=["none", "NA", "null", "x"])
    scored = attach_scores(dataset, build("exact"), run=run)
    assert scored["exact_match"][:] == [1.0, 1.0, 0.0, None]
    numbers = dataset.remove_columns("prediction").add_column("prediction", [1, 2, 3, 4])
    assert set(attach_scores(numbers, build("exact"), run=run)["exact_error"]) == {"prediction: a int, not text"}


def test_average_mark_is_the_column_weighted(run, dataset_of, build):
    scored = attach_scores(dataset_of(prediction=PREDICTIONS, answer=REFERENCES), build("exact"), run=run)
    levels = [[0, 1, 2, 3, 5][place % 5] for place in range(len(scored))]
    told = stats.mean(scored["exact_match"][:], weights=difficulty_weights(levels), groups=[n // 5 for n in range(40)])
    assert told.value == pytest.approx(average_mark(scored["exact_match"][:], levels))


def test_other_columns_and_settings(run, dataset_of, build):
    dataset = dataset_of(said=["sofa", "red"], true=["sofa", "dog"])
    columns = {"prediction_column": "said", "answer_column": "true"}
    assert attach_scores(dataset, build("exact", **columns), run=run)["exact_match"][:] == [1.0, 0.0]
    scored = attach_scores(dataset, build("bartscore", exponential=True, **columns), run=run)
    assert all(0 < value < 1 for value in scored["bartscore_mean"])
    raw = build("bertscore", layer=1, baseline=None)
    assert list(raw.columns) == COLUMNS["bertscore"][:3]


@pytest.mark.parametrize(
    ("name", "wrong", "told"),
    [
        ("wups", {"strict_share": 1.5}, "strict_share: 1.5 is not accepted"),
        ("bertscore", {"layer": None}, "layer: .* has none that is known"),
        ("bertscore", {"baseline": [0.1]}, r"baseline: \[0.1\] is not accepted"),
        ("sbert", {"dtype": "float31"}, "dtype"),
    ],
)
def test_what_cannot_be_is_refused_by_name(build, name, wrong, told):
    with pytest.raises(ConfigError, match=told):
        build(name, **wrong)
