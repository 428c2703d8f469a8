"""What was worked out is not worked out again, within bounds that no event can break."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_MAX_LENGTH = 64


def bounded_cache(most: int) -> Callable[[Callable[Concatenate[str, P], T]], Callable[Concatenate[str, P], T]]:
    """`lru_cache` for the `most` last calls, unless the text is long: what an event says must not fill the memory."""

    def decorate(call: Callable[Concatenate[str, P], T]) -> Callable[Concatenate[str, P], T]:
        kept = lru_cache(most)(call)

        @wraps(call)
        def chosen(text: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if len(text) > _MAX_LENGTH:
                return call(text, *args, **kwargs)
            return kept(text, *args, **kwargs)  # type: ignore[arg-type]  # what cannot be a key fails at the first call

        return chosen

    return decorate
