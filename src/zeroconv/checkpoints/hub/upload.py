"""A saved network to the Hugging Face hub."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, get_token

from zeroconv.checkpoints.hub.client import LOG_IN, client, offline, parse, translate_hub_errors

__all__ = ["push"]

UPLOADED = (".safetensors", ".json", ".md", ".png", ".jpg", ".jpeg", ".webp")


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
    with translate_hub_errors(repo, writing=True):
        client(token).create_repo(repo.repository, private=private, exist_ok=True)
        return client(token).create_commit(repo.repository, additions, commit_message=message).commit_url


def is_uploaded(path: Path) -> bool:
    """Whether a file belongs to what is published: of a known type, no link, not hidden."""
    return path.suffix in UPLOADED and path.is_file() and not path.is_symlink() and not path.name.startswith(".")
