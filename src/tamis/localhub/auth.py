"""Who asks, and what they may do.

A user writes to their own namespace and to the organisations they are in. `tiny` is an organisation that everybody
reads and nobody writes to: its repositories are seeded.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from tamis.durable import locked, write_json
from tamis.localhub.errors import HubError, bad_request, forbidden, invalid_token, login_needed, repo_not_found
from tamis.localhub.names import RepoName
from tamis.localhub.repo import Repo

DEFAULT_USER = "me"
READ_ONLY_ORGANISATION = "tiny"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,40}")


@dataclass(frozen=True)
class User:
    name: str
    token: str
    role: str = "write"
    organisations: tuple[str, ...] = ()

    def __repr__(self) -> str:
        # Tokens must not reach a log through a traceback or a failed assertion.
        return f"User({self.name!r}, role={self.role!r}, organisations={self.organisations!r})"

    def owns(self, namespace: str) -> bool:
        return namespace == self.name or namespace in self.organisations


def parse_user(text: str) -> User:
    """Reads NAME:TOKEN[:read|write][:ORG,...]."""
    name, _, rest = text.partition(":")
    token, *more = rest.split(":")
    role = more.pop(0) if more and more[0] in ("read", "write") else "write"
    organisations = tuple(filter(None, more.pop(0).split(","))) if more else ()
    if more or not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("a user is NAME:TOKEN[:read|write][:ORG,...]")
    for part in (name, *organisations):
        if not _NAME.fullmatch(part):
            raise ValueError(f"{part!r} is no user or organisation name")
    if READ_ONLY_ORGANISATION in (name, *organisations):
        raise ValueError(f"{READ_ONLY_ORGANISATION!r} is read-only: nobody can be or join it")
    return User(name, token, role, organisations)


class Users:
    """The known users, found by token."""

    def __init__(self, users: list[User]) -> None:
        names = [user.name for user in users]
        tokens = [user.token for user in users]
        if len(set(names)) < len(names) or len(set(tokens)) < len(tokens):
            raise ValueError("two users share a name or a token")
        self._users = users

    def by_name(self, name: str) -> User | None:
        return next((user for user in self._users if user.name == name), None)

    def from_header(self, authorization: str | None) -> User | None:
        """The user of an Authorization header, None without one; a token nobody has is refused (401)."""
        if not authorization:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            for user in self._users:
                if hmac.compare_digest(user.token.encode(), token.strip().encode("utf-8", "replace")):
                    return user
        raise invalid_token()


def can_read(user: User | None, repo: Repo) -> bool:
    return not repo.private or (user is not None and user.owns(repo.name.namespace))


def check_read(user: User | None, repo: Repo) -> None:
    """A private repository does not exist for those who may not read it."""
    if not can_read(user, repo):
        raise repo_not_found(repo.name.id)


def check_write(user: User | None, name: RepoName) -> User:
    """Returns the user when they may write to the namespace of `name`: 401 without a token, 403 otherwise."""
    user = check_can_propose(user)
    if name.namespace == READ_ONLY_ORGANISATION:
        raise forbidden(f"The organisation {READ_ONLY_ORGANISATION} is read-only: publish under {user.name}/ instead")
    if not user.owns(name.namespace):
        raise forbidden(f"{user.name} does not have the rights to write under {name.namespace}/")
    return user


def check_can_propose(user: User | None) -> User:
    """Anybody with a write token may open a pull request on what they can read."""
    if user is None:
        raise login_needed()
    if user.role != "write":
        raise forbidden(f"The token of {user.name} has the role {user.role}: writing needs a write token")
    return user


@dataclass(frozen=True)
class Credentials:
    """The token of the default user and the key that upload links are signed with; they stay in the state folder."""

    token: str
    key: str

    def __repr__(self) -> str:
        return "Credentials(...)"


def load_credentials(folder: Path) -> Credentials:
    """Reads the state folder's credentials, made on first use and readable by their owner alone."""
    path = folder / "credentials.json"
    with locked(folder / "credentials.lock"):
        if not path.exists():
            made = {"token": "hf_" + secrets.token_hex(17), "key": secrets.token_hex(32)}
            write_json(path, made, private=True)
        return Credentials(**json.loads(path.read_bytes()))


class Signer:
    """Signs upload links: clients send no token with the bytes of an LFS file."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def sign(self, *parts: object) -> str:
        return hmac.new(self._key, json.dumps(parts).encode(), "sha256").hexdigest()

    def check(self, signature: str, *parts: object) -> None:
        if not hmac.compare_digest(self.sign(*parts).encode(), signature.encode("utf-8", "replace")):
            raise HubError(403, "This upload link is not valid")


def checked_namespace(namespace: str | None, user: User) -> str:
    if namespace is not None and not isinstance(namespace, str):
        raise bad_request("organization must be a text")
    return namespace or user.name
