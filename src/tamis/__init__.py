"""tamis: score the rows of a Hub dataset, keep the best, adapt a model on them, measure it, publish it."""

__version__ = "0.1.0"
