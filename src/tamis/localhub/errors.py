"""What the Hub answers when it says no: one exception, and the cases that clients tell apart."""

from __future__ import annotations


class HubError(Exception):
    """A refusal with its HTTP status; `code` becomes X-Error-Code, which the clients map to their exceptions."""

    def __init__(self, status: int, message: str, code: str | None = None, extra: dict | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.extra = extra or {}
        self.headers: dict[str, str] = {}


def bad_request(message: str) -> HubError:
    return HubError(400, message)


def invalid_token() -> HubError:
    # The clients compare this very sentence to tell a bad token from a missing repository.
    return HubError(401, "Invalid credentials in Authorization header")


def login_needed() -> HubError:
    return HubError(401, "This needs a token: set HF_TOKEN, or start through `python -m tamis.localhub run`")


def forbidden(message: str) -> HubError:
    return HubError(403, message)


def repo_not_found(repo_id: str) -> HubError:
    return HubError(404, f"Repository not found: {repo_id}", "RepoNotFound")


def revision_not_found(revision: str) -> HubError:
    return HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def entry_not_found(path: str, commit: str | None = None) -> HubError:
    error = HubError(404, f"Entry not found: {path}", "EntryNotFound")
    if commit:
        # Lets the clients remember that this commit has no such file.
        error.headers["X-Repo-Commit"] = commit
    return error


def conflict(message: str, **extra: str) -> HubError:
    return HubError(409, message, extra=extra)
