"""The walls of the house, read from the imports: floors, circles, who may open what, and how light the door is."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "zeroconv"
FILES = sorted(SOURCE.rglob("*.py"))

FLOORS = (
    ("version", "errors", "messages", "data_uri", "run_files"),
    ("diffusion", "checkpoints", "metrics", "schema", "picture_files", "database"),
    ("images",),
    ("sheets",),
    ("stable_diffusion", "conditions", "world"),
    ("control", "data"),
    ("conversion", "publishing", "runtime"),
    ("generation",),
    ("client", "evaluation"),
    ("study",),
    ("training",),
    ("service",),
    ("web",),
    ("cli",),
)
"""Ground first; rooms on one floor do not know each other."""

PICKLES = "zeroconv.checkpoints.files.torch_pickle"
PROGRAMS = "zeroconv.service.run_process"
"""Starts trainings: this interpreter with a list of arguments, and nothing else."""

DOOR = {"zeroconv", "zeroconv.__main__"}  # they only point inwards


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree_of(path)))


def imports_of(module: str) -> set[str]:
    """Every module that a module names, at the top or inside functions; relative imports are not used here."""
    return set(imports_in(MODULES[module]))


@cache
def imports_in(path: Path) -> frozenset[str]:
    found = set[str]()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path} uses a relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = inner & MODULES.keys()
            found |= modules | (set() if modules == inner else {node.module})
    return frozenset(found)


def room(module: str) -> str:
    return module.split(".")[1]


def rooms_below(module: str) -> set[str]:
    """Rooms that a module knows beside its own; `from zeroconv import __version__` is nobody's room."""
    known = {name for name in imports_of(module) if name.startswith("zeroconv.")}
    return {room(name) for name in known} - {room(module)}


INSIDE = sorted(MODULES.keys() - DOOR)


def outside(module: str) -> set[str]:
    """Top-level names of other packages."""
    return {name.split(".")[0] for name in imports_of(module)} - {"zeroconv"}


def test_every_room_has_a_floor() -> None:
    assert {room(module) for module in INSIDE} == {name for floor in FLOORS for name in floor}


def test_the_floors_are_the_documented_ones() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    documented = re.findall(r"^\d+\. ((?:`\w+`(?:, )?)+)$", page, flags=re.MULTILINE)
    assert [tuple(re.findall(r"`(\w+)`", floor)) for floor in documented] == list(FLOORS)


def test_arrows_run_down() -> None:
    level = {name: height for height, floor in enumerate(FLOORS) for name in floor}
    pairs = ((module, name) for module in INSIDE for name in rooms_below(module))
    assert not [f"{module} imports {name}" for module, name in pairs if level[name] >= level[room(module)]]


def test_no_circle_between_modules() -> None:
    graph = {module: imports_of(module) & (MODULES.keys() - DOOR) - {module} for module in INSIDE}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def modules_of(*rooms: str) -> list[str]:
    return [module for module in INSIDE if room(module) in rooms]


def test_control_and_diffusion_do_not_know_each_other() -> None:
    assert not any("diffusion" in rooms_below(module) for module in modules_of("control"))
    assert {name for module in modules_of("diffusion") for name in rooms_below(module)} <= {"errors", "messages"}


def test_conditions_see_images_checkpoints_metrics_errors_and_messages_alone() -> None:
    allowed = {"images", "checkpoints", "metrics", "errors", "messages"}
    assert {name for module in modules_of("conditions") for name in rooms_below(module)} <= allowed


def test_only_checkpoints_opens_weight_files() -> None:
    assert {room(module) for module in INSIDE if "safetensors" in outside(module)} == {"checkpoints"}
    for module, call in calls():
        if spelled(call.func) in ("torch.load", "torch.save", "torch.hub.load"):
            assert module == PICKLES and spelled(call.func) != "torch.hub.load", f"{module}, line {call.lineno}"
            options = {keyword.arg: keyword.value for keyword in call.keywords}
            safe = options.get("weights_only")
            assert spelled(call.func) == "torch.save" or (isinstance(safe, ast.Constant) and safe.value is True)


def test_pickles_are_opened_for_conversion_alone() -> None:
    users = {module for module in INSIDE if PICKLES in imports_of(module) and "read_pickle" in names_in(module)}
    assert users == {"zeroconv.checkpoints.formats.controlnet", "zeroconv.conversion.base"}
    openers = {module for module, call in calls() if spelled(call.func) == "read_controlnet" and pickles_allowed(call)}
    assert openers == {"zeroconv.conversion.controlnet"}


