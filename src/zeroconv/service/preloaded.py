"""Imports that a worker would do with its first job: done once, in the process that workers are forked from.

What is loaded here is shared by all workers as long as none of them writes to it. Python's garbage collector writes into
every object it looks at, so it is told to leave these alone: otherwise each worker soon has a copy of its own of everything.
"""

import gc
from importlib import import_module

from zeroconv.conditions.registry import names

names()
for module in ("runtime.planned_unet", "stable_diffusion.single_file"):
    import_module(f"zeroconv.{module}")
gc.collect()
gc.freeze()
