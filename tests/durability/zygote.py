"""A process that has imported everything and forks trainers on command, so that one starts within milliseconds.

When it is ready it says 0. It then reads one JSON object a line and answers each: one that starts something with the
number of the new process, `{"wait": pid}` with how it ended.
"""

import hashlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from zeroconv.checkpoints.files.folder_lock import FolderLock
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import TrainConfig, Trainer, trainer
from zeroconv.training.divided_tensors import local_part


def hash_gradients(optimizer: torch.optim.Optimizer) -> str:
    """SHA-256 of all gradients, in the optimizer's order."""
    found = hashlib.sha256()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                found.update(local_part(parameter.grad).numpy().tobytes())
    return found.hexdigest()


def train(settings: dict[str, Any], environment: dict[str, str]) -> None:
    """Train in this process; every step's gradients leave a line in `gradients-RANK.jsonl` beside the run folder.

    The setting "poison" names a weight of which the second process's part is no number after the fifth step.
    """
    os.environ.update(environment)
    poisoned = settings.pop("poison", None)
    config = TrainConfig.build(None, (), **settings)
    run = Trainer(config, lambda _: None)
    path = config.checkpoint.out.with_name(f"gradients-{environment.get('RANK', '0')}.jsonl")

    def note(optimizer: torch.optim.Optimizer, *_: object) -> None:
        with path.open("a") as file:
            file.write(json.dumps([run.done + 1, hash_gradients(optimizer)]) + "\n")

    def poison(*_: object) -> None:
        if poisoned is not None and run.done == 4 and environment["RANK"] == "1":
            local_part(run.network.get_parameter(poisoned).data)[0] = torch.nan

    run.optimizer.register_step_pre_hook(note)
    run.optimizer.register_step_post_hook(poison)
    run.fit()


def hold(path: Path, at: float, seconds: float) -> int:
    """Take a lock at a moment and hold it for a while; 3 when somebody else has it."""
    lock = FolderLock(path, "is training in", "checkpoint.out")
    time.sleep(max(0.0, at - time.time()))
    try:
        lock.acquire()
    except InputError:
        return 3
    time.sleep(seconds)
    return 0


def start(command: dict[str, Any]) -> int:
    """Fork a trainer; the number of its process."""
    pid = os.fork()
    if pid:
        return pid
    status = 0
    torch.set_num_threads(1)  # makes the pool of threads anew that a fork leaves broken, before two threads do so at once
    try:
        log = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if "lock" in command:
            status = hold(Path(command["lock"]), command["at"], command["seconds"])
        else:
            train(command["settings"], command["environment"])
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        sys.stderr.flush()
        os._exit(status)


def warm_up() -> None:
    """Divide something once: what torch looks up for that takes seconds, and every forked process inherits it."""
    with TemporaryDirectory() as folder:
        distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
        divide_something()
        distributed.destroy_process_group()


def divide_something() -> None:
    """Step with a layer that is divided over the processes.

    Without going back through it: builds of torch for a GPU start threads for that, and refuse to go back in a process that is
    forked afterwards.
    """
    layer = nn.Linear(4, 4)
    fully_shard(layer, mesh=init_device_mesh("cpu", (1,)))
    optimizer = torch.optim.AdamW(layer.parameters())
    for _ in range(2):
        layer(torch.ones(1, 4))
        for parameter in layer.parameters():
            parameter.grad = torch.ones_like(parameter)
        torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        optimizer.step()


def main(base_folder: str) -> None:
    """Serve."""
    torch.set_num_threads(1)
    warm_up()
    base = StableDiffusion.from_pretrained(base_folder)
    setattr(trainer, "open_base", lambda _: base)  # noqa: B010
    print(json.dumps(0), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        answer = os.waitstatus_to_exitcode(os.waitpid(command["wait"], 0)[1]) if "wait" in command else start(command)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
