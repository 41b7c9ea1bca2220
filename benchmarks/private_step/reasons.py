"""Why an engine did not do a case, in words that fit a table."""

from __future__ import annotations

LONGEST = 110


def reason(error: BaseException) -> str:
    """The first sentence or line of an error that says something, with its type where it is not ours."""
    from holdfast.core.errors import HoldfastError

    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip(" -")]
    text = next((line for line in lines if not line.endswith(":")), lines[0] if lines else "no message")
    if not isinstance(error, HoldfastError):
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