FETCHERS = {
    "huggingface_hub", "datasets", "urllib", "requests", "httpx", "aiohttp", "http", "ftplib", "socket", "fsspec",
    "socketserver", "wandb", "trackio",
}  # fmt: skip
FETCHING = {
    "hf_hub_download", "snapshot_download", "hf_hub_url", "cached_file", "urlopen", "urlretrieve", "load_state_dict_from_url",
    "download_url_to_file", "HfApi", "InferenceClient",
}  # fmt: skip


FETCHING_COMMANDS = {"curl", "wget", "git", "aria2c", "huggingface-cli", "hf"}


def constants_in(call: ast.Call) -> set[str]:
    """Every word of the texts that a call is given, those in lists too."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    found = [node.value for one in given for node in ast.walk(one) if isinstance(node, ast.Constant)]
    return {word for text in found if isinstance(text, str) for word in text.split()}


def fetches_by_text(call: ast.Call) -> set[str]:
    """What a call fetches with, where a text says it: a package to import, a command to run."""
    words, name = constants_in(call), spelled(call.func).rpartition(".")[2]
    if name in ("import_module", "__import__"):
        return {package for word in words if (package := word.split(".")[0]) in FETCHERS}
    runs = name in ("run", "Popen", "call", "check_call", "check_output", "getoutput", "system", "popen")
    return {Path(word).name for word in words} & FETCHING_COMMANDS if runs or name.startswith(("exec", "spawn")) else set()


def fetches(module: str) -> set[str]:
    """What in a module can fetch or send something, by whatever name: packages, functions, `torch.hub`, commands."""
    nodes = nodes_of(MODULES[module])
    named = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    named |= {node.attr for node in nodes if isinstance(node, ast.Attribute)} | names_in(module)
    hub = {"torch.hub" for node in nodes if isinstance(node, ast.Attribute) and spelled(node).startswith("torch.hub")}
    hub |= {name for name in imports_of(module) if name.startswith("torch.hub")}
    by_text = {name for node in nodes if isinstance(node, ast.Call) for name in fetches_by_text(node)}
    return outside(module) & FETCHERS | named & FETCHING | hub | by_text


CARD = "zeroconv.publishing.model_card"


def test_the_model_card_takes_from_packages_that_fetch_only_what_opens_nothing() -> None:
    nodes = (node for node in nodes_of(MODULES[CARD]) if isinstance(node, ast.ImportFrom))
    taken = {alias.name for node in nodes if (node.module or "").split(".")[0] in FETCHERS for alias in node.names}
    assert taken == {"quote", "ModelCard", "ModelCardData"}
    used = {spelled(call.func) for module, call in calls() if module == CARD}
    assert {name for name in used if name.startswith("ModelCard")} == {"ModelCard.from_template", "ModelCardData"}


SERVER = "zeroconv.web.server"
TRACKERS = {f"zeroconv.training.tracking.{name}": {name} for name in ("wandb", "trackio")}
"""Modules that send a run elsewhere, which nobody does who did not ask for it by that name (`checkpoint.track`)."""


def test_the_server_takes_from_packages_that_fetch_only_what_listens() -> None:
    nodes = [node for node in nodes_of(MODULES[SERVER]) if isinstance(node, ast.ImportFrom)]
    taken = {alias.name for node in nodes if (node.module or "").split(".")[0] in FETCHERS for alias in node.names}
    assert taken == {"HTTPStatus", "BaseHTTPRequestHandler", "ThreadingHTTPServer"} and fetches(SERVER) == {"http"}
    assert {module for module in modules_of("web") if fetches(module)} == {SERVER}


def test_the_page_of_a_run_needs_no_torch() -> None:
    show = "import sys, zeroconv.web; print([name for name in ('torch', 'numpy', 'PIL') if name in sys.modules])"
    assert python(show).strip() == "[]"


def test_trackers_are_loaded_where_they_are_asked_for() -> None:
    for module, package in TRACKERS.items():
        assert fetches(module) == package
        tops = {alias.name for node in tree_of(MODULES[module]).body if isinstance(node, ast.Import) for alias in node.names}
        assert not tops & package


CLIENT = {"zeroconv.client.connection": {"http", "urllib"}, "zeroconv.client.client": {"urllib"}}
"""A program that asks a server of ours by its address, and no other."""


def test_the_client_is_nobodys_but_its_users() -> None:
    assert {module: fetches(module) for module in modules_of("client") if fetches(module)} == CLIENT
    assert not [module for module in INSIDE if room(module) != "client" and "client" in rooms_below(module)]
    own = {name for module in modules_of("client") for name in imports_of(module) if name.startswith("zeroconv.")}
    assert {room(name) for name in own} == {"client", "generation", "images", "data_uri", "errors"}
    assert {name for name in own if room(name) == "generation"} == {"zeroconv.generation.request"}
    nodes = (node for module in CLIENT for node in ast.walk(tree_of(MODULES[module])) if isinstance(node, ast.ImportFrom))
    taken = {alias.name for node in nodes if node.module == "urllib.parse" for alias in node.names}
    assert taken == {"quote", "urlencode", "urlsplit"}
    show = "import sys, zeroconv.client; print('torch' in sys.modules)"
    assert python(show).strip() == "False"


def test_only_the_hub_of_checkpoints_downloads() -> None:
    found = {module: fetches(module) for module in INSIDE if module not in (CARD, SERVER, *TRACKERS, *CLIENT)}
    users = {module for module, names in found.items() if names}
    assert users and all(module.startswith("zeroconv.checkpoints.hub.") for module in users), found


def test_a_download_is_seen_by_whatever_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ways = (
        "from huggingface_hub import snapshot_download as s", "import requests as r", "from urllib import request",
        "from torch.hub import load_state_dict_from_url", "import torch\ntorch.hub.load('a', 'b')",
        "client.snapshot_download()",
        "from importlib import import_module\nimport_module('huggingface_hub')",
        "import importlib\nimportlib.import_module(name='huggingface_hub.file_download')", "__import__('urllib.request')",
        "import subprocess\nsubprocess.run(['curl', '-O', place])", "subprocess.check_output(args=['/usr/bin/wget', place])",
        "import os\nos.system(f'curl {place}')", "from subprocess import Popen as p, run\nrun('wget ' + place, shell=True)",
    )  # fmt: skip
    for way in ways:
        path = tmp_path / f"{abs(hash(way))}.py"
        path.write_text(way, "utf-8")
        monkeypatch.setitem(MODULES, "zeroconv.control.stranger", path)
        assert fetches("zeroconv.control.stranger"), way


def test_harmless_calls_fetch_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "calm.py"
    path.write_text("import_module('json')\nsay('curl')\nsubprocess.run(['ls'])", "utf-8")
    monkeypatch.setitem(MODULES, "zeroconv.control.calm", path)
    assert fetches("zeroconv.control.calm") == set()


def names_in(module: str) -> set[str]:
    """Every name that a module's code speaks of."""
    return {node.id for node in nodes_of(MODULES[module]) if isinstance(node, ast.Name)}


