"""From the hub and back to it, against a small hub on this machine: what is asked for, pinned, kept, and refused."""

import re
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

from tests.checkpoints.fake_hub import READER, WRITER, FakeHub, serve
from tests.tiny import build_control
from zeroconv.checkpoints import resolve
from zeroconv.checkpoints.hub.download import download, endpoint, is_hub_id, pinned_name
from zeroconv.checkpoints.hub.upload import push
from zeroconv.control import ControlNet
from zeroconv.publishing import model_card, push_to_hub
from zeroconv.stable_diffusion import StableDiffusion

CONTROL = {
    "config.json": b"{}",
    "diffusion_pytorch_model.safetensors": b"full",
    "diffusion_pytorch_model.fp16.safetensors": b"half",
    "diffusion_pytorch_model.bin": b"pickle",
    "README.md": b"words",
    "modeling.py": b"raise SystemExit",
}
WANTED = {"config.json", "diffusion_pytorch_model.safetensors"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """A hub of our own, an empty cache, nobody logged in."""
    huggingface_hub.close_session()
    with serve() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        yield running
    huggingface_hub.close_session()


def line_of(error: pytest.ExceptionInfo[BaseException]) -> str:
    """The message, which must be one line."""
    message = str(error.value)
    assert message and "\n" not in message and len(message) < 400
    return message


@pytest.mark.parametrize("text", ["owner/name", "owner/name@main", "Some-1/name.v2@refs/pr/3", f"a/b@{'0' * 40}"])
def test_names_on_the_hub(text: str) -> None:
    assert is_hub_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "tiny",
        "/owner/name",
        "./owner/name",
        "../name",
        "a/b/c",
        "a/../b",
        "owner/name.safetensors",
        "a/b@",
        "a/b@../x",
        "a b/c",
    ],
)
def test_what_is_no_name_on_the_hub(text: str) -> None:
    assert not is_hub_id(text)


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not is_hub_id("owner/name") and is_hub_id("owner/other")


def test_only_what_is_needed_is_asked_for(hub: FakeHub, tmp_path: Path) -> None:
    commit = hub.publish("owner/canny", CONTROL)
    pinned = download("owner/canny", "ControlNet")
    assert pinned.name == f"owner/canny@{commit}" == pinned_name("owner/canny", pinned.path)
    assert hub.fetched("owner/canny") == WANTED
    assert {path.name for path in pinned.path.iterdir()} == WANTED
    assert (pinned.path / "diffusion_pytorch_model.safetensors").read_bytes() == b"full"
    assert str(pinned.path).startswith(str(tmp_path / "cache"))
    assert all("torch/" not in request.agent and "zeroconv/" in request.agent for request in hub.requests)


def test_what_is_here_is_not_asked_for_again(hub: FakeHub) -> None:
    hub.publish("owner/canny", CONTROL)
    first = download("owner/canny", "ControlNet")
    hub.requests.clear()
    assert download("owner/canny", "ControlNet") == first
    assert [request.path for request in hub.requests] == ["/api/models/owner/canny"]


def test_a_branch_moves_and_a_commit_does_not(hub: FakeHub) -> None:
    old = hub.publish("owner/canny", CONTROL)
    download("owner/canny", "ControlNet")
    new = hub.publish("owner/canny", {**CONTROL, "diffusion_pytorch_model.safetensors": b"newer"})
    newest, pinned = download("owner/canny", "ControlNet"), download(f"owner/canny@{old}", "ControlNet")
    assert (newest.name, pinned.name) == (f"owner/canny@{new}", f"owner/canny@{old}")
    contents = [(found.path / "diffusion_pytorch_model.safetensors").read_bytes() for found in (newest, pinned)]
    assert contents == [b"newer", b"full"]
    assert download("owner/canny", "ControlNet", revision=old) == pinned
    with pytest.raises(ValueError, match="expected one of the two"):
        download(f"owner/canny@{old}", "ControlNet", revision=new)


def test_a_repository_that_is_one_file(hub: FakeHub) -> None:
    commit = hub.publish("owner/merged", {"merged [v2].safetensors": b"all", "README.md": b"", "merged.ckpt": b"pickle"})
    pinned = download("owner/merged", "base")
    assert pinned.path.name == "merged [v2].safetensors" and pinned.path.read_bytes() == b"all"
    assert pinned.name == f"owner/merged@{commit}" == pinned_name("owner/merged@main", pinned.path)
    assert hub.fetched("owner/merged") == {"merged%20%5Bv2%5D.safetensors"}


