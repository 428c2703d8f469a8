"""The two variants of a template under test, the test, and what a person was assigned in it.

`a`, the control, is the template itself; `b` is in a folder `<template>@b` beside it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Variant(StrEnum):
    A = "a"
    B = "b"


def variant_name(template: str, variant: Variant | None) -> str:
    """The name under which a variant of a template is loaded and rendered; the control's is that of the template."""
    return f"{template}@{variant}" if variant is Variant.B else template


def control_name(name: str) -> str:
    """The template that a variant belongs to: the inverse of `variant_name`."""
    return name.partition("@")[0]


@dataclass(frozen=True, slots=True)
class Experiment:
    """One test of a template. `share`: of the units that get `b`, between 0 and 1.

    `salt`: the name of the test, which decides who gets what. `wanted`: the difference of two conversion rates that is
    worth finding, such as 0.05 for 5 percentage points; it is fixed before the start.
    """

    template: str
    share: float
    salt: str
    wanted: float

    def __str__(self) -> str:
        return f"{self.template}:b={self.share}:salt={self.salt}:wanted={self.wanted}"


@dataclass(frozen=True, slots=True)
class Assignment:
    """The variant that a unit of a test was assigned. `unit`: its digest, which names nobody.

    `fell_back`: the variant could not be composed, so the control is sent instead.
    """

    salt: str
    unit: str
    variant: Variant
    fell_back: bool = False

    @property
    def sent_variant(self) -> Variant:
        return Variant.A if self.fell_back else self.variant