def pickles_allowed(call: ast.Call) -> bool:
    """Whether a call has the argument `pickles`."""
    return any(keyword.arg == "pickles" for keyword in call.keywords)


def test_the_libraries_own_loaders_open_tokenizers_alone() -> None:
    """Networks are built from configurations that were looked at, and filled with tensors that were compared."""
    own = {"StableDiffusion", "ControlNet", "cls"}
    for module, call in calls():
        name = spelled(call.func)
        if name.endswith((".from_pretrained", ".from_single_file")) and name.split(".")[-2] not in own:
            tokenizer = room(module) == "stable_diffusion" and name == "CLIPTokenizer.from_pretrained"
            # transformers renames older tensors there; it is given tensors that `checkpoints` read, and no name to fetch
            given = module == "zeroconv.conditions.networks.transformers" and name == "kind.from_pretrained"
            nameless = given and isinstance(call.args[0], ast.Constant) and call.args[0].value is None
            assert tokenizer or nameless, f"{module}: {name}"


@pytest.mark.parametrize(
    ("package", "rooms"),
    [
        ("typer", {"cli"}),
        ("click", {"cli"}),
        ("cv2", {"conditions", "metrics"}),
        ("huggingface_hub", {"checkpoints", "publishing"}),
        ("datasets", {"checkpoints"}),
        ("pyarrow", {"checkpoints", "data"}),
        ("ray", {"data"}),
        ("openvino", {"runtime"}),
        ("scipy", {"study"}),
        ("fastapi", {"web"}),
        ("uvicorn", {"web"}),
    ],
)
def test_packages_that_one_room_alone_knows(package: str, rooms: set[str]) -> None:
    assert {room(module) for module in INSIDE if package in outside(module)} <= rooms


