"""What several tests ask of the Hub."""

from __future__ import annotations

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError


def status_of(call, *arguments, **keywords) -> int:
    with pytest.raises(HfHubHTTPError) as caught:
        call(*arguments, **keywords)
    return caught.value.response.status_code


def read(api: HfApi, repo: str, path: str, revision: str = "main", repo_type: str = "model") -> bytes:
    prefix = {"model": "", "dataset": "datasets/"}[repo_type]
    quoted = revision.replace("/", "%2F")
    answer = httpx2.get(
        f"{api.endpoint}/{prefix}{repo}/resolve/{quoted}/{path}", headers={"Authorization": f"Bearer {api.token}"}
    )
    answer.raise_for_status()
    return answer.content
