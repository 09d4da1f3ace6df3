"""Imports that a worker would do with its first job: done once, in the process that workers are forked from."""

import zeroconv.conditions.registry
import zeroconv.runtime.planned_unet
import zeroconv.stable_diffusion.single_file

zeroconv.conditions.registry.names()
