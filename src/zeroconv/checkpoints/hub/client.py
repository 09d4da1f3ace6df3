"""The hub's border: names of repositories, its address, when to be silent, and every failure as one line."""

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from zeroconv.version import __version__

__all__ = ["LOG_IN", "RepoRef", "client", "endpoint", "is_hub_id", "offline", "parse", "translate_hub_errors"]

HUB_ID = re.compile(
    r"(?!.*\.\.)(?P<repository>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95})(?:@(?P<revision>\w[\w./+-]*))?", re.ASCII
)
FILES = (".safetensors", ".ckpt", ".pth", ".pt", ".bin")  # "runs/control.safetensors" is a path
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


@dataclass(frozen=True)
class RepoRef:
    """A repository and the branch, tag or commit that was asked for; None is its main branch."""

    repository: str
    revision: str | None


def is_hub_id(text: str) -> bool:
    """Whether `text` reads "owner/name" or "owner/name@revision" and is no path on this machine."""
    found = HUB_ID.fullmatch(text)
    return found is not None and not found["repository"].endswith(FILES) and not Path(text).exists()


def parse(hub_id: str, revision: str | None = None) -> RepoRef:
    """The parts of a hub id.

    Raises:
        ValueError: when it is none, or names a revision and another one is given.
    """
    found = HUB_ID.fullmatch(hub_id)
    if found is None:
        raise ValueError(f"got {hub_id!r}; expected a name on the hub: owner/name or owner/name@revision")
    if revision is not None and found["revision"] not in (None, revision):
        raise ValueError(f"got {hub_id!r} and revision {revision!r}; expected one of the two")
    return RepoRef(found["repository"], revision or found["revision"])


def endpoint() -> str:
    """The hub's address: HF_ENDPOINT as it is now, or huggingface_hub's own."""
    return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")


def offline() -> bool:
    """Whether HF_HUB_OFFLINE asks for silence, now or when huggingface_hub was imported."""
    return constants.is_offline_mode() or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def client(token: str | None) -> HfApi:
    """A client that tells the hub nothing about this machine."""
    constants.HF_HUB_DISABLE_TELEMETRY = True  # the variable of that name is read once, perhaps before our time
    return HfApi(endpoint=endpoint(), token=token, library_name="zeroconv", library_version=__version__)


@contextmanager
def translate_hub_errors(repo: RepoRef, writing: bool = False) -> Generator[None]:
    """Every failure of the hub's client as one line of a kind that callers know."""
    try:
        yield
    except HfHubHTTPError as error:
        raise refusal(error, repo, writing) from error
    except EntryNotFoundError as error:  # the client looked into the cache after the hub failed
        raise ConnectionError(f"{endpoint()} failed while {repo.repository} was fetched: try again") from error
    except ValueError as error:
        raise ValueError(f"{repo.repository}: {' '.join(str(error).split())}") from error
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise OSError(f"cannot {'upload' if writing else 'store'} {repo.repository}: {reason}") from error
    except Exception as error:  # the transport's own kinds, sometimes wrapped
        cause = error.__cause__ or error
        if isinstance(cause, HfHubHTTPError):
            raise refusal(cause, repo, writing) from error
        reason = str(cause).strip().partition("\n")[0]
        said = f"no answer that can be used from {endpoint()} for {repo.repository}"
        raise ConnectionError(f"{said}: {type(cause).__name__}: {reason}") from error


def refusal(error: HfHubHTTPError, repo: RepoRef, writing: bool) -> Exception:
    """What an answer of the hub means."""
    status, name = error.response.status_code, repo.repository
    if writing and status in (401, 403, 404):
        return PermissionError(f"{endpoint()} does not let this token write to {name} ({status}): {LOG_IN}, with the right to")
    if isinstance(error, GatedRepoError):
        return PermissionError(f"{name} is gated: accept its conditions at {endpoint()}/{name}, then {LOG_IN}")
    if isinstance(error, RevisionNotFoundError):
        return FileNotFoundError(f"{name} has no revision {repo.revision!r}; expected a branch, a tag or a whole commit hash")
    if isinstance(error, RepositoryNotFoundError):
        return FileNotFoundError(
            f"no folder {name!r} here and no such model at {endpoint()}: check the spelling; if it is private, {LOG_IN}"
        )
    if status in (401, 403):
        return PermissionError(f"{endpoint()} does not let you read {name} ({status}): {LOG_IN}")
    if status == 400:
        return ValueError(f"{endpoint()} refuses the request for {name}: {error.server_message or 'no reason given'}")
    return ConnectionError(f"{endpoint()} answered {status} for {name}: try again later")
