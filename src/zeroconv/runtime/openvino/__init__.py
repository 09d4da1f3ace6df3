"""Locked networks by OpenVINO: our own graphs of a U-Net and of ControlNets, compiled for the processor."""
