"""METEOR, NLTK's: words matched exactly, by stem, by synonym (WordNet 3.0); harmonic mean, less a penalty for order.

An exact match of one word scores 0.5: one match is one chunk of one, and so the penalty is whole.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path

import datasets
import evaluate

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5  # NLTK's own, those of the paper of 2007
DEBIAN = Path("/usr/share/wordnet")

CITATION = """\
@inproceedings{lavie2007meteor,
  title={Meteor: An Automatic Metric for MT Evaluation with High Levels of Correlation with Human Judgments},
  author={Lavie, Alon and Agarwal, Abhaya},
  booktitle={WMT},
  year={2007}
}"""

INPUTS = """
predictions: list of texts.
references: list of texts, one a prediction.
alpha, beta, gamma: weight of precision, shape and size of the penalty (defaults 0.9, 3, 0.5).
Returns meteor (mean, 0..1) and rows: the same name, one value a row.
"""


def meteor(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    alpha: float = ALPHA,
    beta: float = BETA,
    gamma: float = GAMMA,
) -> list[float]:
    """One value a row, 0 where nothing matches."""
    from nltk.translate.meteor_score import single_meteor_score

    words, reader = functools.cache(_words), wordnet()
    return [
        single_meteor_score(words(reference), words(prediction), wordnet=reader, alpha=alpha, beta=beta, gamma=gamma)
        for prediction, reference in paired_texts(predictions, references)
    ]


def ceiling(words: int, *, beta: float = BETA, gamma: float = GAMMA) -> float:
    """The score of a perfect answer of so many words: one chunk, so a penalty of gamma / words ** beta."""
    return 1 - gamma / words**beta


def _words(text: str) -> list[str]:
    """As evaluate's own METEOR splits one sentence; its splitter of sentences would need another download."""
    from nltk.tokenize import word_tokenize

    return word_tokenize(text, preserve_line=True)


@functools.cache
def wordnet():  # noqa: ANN201
    """NLTK's reader of WordNet 3.0: its own corpus where it was downloaded, else Debian's files as they lie."""
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    class Reader(WordNetCorpusReader):
        def open(self, file: str):  # noqa: ANN202
            # Debian leaves this list out; it is the same in every WordNet.
            return io.StringIO(_lexnames()) if file == "lexnames" else super().open(file)

        def map_wn(self, version: str = "wordnet") -> None:
            """Numbers of other versions, for other languages: not needed, and half of the time to load."""

    for place in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            root = nltk.data.find(place)
            break
        except LookupError:
            continue
    else:
        if not (DEBIAN / "data.noun").is_file():
            raise LookupError(
                "WordNet 3.0 is not installed. Get NLTK's copy, python -m nltk.downloader wordnet, or Debian's, "
                "apt-get install wordnet-base; without it there is no score."
            )
        if str(DEBIAN) not in nltk.data.path:
            nltk.data.path.append(str(DEBIAN))  # NLTK opens no files outside the folders named here
        root = nltk.data.FileSystemPathPointer(str(DEBIAN))
    reader = Reader(root, False)  # no other languages; None would warn
    if reader.get_version() != "3.0":
        raise LookupError(f"WordNet at {root} is {reader.get_version()}; scores are defined on 3.0")
    return reader


def _lexnames() -> str:
    nouns = "Tops act animal artifact attribute body cognition communication event feeling food group location motive "
    nouns += "object person phenomenon plant possession process quantity relation shape state substance time"
    verbs = "body change cognition communication competition consumption contact creation emotion motion perception "
    verbs += "possession social stative weather"
    names = [(name, 3) for name in ("adj.all", "adj.pert")] + [("adv.all", 4)]
    names += [(f"noun.{name}", 1) for name in nouns.split()] + [(f"verb.{name}", 2) for name in verbs.split()]
    return "".join(f"{place:02d}\t{name}\t{part}\n" for place, (name, part) in enumerate([*names, ("adj.ppl", 3)]))


def paired_texts(predictions: Sequence[str], references: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs; anything but text on either side is refused by its place."""
    for what, texts in (("predictions", predictions), ("references", references)):
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"{what}[{place}]: {text!r} is not a text; leave out rows that have no answer")
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references; as many are needed")
    return list(zip(predictions, references, strict=True))


class Meteor(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(
        self,
        predictions: list[str],
        references: list[str],
        alpha: float = ALPHA,
        beta: float = BETA,
        gamma: float = GAMMA,
    ) -> dict:
        rows = meteor(predictions, references, alpha=alpha, beta=beta, gamma=gamma)
        return {"meteor": sum(rows) / len(rows), "rows": {"meteor": rows}}
