"""The command `holdfast`: arguments, progress on standard error, errors as one clear message, one JSON document on demand."""

from holdfast.cli.frame import main

__all__ = ["main"]
