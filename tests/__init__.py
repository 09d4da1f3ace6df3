"""Proof of the library; folders mirror `src/zeroconv`."""