def test_direct_dependencies_are_the_declared_ones() -> None:
    declared = {"torch", "diffusers", "transformers", "safetensors", "huggingface_hub"}
    declared |= {"numpy", "PIL", "cv2", "pydantic", "typer"}
    declared.add("ai_edge_litert")  # the extra `blazepose`
    declared |= {"pyarrow", "datasets"}  # the extra `datasets`
    declared |= {"wandb", "trackio"}  # extras of their names
    declared |= {"ray", "openvino"}  # extras of their names
    declared |= {"fastapi", "uvicorn", "scipy"}  # the extra `serve`
    declared |= {"psycopg", "psycopg_pool"}  # the extra `postgres`
    used = {name for module in INSIDE for name in outside(module)} - set(sys.stdlib_module_names)
    assert used == declared


def calls() -> Iterator[tuple[str, ast.Call]]:
    for module in sorted(MODULES):
        for node in nodes_of(MODULES[module]):
            if isinstance(node, ast.Call):
                yield module, node


def spelled(function: ast.expr) -> str:
    """`torch.load` for the called expression `torch.load`; calls on other expressions keep their last name."""
    if isinstance(function, ast.Attribute):
        return f"{spelled(function.value)}.{function.attr}"
    return function.id if isinstance(function, ast.Name) else "…"


def test_files_from_strangers_do_nothing() -> None:
    for module in sorted(MODULES):
        forbidden = imports_of(module) & {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "subprocess"}
        allowed = {"pickle"} if module == PICKLES else {"subprocess"} if module == PROGRAMS else set[str]()
        assert forbidden <= allowed, f"{module} imports {forbidden}"
    for module, call in calls():
        name, where = spelled(call.func), f"{module}, line {call.lineno}"
        assert name not in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"), where
        options = {keyword.arg: keyword.value for keyword in call.keywords}
        assert "trust_remote_code" not in options and "custom_pipeline" not in options, where
        shell = options.get("shell")
        assert shell is None or (isinstance(shell, ast.Constant) and shell.value is False), where


def test_files_are_short_and_say_what_they_are() -> None:
    assert not [module_of(path) for path in FILES if len(path.read_text("utf-8").splitlines()) > 300]
    assert not [module_of(path) for path in FILES if not ast.get_docstring(tree_of(path))]
    assert not [module_of(path) for path in FILES if path.stem in ("utils", "util", "helpers", "common", "misc")]


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240).stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "cv2", "PIL", "diffusers", "transformers", "safetensors", "pydantic", "typer")
    heavy += ("huggingface_hub",)
    assert python(f"import sys, zeroconv; print([name for name in {heavy!r} if name in sys.modules])").strip() == "[]"


def test_importing_the_package_imports_itself_and_little_of_the_standard_library() -> None:
    """A count does not depend on how busy the machine is; so many modules take a tenth of a second on a slow one."""
    show = "import sys; before = set(sys.modules); import zeroconv; print(*sorted(set(sys.modules) - before))"
    new = python(show).split()
    assert {name for name in new if name.split(".")[0] not in sys.stdlib_module_names} == {"zeroconv", "zeroconv.version"}
    assert len(new) <= 60


def test_help_is_there_without_loading_torch() -> None:
    show = "import sys; from zeroconv.cli import main; main(['generate', '--help']); print('torch' in sys.modules)"
    assert python(show).splitlines()[-1] == "False"


def test_a_ready_map_needs_no_opencv() -> None:
    code = """
import sys
sys.modules["cv2"] = None  # from here on `import cv2` fails
from PIL import Image
from zeroconv import Control, ControlNet, ControlPipeline, StableDiffusion
base = StableDiffusion.from_pretrained("tiny")
edges = Image.new("RGB", (64, 64))
control = Control(ControlNet.from_unet(base.unet), edges)
print(ControlPipeline(base)("a tree", [control], num_inference_steps=1).images[0].size)
"""
    assert python(code).strip() == "(64, 64)"
