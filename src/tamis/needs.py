"""What a scorer needs to be installed, looked for when it is built: no run is to end for it after its training."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tamis.config import ConfigError

EXTRAS = {"nltk": "wordnet", "sentence_transformers": "sentence"}  # of setup.cfg; others come with this package
# The places where the metrics wups and meteor look.
CORPUS = ("corpora/wordnet", "corpora/wordnet.zip/wordnet/")
DEBIAN = Path("/usr/share/wordnet")


def refuse_without(*packages: str) -> None:
    """They are found, and not imported."""
    for name in packages:
        if importlib.util.find_spec(name) is None:
            project, extra = name.replace("_", "-"), f"[{EXTRAS[name]}]" if name in EXTRAS else ""
            raise ConfigError(f"the package {project} is not installed: pip install {project}, or tamis{extra}")


def refuse_without_wordnet() -> None:
    """Its files are there, or not; they are not read. NLTK, which takes seconds to import, is asked last."""
    refuse_without("nltk")
    if (DEBIAN / "data.noun").is_file():
        return
    import nltk.data

    for place in CORPUS:
        try:
            nltk.data.find(f"{place.rstrip('/')}/data.noun")
            return
        except LookupError:
            continue
    raise ConfigError(
        "WordNet 3.0 is not installed. Get NLTK's copy, python -m nltk.downloader wordnet, or Debian's, "
        "apt-get install wordnet-base"
    )
