"""What an operator should know of an event or its mail, though the mail goes out: the record keeps it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remark:
    """`field`: the field of the event that it is about, one of a closed set: metrics count by it.

    `text`: what became of it and why, to be read behind the field's name, without what the field held.
    """

    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.field} {self.text}"