@pytest.mark.parametrize("how", ["setting", "no network", "broken"])
def test_without_a_network_the_cache_serves(hub: FakeHub, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.publish("owner/canny", CONTROL)
    first = download("owner/canny", "ControlNet")
    cut_off(hub, how, monkeypatch)
    hub.requests.clear()
    assert download("owner/canny", "ControlNet") == first == download(first.name, "ControlNet")
    assert how == "broken" or not hub.requests
    with pytest.raises(FileNotFoundError) as caught:
        download("owner/never", "ControlNet")
    said = line_of(caught)
    assert "there is no ControlNet 'owner/never' on this machine" in said and "fetch it once with a network" in said
    assert {"setting": "HF_HUB_OFFLINE is set", "no network": "no answer that can be used from http", "broken": "answered 500"}[
        how
    ] in said


def cut_off(hub: FakeHub, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "setting":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    elif how == "broken":
        hub.broken = 500
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")


def test_an_interrupted_download_is_not_taken_for_whole(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.publish("owner/canny", CONTROL)
    pinned = download("owner/canny", "ControlNet")
    (pinned.path / "diffusion_pytorch_model.safetensors").unlink()
    with monkeypatch.context() as offline, pytest.raises(FileNotFoundError, match="is not complete on this machine") as caught:
        offline.setenv("HF_HUB_OFFLINE", "1")
        download("owner/canny", "ControlNet")
    line_of(caught)
    assert download("owner/canny", "ControlNet") == pinned
    assert (pinned.path / "diffusion_pytorch_model.safetensors").read_bytes() == b"full"


def test_what_the_hub_refuses_is_one_line(hub: FakeHub) -> None:
    hub.publish("owner/gated", CONTROL, gated=True)
    hub.publish("owner/private", CONTROL, private=True)
    hub.publish("owner/open", CONTROL)
    hub.publish("owner/pickle", {"config.json": b"{}", "diffusion_pytorch_model.bin": b"", "x.py": b""})
    refusals: list[tuple[str, dict[str, Any], type[Exception], str]] = [
        ("owner/none", {}, FileNotFoundError, "no folder 'owner/none' here and no such model at"),
        ("owner/private", {}, FileNotFoundError, "if it is private, log in"),
        ("owner/gated", {}, PermissionError, "owner/gated is gated: accept its conditions at"),
        ("owner/gated", {"token": READER}, PermissionError, "is gated"),
        ("owner/open@v9", {}, FileNotFoundError, "owner/open has no revision 'v9'; expected a branch, a tag"),
        ("owner/pickle", {}, ValueError, "owner/pickle has no safetensors weights, and nothing else is opened"),
        ("owner/a--b", {}, ValueError, "owner/a--b"),
        ("not a name", {}, ValueError, "expected a name on the hub: owner/name"),
    ]
    for name, options, kind, words in refusals:
        with pytest.raises(kind) as caught:
            download(name, "ControlNet", **options)
        assert words in line_of(caught), name
    assert hub.fetched("owner/pickle") == set()
    assert download("owner/private", "ControlNet", token=WRITER).path.is_dir()


def test_the_token_stays_at_the_hub(hub: FakeHub) -> None:
    hub.publish("owner/private", CONTROL, private=True)
    download("owner/private", "ControlNet", token=WRITER)
    assert {request.token for request in hub.requests if request.path.startswith("/blobs/")} == {None}
    assert {request.token for request in hub.requests if not request.path.startswith("/blobs/")} == {WRITER}


def test_a_place_that_cannot_be_written_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    hub.publish("owner/canny", CONTROL)
    (tmp_path / "cache").write_text("a file where the cache should be")
    with pytest.raises(OSError, match=r"^cannot store owner/canny: ") as caught:
        download("owner/canny", "ControlNet")
    line_of(caught)


def test_a_name_leads_to_its_folder(hub: FakeHub, unet: Any, tmp_path: Path) -> None:
    network = build_control(unet, seed=1)
    saved = network.save_pretrained(tmp_path / "saved")
    hub.publish("owner/canny", {path.name: path.read_bytes() for path in saved.iterdir()})
    assert resolve("owner/canny", "ControlNet") == download("owner/canny", "ControlNet").path
    with pytest.raises(FileNotFoundError, match="no annotator called 'owner/canny'"):
        resolve("owner/canny", "annotator")


UPLOADING = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")  # of the hub's own client


@UPLOADING
def test_a_round_trip_through_the_hub(hub: FakeHub, unet: Any, tmp_path: Path) -> None:
    network = build_control(unet, seed=1)
    saved = network.save_pretrained(tmp_path / "saved")
    (saved / "README.md").write_text(model_card(network.config, samples="samples.png", name="owner/fresh"), "utf-8")
    (saved / "samples.png").write_bytes(b"picture")
    for name in ("run.py", "state.bin", ".hidden.json"):
        (saved / name).write_text("stays here", "utf-8")
    (saved / "link.json").symlink_to(tmp_path / "elsewhere.json")
    url = push(saved, "owner/fresh", token=WRITER, message="First")
    assert url == f"{hub.address}/owner/fresh/commit/{hub.repositories['owner/fresh'].names['main']}" and hub.messages == [
        "First"
    ]
    published = hub.repositories["owner/fresh"].commits[url.rpartition("/")[2]]
    assert published.keys() == {".gitattributes", "README.md", "samples.png", *WANTED}
    opened = ControlNet.from_pretrained(download("owner/fresh", "ControlNet").path).state_dict()
    assert all(torch.equal(tensor, opened[name]) for name, tensor in network.state_dict().items())
    assert hub.fetched("owner/fresh") == WANTED
    assert not hub.repositories["owner/fresh"].private


@UPLOADING
def test_pushing_again_is_another_commit_of_the_same_repository(hub: FakeHub, unet: Any, tmp_path: Path) -> None:
    saved = build_control(unet, seed=1).save_pretrained(tmp_path / "saved")
    first = push(saved, "owner/mine", private=True, token=WRITER)
    second = push(build_control(unet, seed=2).save_pretrained(tmp_path / "saved"), "owner/mine", token=WRITER)
    assert first != second and len(hub.repositories["owner/mine"].commits) == 3
    assert hub.repositories["owner/mine"].private


def test_what_cannot_be_pushed_is_one_line(hub: FakeHub, unet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = build_control(unet).save_pretrained(tmp_path / "saved")
    (tmp_path / "empty").mkdir()
    pushes: list[tuple[Path, str, str | None, type[Exception], str]] = [
        (saved, "owner/fresh", None, PermissionError, "no token to upload with: log in with"),
        (saved, "owner/fresh", READER, PermissionError, "does not let this token write to owner/fresh"),
        (saved, "owner/fresh@main", WRITER, ValueError, "without a revision"),
        (saved, "fresh", WRITER, ValueError, "expected a name on the hub: owner/name"),
        (tmp_path / "empty", "owner/fresh", WRITER, ValueError, "has no safetensors weights to upload"),
        (tmp_path / "none", "owner/fresh", WRITER, ValueError, "has no safetensors weights to upload"),
    ]
    for folder, name, token, kind, words in pushes:
        with pytest.raises(kind) as caught:
            push(folder, name, token=token)
        assert words in line_of(caught), name
    assert "owner/fresh" not in hub.repositories
    (saved / "README.md").write_text("---\nbase_model: nowhere\n---\n", "utf-8")
    with pytest.raises(ValueError, match=r"owner/fresh: .*base_model.* is not valid") as caught:
        push(saved, "owner/fresh", token=WRITER)
    line_of(caught)
    for how in ("no network", "setting"):
        cut_off(hub, how, monkeypatch)
        with pytest.raises(ConnectionError, match=r"no answer that can be used from http|HF_HUB_OFFLINE is set") as caught:
            push(saved, "owner/fresh", token=WRITER)
        line_of(caught)


def test_the_address_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert endpoint() == constants.ENDPOINT
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example/")
    assert endpoint() == "http://mirror.example"


def test_nothing_that_was_fetched_can_be_run(hub: FakeHub) -> None:
    hub.publish("owner/canny", CONTROL)
    files = [path.resolve() for path in download("owner/canny", "ControlNet").path.iterdir()]
    executable = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
    assert files and not any(path.stat().st_mode & executable or re.search(r"\.py$", path.name) for path in files)


@UPLOADING
def test_a_controlnet_is_pushed_with_its_card_and_opened_by_its_name(hub: FakeHub, unet: Any) -> None:
    network = build_control(unet, seed=1)
    network.config = replace(network.config, base="owner/base", condition="canny")
    url = push_to_hub(network, "owner/canny", token=WRITER, licence="apache-2.0", metrics={"edge F1": 0.5})
    commit = url.rpartition("/")[2]
    opened = ControlNet.from_pretrained("owner/canny")
    assert opened.name == f"owner/canny@{commit}" and opened.config.condition == "canny"
    assert all(torch.equal(tensor, opened.state_dict()[name]) for name, tensor in network.state_dict().items())
    card = hub.repositories["owner/canny"].commits[commit]["README.md"].decode("utf-8")
    assert 'ControlNet.from_pretrained("owner/canny")' in card and "| edge F1 | 0.5 |" in card and "license: apache-2.0" in card


def test_a_base_is_opened_by_its_name_and_keeps_its_commit(hub: FakeHub, base_folder: Path) -> None:
    files = {str(path.relative_to(base_folder)): path.read_bytes() for path in base_folder.rglob("*") if path.is_file()}
    commit = hub.publish("owner/base", {**files, "pytorch_model.bin": b"pickle", "unet/unet.py": b"raise SystemExit"})
    base = StableDiffusion.from_pretrained("owner/base")
    assert base.name == f"owner/base@{commit}"
    local = StableDiffusion.from_pretrained(base_folder)
    assert all(torch.equal(tensor, base.unet.state_dict()[name]) for name, tensor in local.unet.state_dict().items())
    assert not any(name.endswith((".bin", ".py")) for name in hub.fetched("owner/base"))
    hub.publish("owner/base", {**files, "model_index.json": b"{}"})  # whatever comes later, the name says which was meant
    assert StableDiffusion.from_pretrained(base.name).name == base.name
