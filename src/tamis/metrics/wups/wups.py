"""WUPS: exact match softened by WordNet: Wu-Palmer similarity of words, of little worth below a threshold.

The published definition at thresholds 0.9 and 0.0, their weighting, and the variant of the Amazon Berkeley Objects
report's repository under its own name, wups_report_0.9. WordNet 3.0, by NLTK.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Sequence
from pathlib import Path

import datasets
import evaluate

STRICT, LENIENT = 0.9, 0.0
STRICT_SHARE = 0.9  # of wups_weighted; the rest is WUPS@0.0. The report states no weights, its notebook these
BELOW_THRESHOLD = 0.1  # what a similarity below the threshold still counts for
KEPT_PAIRS = 2**18  # pairs of words whose similarity is remembered
DEBIAN = Path("/usr/share/wordnet")

CITATION = """\
@inproceedings{malinowski2014multi,
  title={A Multi-World Approach to Question Answering about Real-World Scenes based on Uncertain Input},
  author={Malinowski, Mateusz and Fritz, Mario},
  booktitle={NeurIPS},
  year={2014}
}
@inproceedings{wu1994verbs,
  title={Verb Semantics and Lexical Selection},
  author={Wu, Zhibiao and Palmer, Martha},
  booktitle={ACL},
  year={1994}
}"""

INPUTS = """
predictions: list of texts; items of a set are separated by commas.
references: list of texts, one a prediction.
strict_share: weight of wups_0.9 in wups_weighted (default 0.9); the rest is wups_0.0's.
Returns wups_0.9, wups_0.0, wups_weighted, wups_report_0.9 (means, 0..1) and rows: the same names, one value a row.
"""


def wups(
    predictions: Sequence[str], references: Sequence[str], *, strict_share: float = STRICT_SHARE
) -> dict[str, list[float]]:
    """All four, one value a row."""
    if not 0 <= strict_share <= 1:
        raise ValueError(f"strict_share: {strict_share} is not accepted; expected 0 to 1")
    pairs = paired_texts(predictions, references)
    strict = [set_wups(*pair, threshold=STRICT) for pair in pairs]
    lenient = [set_wups(*pair, threshold=LENIENT) for pair in pairs]
    return {
        "wups_0.9": strict,
        "wups_0.0": lenient,
        "wups_weighted": [strict_share * a + (1 - strict_share) * b for a, b in zip(strict, lenient, strict=True)],
        "wups_report_0.9": [report_wups(*pair, threshold=STRICT) for pair in pairs],
    }


def set_wups(prediction: str, reference: str, *, threshold: float) -> float:
    """The published score of two sets: min of the products, over either side, of each item's best in the other."""
    answered, true = _items(prediction), _items(reference)
    if not answered or not true:
        return 0.0
    by_answer = math.prod(max(_soft(a, t, threshold) for t in true) for a in answered)
    by_truth = math.prod(max(_soft(a, t, threshold) for a in answered) for t in true)
    return min(by_answer, by_truth)


def report_wups(prediction: str, reference: str, *, threshold: float) -> float:
    """The variant of the report's repository: 1 from the threshold on, below it the similarity itself, of any part of
    speech; no shortcut for equal words. Mean over the prediction's words of each one's best in the reference."""
    answered, true = prediction.lower().split(), reference.lower().split()
    if not answered or not true:
        return 0.0
    best = [max(similarity(a, t, nouns=False) for t in true) for a in answered]
    return sum(1.0 if score >= threshold else score for score in best) / len(best)


@functools.lru_cache(maxsize=KEPT_PAIRS)
def similarity(word: str, other: str, *, nouns: bool = True) -> float:
    """The largest Wu-Palmer similarity of any two meanings, 0..1; 0 where WordNet lacks one of the words."""
    best = 0.0
    for left in _meanings(word, nouns):
        for right in _meanings(other, nouns):
            best = max(best, left.wup(right))
            if best >= 1.0:
                return 1.0
    return best


def _items(text: str) -> tuple[str, ...]:
    """A set as the authors write it: 'chair, table'. Compounds have underscores, theirs and WordNet's spelling."""
    items = (" ".join(item.split()).replace(" ", "_").lower() for item in text.split(","))
    return tuple(dict.fromkeys(filter(None, items)))


def _soft(word: str, other: str, threshold: float) -> float:
    if word == other:
        return 1.0
    score = similarity(word, other)
    return score if score >= threshold else BELOW_THRESHOLD * score


@functools.lru_cache(maxsize=2**16)
def _meanings(word: str, nouns: bool) -> list[Meaning]:
    reader = wordnet()
    return [_meaning(synset.name()) for synset in reader.synsets(word, reader.NOUN if nouns else None)]


@functools.cache
def _meaning(name: str) -> Meaning:
    return Meaning(wordnet().synset(name))


class Meaning:
    """A synset with what Wu-Palmer needs of it: NLTK walks the whole hierarchy again for each pair (100 times slower).

    Same values as NLTK's wup_similarity: the common ancestor is the one with the largest *least* depth, its depth is
    then the *largest*, and what is not a noun hangs below an invented root.
    """

    ROOT = "*ROOT*"

    def __init__(self, synset) -> None:  # noqa: ANN001
        self.name = synset.name()
        self.rooted = synset.pos() == "n"
        parents = [_meaning(parent.name()) for parent in synset.hypernyms() + synset.instance_hypernyms()]
        self.least_depth = 1 + min((parent.least_depth for parent in parents), default=-1)
        self.most_depth = 1 + max((parent.most_depth for parent in parents), default=-1)
        self.up = {self.name: 0}  # edges to each ancestor, the shortest way
        for parent in parents:
            for ancestor, edges in parent.up.items():
                self.up[ancestor] = min(edges + 1, self.up.get(ancestor, edges + 1))
        self.up_to_root = self.up | {self.ROOT: max(self.up.values()) + 1}
        # The first of these that is the other's too is the common ancestor: deepest first, then itself, then by name.
        depths = {name: self.least_depth if name == self.name else _meaning(name).least_depth for name in self.up}
        self.order = sorted(depths, key=lambda name: (-depths[name], name != self.name, name))
        depths[self.ROOT] = 0
        self.order_to_root = sorted(depths, key=lambda name: (-depths[name], name != self.name, name))
        self._ways: dict[tuple[str, bool], tuple[int, int]] = {}

    def wup(self, other: Meaning) -> float:
        simulated = not (self.rooted and other.rooted)
        order, theirs = (self.order_to_root, other.up_to_root) if simulated else (self.order, other.up)
        for ancestor in order:
            if ancestor in theirs:
                depth, edges = self._way(ancestor, simulated)
                return 2 * depth / (edges + other._way(ancestor, simulated)[1] + 2 * depth)
        return 0.0

    def _way(self, ancestor: str, simulated: bool) -> tuple[int, int]:
        """The ancestor's depth, and the shortest way to it, be it over an ancestor of both."""
        key = (ancestor, simulated)
        if key not in self._ways:
            if ancestor == self.ROOT:
                self._ways[key] = 1, self.up_to_root[self.ROOT]
            else:
                above = _meaning(ancestor)
                ours, theirs = (self.up_to_root, above.up_to_root) if simulated else (self.up, above.up)
                edges = min(ours[name] + theirs[name] for name in ours.keys() & theirs.keys())
                self._ways[key] = above.most_depth + 1, edges
        return self._ways[key]


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


class Wups(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str], strict_share: float = STRICT_SHARE) -> dict:
        rows = wups(predictions, references, strict_share=strict_share)
        return {name: sum(values) / len(values) for name, values in rows.items()} | {"rows": rows}
