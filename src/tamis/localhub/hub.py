"""What every request handler shares: the store, the users, the signer; and the repository that a request speaks of."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from tamis.localhub import pulls
from tamis.localhub.auth import Signer, User, Users, check_can_propose, check_read, check_write
from tamis.localhub.commits import Commit
from tamis.localhub.names import RepoName
from tamis.localhub.repo import MAIN, Repo
from tamis.localhub.store import Store


@dataclass(frozen=True)
class Hub:
    store: Store
    users: Users
    signer: Signer
    # Tells one server from another that took over its port.
    identity: str
    # Whether pages show their reader what the default user may see; see `pages`.
    pages_as_default_user: bool


def hub_of(request: Request) -> Hub:
    return request.app.state.hub


def user_of(request: Request) -> User | None:
    return hub_of(request).users.from_header(request.headers.get("authorization"))


def name_of(request: Request) -> RepoName:
    """The repository that an address names; api addresses have the type in the plural, pages of models none."""
    plural: str = request.path_params.get("type", "models")
    return RepoName(plural[:-1], request.path_params["ns"], request.path_params["name"])


def readable_repo(request: Request) -> Repo:
    user = user_of(request)
    repo = hub_of(request).store.repo(name_of(request))
    check_read(user, repo)
    return repo


def writable_repo(request: Request) -> tuple[Repo, User]:
    repo = readable_repo(request)
    return repo, check_write(user_of(request), repo.name)


def proposable_repo(request: Request) -> tuple[Repo, User]:
    """For pull requests: readable by a user whose token writes somewhere."""
    repo = readable_repo(request)
    return repo, check_can_propose(user_of(request))


def pushable_repo(request: Request, revision: str | None, *, opens_pull_request: bool) -> tuple[Repo, User]:
    """For pushes: to a branch by those who may write, to a pull request also by its author."""
    if opens_pull_request or revision is None:
        return proposable_repo(request)
    if revision.startswith("refs/pr/"):
        repo, user = proposable_repo(request)
        pulls.check_may_push(repo, revision, user)
        return repo, user
    return writable_repo(request)


def revision_of(request: Request, repo: Repo) -> Commit:
    return repo.resolve(request.path_params.get("rev", MAIN))
