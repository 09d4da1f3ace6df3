"""Imports that a worker would do with its first job: done once, in the process that workers are forked from."""

from importlib import import_module

from zeroconv.conditions.registry import names

names()
for module in ("runtime.planned_unet", "stable_diffusion.single_file"):
    import_module(f"zeroconv.{module}")
