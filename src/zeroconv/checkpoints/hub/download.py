"""The hub: `owner/name[@revision]` to files on this machine, pinned to a commit, and a saved folder back to it."""

import glob
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import EntryNotFoundError

from zeroconv.checkpoints.hub.client import RepoRef, client, endpoint, is_hub_id, offline, parse, translate_hub_errors
from zeroconv.checkpoints.hub.file_selection import choose, no_weights

__all__ = ["Pinned", "download", "download_files", "endpoint", "is_hub_id", "offline", "pinned_name"]

TIMEOUT = 10.0  # seconds


@dataclass(frozen=True)
class Pinned:
    """What came from the hub.

    Attributes:
        path: the folder on this machine, or the file when the repository is one weight file.
        name: "owner/name@commit", which means the same bytes for ever.
    """

    path: Path
    name: str


def pinned_name(name_or_path: str | Path, path: Path) -> str:
    """What was opened, exactly: "owner/name@commit" for what came from the hub, else as it was called.

    Args:
        name_or_path: as the user called it.
        path: where it was found, in the hub's cache or elsewhere.
    """
    text, places = str(name_or_path), path.parts
    if "snapshots" not in places[:-1] or not is_hub_id(text):
        return text
    last = len(places) - 1 - places[::-1].index("snapshots")
    return f"{parse(text).repository}@{places[last + 1]}"


def download(
    hub_id: str, kind: str, revision: str | None = None, *, token: str | None = None, cache: Path | None = None
) -> Pinned:
    """The files of a base or ControlNet, fetched as far as they are not here yet.

    Safetensors, settings and vocabularies alone are asked for; no code of a repository is fetched or run. Without a
    network, what is in the cache is used.

    Args:
        hub_id: "owner/name" or "owner/name@revision".
        kind: "base" or "ControlNet".
        revision: branch, tag or commit, instead of the one in `hub_id`.
        token: for private repositories; that of the login if left out.
        cache: folder of the cache; huggingface_hub's own if left out.

    Raises:
        FileNotFoundError: when there is no such repository or revision, or it is not here and there is no network.
        PermissionError: when it is private or gated.
        ConnectionError: when the network fails on the way.
        OSError: when it cannot be stored.
        ValueError: when it has no safetensors weights, or one cannot know which are meant.
    """
    repo = parse(hub_id, revision)
    here = find_here(repo, cache)
    if offline():
        return from_cache(repo, kind, here, "HF_HUB_OFFLINE is set")
    try:
        commit, names = list_files(repo, token)
    except ConnectionError as error:
        return from_cache(repo, kind, here, str(error))
    files = choose(names, kind, repo.repository)
    if here is None or here.name != commit or not all((here / file).is_file() for file in files):
        here = fetch(repo, files, token, cache)
    return pin(repo, here, files)


def download_files(
    hub_id: str, choose_files: Callable[[Collection[str]], list[str]], mark: str, *, cache: Path | None = None
) -> Path:
    """The folder of a repository with those of its files that are chosen; what is here already is not asked for again.

    Args:
        hub_id: "owner/name" or "owner/name@revision".
        choose_files: from the names of the repository's files those that are needed; [] when they are not all there.
        mark: the file without which there is nothing to choose.
        cache: folder of the cache; huggingface_hub's own if left out.

    Raises:
        FileNotFoundError: when there is no such repository or revision, or nothing in it can be chosen.
        PermissionError: when it is private or gated.
        ConnectionError: when there is no network and it is not here.
    """
    if not is_hub_id(hub_id):
        raise FileNotFoundError("it is neither a folder nor owner/name[@revision] on the hub")
    repo = parse(hub_id)
    here = find_here(repo, cache)
    if here is not None and choose_files([path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()]):
        return here
    if offline():
        raise ConnectionError("HF_HUB_OFFLINE is set")
    commit, names = list_files(repo, None)
    files = choose_files(names)
    if not files:
        said = no_weights(names, "network", repo.repository) if mark in names else f"{repo.repository} has no {mark}"
        raise FileNotFoundError(said)
    return fetch(RepoRef(repo.repository, commit), files, None, cache)


def fetch(repo: RepoRef, files: list[str], token: str | None, cache: Path | None) -> Path:
    """The folder of a repository in the cache, after these of its files were fetched."""
    with translate_hub_errors(repo):
        patterns = [glob.escape(file) for file in files]
        found = client(token).snapshot_download(
            repo.repository, revision=repo.revision, cache_dir=cache, allow_patterns=patterns
        )
    return Path(found)


def find_here(repo: RepoRef, cache: Path | None) -> Path | None:
    """The folder of a repository in the cache, perhaps with some files only."""
    try:
        return Path(
            snapshot_download(
                repo.repository, revision=repo.revision, cache_dir=cache, local_files_only=True, allow_patterns=[]
            )
        )
    except EntryNotFoundError:
        return None


def from_cache(repo: RepoRef, kind: str, here: Path | None, why: str) -> Pinned:
    """What is in the cache, if it is complete; `why` nothing else can be had."""
    wanted = repo.repository + (f"@{repo.revision}" if repo.revision else "")
    advice = "fetch it once with a network, or give a folder or file that is here"
    if here is None:
        raise FileNotFoundError(f"there is no {kind} {wanted!r} on this machine ({why}): {advice}")
    names = [path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()]
    try:
        files = choose(names, kind, repo.repository)
    except ValueError as error:
        raise FileNotFoundError(f"{wanted} is not complete on this machine: {error} ({why}); {advice}") from error
    return pin(repo, here, files)


def pin(repo: RepoRef, folder: Path, files: list[str]) -> Pinned:
    """The result; `folder` is named after its commit."""
    path = folder / files[0] if len(files) == 1 else folder
    return Pinned(path, f"{repo.repository}@{folder.name}")


def list_files(repo: RepoRef, token: str | None) -> tuple[str, list[str]]:
    """The commit that was asked for, and the names of its files."""
    with translate_hub_errors(repo):
        info = client(token).model_info(repo.repository, revision=repo.revision, timeout=TIMEOUT)
    assert info.sha, "every answer names its commit"
    return info.sha, [file.rfilename for file in info.siblings or []]
