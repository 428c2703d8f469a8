"""What a new template made of an event, beside the message that was sent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """`name`: of the new template. `size`, `live_size`: of the whole messages, in bytes.

    `size` is None where the new template could not be composed.
    """

    name: str
    size: int | None
    live_size: int
    differs: bool

    @property
    def failed(self) -> bool:
        return self.size is None
