"""A Hub of its own for these tests, with more users than the default one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tamis.localhub import LiveHub, User, live

if TYPE_CHECKING:
    from huggingface_hub import HfApi

USERS = [
    User("reader", "hf_reader", "read"),
    User("other", "hf_other"),
    User("member", "hf_member", organisations=("lab",)),
]


@pytest.fixture(scope="module")
def own_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with live(tmp_path_factory.mktemp("hub"), users=USERS) as hub:
        yield hub


@pytest.fixture
def api(own_hub: LiveHub) -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(endpoint=own_hub.url, token=own_hub.token)


@pytest.fixture
def as_user(own_hub: LiveHub):
    """`as_user('reader')` asks under that user's token, `as_user(None)` under none."""

    from huggingface_hub import HfApi

    def ask(name: str | None) -> HfApi:
        return HfApi(endpoint=own_hub.url, token=f"hf_{name}" if name else False)

    return ask


@pytest.fixture
def repo(api: HfApi, request: pytest.FixtureRequest) -> str:
    """An empty model repository named after the test."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name).strip("-")
    return api.create_repo(f"me/{name}").repo_id


@pytest.fixture
def python_path() -> dict[str, str]:
    """What a child process needs to import this very `tamis`."""
    import tamis.localhub

    source = str(Path(tamis.localhub.__file__).parents[2])
    return {"PYTHONPATH": os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))}
