"""Metrics: arrays in, numbers out; pictures and maps are the business of `zeroconv.conditions`."""
