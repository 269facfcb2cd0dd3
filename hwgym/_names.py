"""The one way in which hwgym reports a name that it does not know."""

import difflib
from collections.abc import Iterable


def nearest(kind: str, given: object, allowed: Iterable[str]) -> str:
    """Build the message for a name that is not among those allowed.

    Args:
        kind: what the name stands for, as it should read after "unknown", e.g. ``"model"``.
        given: what the caller passed; anything but a string gets no suggestion.
        allowed: the names that would have been accepted, in the order to list them.

    Returns:
        ``unknown model 'resnet50'; did you mean 'ResNet50'? (available: ResNet18, ResNet50)``. The
        suggestion ignores case and is left out where nothing comes close.
    """
    names = tuple(allowed)
    message = f"unknown {kind} {given!r}"
    if isinstance(given, str):
        by_folded = {name.casefold(): name for name in names}
        close = difflib.get_close_matches(given.casefold(), by_folded, n=1)
        if close:
            message += f"; did you mean {by_folded[close[0]]!r}?"
    return f"{message} (available: {', '.join(names)})"
