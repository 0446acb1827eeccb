"""BERTScore, BARTScore and SBERT cosine against the packages that define them, on 500 pairs and small random models."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import answer_pairs
import numpy as np
import pytest
import torch

from tamis.metrics.bart_score import bart_score as bart
from tamis.metrics.bert_score import bert_score as bert
from tamis.metrics.sbert_cosine import sbert_cosine as sbert

PREDICTIONS, REFERENCES = answer_pairs.pairs(500, seed=5)
pytestmark = pytest.mark.usefixtures("one_thread")
BASELINE = "LAYER,P,R,F\n0,0.1,0.1,0.1\n1,0.11,0.12,0.13\n2,0.21,0.22,0.23\n3,0.31,0.32,0.33\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "bert": answer_pairs.save_bert(root / "bert"),
        "roberta": answer_pairs.save_roberta(root / "roberta", add_prefix_space=True),
        "roberta without the space": answer_pairs.save_roberta(root / "roberta_no", add_prefix_space=False),
        "bart": answer_pairs.save_bart(root / "bart"),
        "sbert": answer_pairs.save_sentence_transformer(root / "sbert"),
    }


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_500_pairs_equal_the_bert_score_package(models, tmp_path, name):
    from bert_score import BERTScorer

    folder, file = str(models[name]), tmp_path / "baseline.tsv"
    file.write_text(BASELINE)
    options = {"model_type": folder, "num_layers": 2, "lang": "en", "device": "cpu", "baseline_path": str(file)}
    rows = bert.bert_score(
        PREDICTIONS, REFERENCES, bert.load(folder, layer=2), baseline=bert.baseline_of(folder, 2, str(file))
    )
    assert len(rows) == 6
    for form, rescale, count in (("", False, 500), ("_rescaled", True, 50)):
        package = BERTScorer(**options, rescale_with_baseline=rescale)
        # One at a time: in a batch it takes padding for a token of cosine 0, which is more than a negative one.
        outside = package.score(PREDICTIONS[:count], REFERENCES[:count], batch_size=1)
        for kind, expected in zip(("precision", "recall", "f1"), outside, strict=True):
            np.testing.assert_allclose(rows[f"bertscore_{kind}{form}"][:count], expected, atol=1e-5)
            assert expected.std() > 0.02


def test_bertscore_is_a_plain_search_for_the_nearest_token(models):
    """The definition written out for one pair: also where every cosine is negative, padding is no match."""
    from transformers import AutoTokenizer, BertModel

    tokenizer, model = AutoTokenizer.from_pretrained(models["bert"]), BertModel.from_pretrained(models["bert"]).eval()

    def vectors(text):
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[2][0]
        return torch.nn.functional.normalize(states, dim=-1)

    rows = bert.bert_score(PREDICTIONS[:40], REFERENCES[:40], bert.load(str(models["bert"]), layer=2))
    for place in range(40):
        cosines = vectors(PREDICTIONS[place]) @ vectors(REFERENCES[place]).T
        precision = cosines.max(dim=1).values[1:-1].mean().item()  # the text's own tokens; all may be matched with
        recall = cosines.max(dim=0).values[1:-1].mean().item()
        assert rows["bertscore_precision"][place] == pytest.approx(precision, abs=1e-5)
        assert rows["bertscore_recall"][place] == pytest.approx(recall, abs=1e-5)


def test_robertas_first_word_is_the_token_it_is_elsewhere(models):
    with_space, without = (
        bert.bert_score(["red"] * 2, ["a red", "sofa"], bert.load(str(models[name]), layer=2))
        for name in ("roberta", "roberta without the space")
    )
    assert with_space == without


def test_texts_without_a_token_score_nothing(models):
    rows = bert.bert_score(["", " ", "red", "red"], ["red", "red", "", "red"], bert.load(str(models["bert"]), layer=2))
    for values in rows.values():
        assert values[:3] == [0.0, 0.0, 0.0] and values[3] == pytest.approx(1.0)


def test_known_baselines_are_those_of_the_package():
    import bert_score

    for model, (layer, numbers) in bert.KNOWN.items():
        file = Path(bert_score.__file__).parent / "rescale_baseline" / "en" / f"{model}.tsv"
        assert bert_score.utils.model2layers[model] == layer
        assert (
            bert.baseline_of(model, None, str(file)) == numbers == bert.baseline_of(f"FacebookAI/{model}", None, None)
        )
    assert bert.baseline_of("roberta-large", 16, None) is None  # of another layer nothing is known


def test_what_cannot_be_is_refused_by_name(models, tmp_path):
    folder = str(models["bert"])
    with pytest.raises(ValueError, match="layer: .* has none that is known"):
        bert.load(folder)
    with pytest.raises(ValueError, match="layer: 4 is not accepted; .* has 1 to 3"):
        bert.load(folder, layer=4)
    with pytest.raises(ValueError, match="expected precision, recall, f1, each below 1"):
        bert.baseline_of(folder, 2, [0.5, 1.0, 0.5])
    (tmp_path / "baseline.tsv").write_text(BASELINE)
    with pytest.raises(ValueError, match="has no layer 7"):
        bert.baseline_of(folder, 7, str(tmp_path / "baseline.tsv"))


def test_a_model_that_lacks_weights_is_not_filled_with_random_ones(models, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(models["bert"], tmp_path / "bert")
    weights = load_file(tmp_path / "bert" / "model.safetensors")
    del weights["encoder.layer.0.output.dense.weight"]
    save_file(weights, tmp_path / "bert" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="lacks weights of its first 2 layers: encoder.layer.0"):
        bert.load(str(tmp_path / "bert"), layer=2)


@pytest.mark.parametrize("name", ["bert", "bart", "sbert"])
def test_a_pickle_is_not_read(models, tmp_path, name):
    folder = tmp_path / name
    shutil.copytree(models[name], folder)
    [weights] = folder.rglob("model.safetensors")
    torch.save({}, weights.with_name("pytorch_model.bin"))
    weights.unlink()
    load = {"bert": lambda path: bert.load(path, layer=1), "bart": bart.load, "sbert": sbert.load}[name]
    with pytest.raises(OSError, match="safetensors"):
        load(str(folder))


def test_500_pairs_equal_barts_own_loss_pair_by_pair(models):
    from transformers import AutoTokenizer, BartForConditionalGeneration

    tokenizer = AutoTokenizer.from_pretrained(models["bart"])
    model = BartForConditionalGeneration.from_pretrained(models["bart"]).eval()

    def plain(source, target):
        with torch.inference_mode():
            labels = tokenizer(target, return_tensors="pt").input_ids
            return -model(**tokenizer(source, return_tensors="pt"), labels=labels).loss.item()

    rows = bart.bart_score(PREDICTIONS, REFERENCES, bart.load(str(models["bart"])))
    forward = [plain(*pair) for pair in zip(PREDICTIONS, REFERENCES, strict=True)]
    backward = [plain(*pair) for pair in zip(REFERENCES, PREDICTIONS, strict=True)]
    np.testing.assert_allclose(rows["bartscore_forward"], forward, atol=1e-4)
    np.testing.assert_allclose(rows["bartscore_backward"], backward, atol=1e-4)
    np.testing.assert_allclose(rows["bartscore_mean"], (np.asarray(forward) + backward) / 2, atol=1e-4)
    assert max(forward) < 0 and np.std(forward) > 0.1 and np.abs(np.subtract(forward, backward)).max() > 0.5
    told = bart.bart_score(PREDICTIONS[:20], REFERENCES[:20], bart.load(str(models["bart"])), exponential=True)
    assert told["bartscore_mean"] == pytest.approx([math.exp(value) for value in rows["bartscore_mean"][:20]], rel=1e-4)


def test_500_pairs_equal_sentence_transformers(models):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import pairwise_cos_sim

    encoder = SentenceTransformer(str(models["sbert"]), device="cpu")
    expected = pairwise_cos_sim(encoder.encode(PREDICTIONS), encoder.encode(REFERENCES))
    rows = sbert.sbert_cosine(PREDICTIONS, REFERENCES, sbert.load(str(models["sbert"])))
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert expected.std() > 0.05


def test_one_at_a_time_equals_eight_at_a_time(models):
    predictions, references = PREDICTIONS[:60], REFERENCES[:60]
    encoder, generator = bert.load(str(models["roberta"]), layer=3), bart.load(str(models["bart"]))
    sentences = sbert.load(str(models["sbert"]))
    for score in (
        lambda size: bert.bert_score(predictions, references, encoder, batch_size=size),
        lambda size: bart.bart_score(predictions, references, generator, batch_size=size),
        lambda size: {"cosine": sbert.sbert_cosine(predictions, references, sentences, batch_size=size)},
    ):
        one, eight = score(1), score(8)
        for name in one:
            np.testing.assert_allclose(one[name], eight[name], atol=1e-5, err_msg=name)
