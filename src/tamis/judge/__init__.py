"""A model that looks and answers: `decide` typed questions with a probability per option, `write` texts.

A judge is a frozen dataclass of settings with these two verbs: `LocalJudge` runs a model of transformers here,
`ApiJudge` asks a server.
"""

from tamis.judge.api import ApiJudge
from tamis.judge.api_calls import ApiError, SpendingCapError
from tamis.judge.asking import Ask, Request
from tamis.judge.local import LocalJudge

__all__ = ["ApiError", "ApiJudge", "Ask", "LocalJudge", "Request", "SpendingCapError"]
