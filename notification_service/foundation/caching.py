"""`lru_cache` with a bound on the size of each key, so that an event's text cannot fill the memory."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_MAX_KEY_LENGTH = 64


def bounded_cache(max_entries: int) -> Callable[[Callable[Concatenate[str, P], T]], Callable[Concatenate[str, P], T]]:
    """Cache the last `max_entries` results, except those for texts of more than 64 characters."""

    def decorate(call: Callable[Concatenate[str, P], T]) -> Callable[Concatenate[str, P], T]:
        cached = lru_cache(max_entries)(call)

        @wraps(call)
        def bounded(text: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if len(text) > _MAX_KEY_LENGTH:
                return call(text, *args, **kwargs)
            return cached(text, *args, **kwargs)  # type: ignore[arg-type]  # an unhashable argument fails at once

        return bounded

    return decorate
