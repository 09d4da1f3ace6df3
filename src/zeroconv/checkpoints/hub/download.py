"""The hub: `owner/name[@revision]` to files on this machine, pinned to a commit, and a saved folder back to it."""

import glob
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, get_token, snapshot_download
from huggingface_hub.errors import EntryNotFoundError

from zeroconv.checkpoints.hub.client import LOG_IN, RepoRef, client, endpoint, is_hub_id, offline, one_line, parse
from zeroconv.checkpoints.hub.file_selection import choose, no_weights

__all__ = ["Pinned", "download", "download_files", "endpoint", "is_hub_id", "offline", "pinned_name", "push"]

UPLOADED = (".safetensors", ".json", ".md", ".png", ".jpg", ".jpeg", ".webp")
PATIENCE = 10.0  # seconds


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
    with one_line(repo):
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
    with one_line(repo):
        info = client(token).model_info(repo.repository, revision=repo.revision, timeout=PATIENCE)
    assert info.sha, "every answer names its commit"
    return info.sha, [file.rfilename for file in info.siblings or []]


def push(
    folder: str | Path, hub_id: str, private: bool = False, token: str | None = None, message: str = "Upload a ControlNet"
) -> str:
    """Upload a saved folder as one commit: settings, weights, model card and pictures.

    Args:
        folder: such as `ControlNet.save_pretrained` writes.
        hub_id: "owner/name"; made if it is not there.
        private: whether a new repository is private.
        token: with the right to write; that of the login if left out.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        ValueError: when there are no weights in `folder`, or the hub refuses what is in it.
        PermissionError: without a token, or with one that may not write there.
        ConnectionError: when the hub cannot be reached.
    """
    folder, repo = Path(folder), parse(hub_id)
    if repo.revision is not None:
        raise ValueError(f"got {hub_id!r}; expected owner/name without a revision: a push goes to the main branch")
    files = sorted(path for path in folder.rglob("*") if is_uploaded(path))
    if not any(path.suffix == ".safetensors" for path in files):
        raise ValueError(f"{folder} has no safetensors weights to upload; expected a folder that save_pretrained wrote")
    if offline():
        raise ConnectionError("HF_HUB_OFFLINE is set, so nothing can be uploaded: unset it")
    if token is None and get_token() is None:
        raise PermissionError(f"no token to upload with: {LOG_IN}")
    additions = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in files]
    with one_line(repo, writing=True):
        client(token).create_repo(repo.repository, private=private, exist_ok=True)
        return client(token).create_commit(repo.repository, additions, commit_message=message).commit_url


def is_uploaded(path: Path) -> bool:
    """Whether a file belongs to what is published: of a known type, no link, not hidden."""
    return path.suffix in UPLOADED and path.is_file() and not path.is_symlink() and not path.name.startswith(".")
