"""The version of the package, for whoever signs with it."""

__all__ = ["__version__"]

__version__ = "0.1.0"
