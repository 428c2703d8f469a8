"""Remarks: what an operator should know about an event although its message is sent. The record keeps them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark about one field of an event. `field`: one of a closed set, since it is a label in metrics.

    `text`: what was done and why. It follows the field's name, and never quotes the field's value.
    """

    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.field} {self.text}"
