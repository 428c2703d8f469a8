"""Reads what a template says by Jinja's own parser: its sentences, each with what was asked before, and bare words."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, nodes

_TRANSLATED = {"_", "gettext", "ngettext"}
_LABELLED = {"fact", "named", "stub"}
_READ_OUT = "grouped"
"""A part of a code, which has a name of its own."""

_SHOWN_BY_FILTER = {"default", "d", "join"}
_NAME_OF_OURS = re.compile(r"[a-z][a-z_-]*")
"""Names of macros' parameters, such as `lead`. As a label it would be a word, so it may not be the first argument."""

_SAME_EVERYWHERE = {"PayPal", "Apple Pay", "Google Pay", "UPI", "mailto:"}
_INLINE = re.compile(r"</?(?:a|b|bdi|em|i|small|span|strong)\b[^>]*>")

_PARSER = Environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.i18n"], autoescape=True)


@dataclass(frozen=True, slots=True)
class Sentence:
    """`asked`: the values that are known where it is said, by their last name: `hours` for `terms.hours`."""

    text: str
    line: int
    asked: frozenset[str]


@dataclass(frozen=True, slots=True)
class Label:
    """What a value of the event is called. `field`: the last name of the value, such as `booking_id`."""

    text: str
    field: str
    line: int


@dataclass(slots=True)
class Reading:
    """`bare`: words that no catalogue has, with their lines. `joined`: lines that put one sentence behind another."""

    sentences: list[Sentence] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    bare: list[tuple[str, int]] = field(default_factory=list)
    joined: list[int] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    """Names that the template gives to values of the event."""


def read(source: str, *, html: bool) -> Reading:
    """Raises `jinja2.TemplateSyntaxError`. `html`: a line break is a space there."""
    found = Reading()
    _Walk(found, html=html).of(_PARSER.parse(source), frozenset())
    return found


class _Walk:
    def __init__(self, found: Reading, *, html: bool) -> None:
        self._found = found
        self._between = re.compile(r"\s+" if html else r"[ \t]+")

    def of(self, node: nodes.Node, asked: frozenset[str]) -> None:
        match node:
            case nodes.If():
                self._branches(node, asked)
            case nodes.CondExpr():
                self._choice(node, asked)
            case nodes.Call():
                self._call(node, asked)
            case nodes.Filter():
                self._filter(node, asked)
            case nodes.Const(value=str() as text):
                self._bare(text, node.lineno, first=False)
            case nodes.Compare() | nodes.Test() | nodes.FromImport() | nodes.Import() | nodes.Extends():
                pass
            case nodes.Dict():
                self._all([pair.value for pair in node.items], asked)
            case nodes.Macro():
                self._all(node.body, asked)
            case _:
                self._other(node, asked)

    def _all(self, several: Sequence[nodes.Node], asked: frozenset[str]) -> None:
        for node in several:
            self.of(node, asked)

    def _other(self, node: nodes.Node, asked: frozenset[str]) -> None:
        if isinstance(node, nodes.Concat | nodes.Add):
            self._glued(node)
        if isinstance(node, nodes.Output):
            self._side_by_side(node)
        if isinstance(node, nodes.Assign) and isinstance(node.target, nodes.Name) and (name := _field(node.node)):
            self._found.aliases[node.target.name] = name
        self._all([*node.iter_child_nodes()], asked)

    def _branches(self, node: nodes.If, asked: frozenset[str]) -> None:
        for branch in (node, *node.elif_):
            self._all(branch.body, asked | known(branch.test))
            asked |= known(branch.test, truth=False)
        self._all(node.else_, asked)

    def _choice(self, node: nodes.CondExpr, asked: frozenset[str]) -> None:
        self.of(node.expr1, asked | known(node.test))
        if node.expr2:
            self.of(node.expr2, asked | known(node.test, truth=False))

    def _call(self, node: nodes.Call, asked: frozenset[str]) -> None:
        name = node.node.name if isinstance(node.node, nodes.Name) else ""
        if name in _TRANSLATED:
            texts = [each for each in node.args if isinstance(each, nodes.Const) and isinstance(each.value, str)]
            self._found.sentences += [Sentence(each.value, each.lineno, asked) for each in texts]
        else:
            self._arguments(node.args, asked)
        if name in _LABELLED and len(node.args) > 1:
            self._label(node.args[0], node.args[1])
        self._all([each.value for each in node.kwargs], asked)

    def _arguments(self, given: list[nodes.Expr], asked: frozenset[str]) -> None:
        for at, each in enumerate(given):
            if isinstance(each, nodes.Const) and isinstance(each.value, str):
                self._bare(each.value, each.lineno, first=at == 0)
            else:
                self.of(each, asked)

    def _label(self, label: nodes.Expr, value: nodes.Expr) -> None:
        said = label.args[0] if isinstance(label, nodes.Call) and label.args else None
        if isinstance(said, nodes.Const) and (name := _field(value)):
            self._found.labels.append(Label(str(said.value), name, label.lineno))

    def _filter(self, node: nodes.Filter, asked: frozenset[str]) -> None:
        if node.node:
            self.of(node.node, asked)
        if node.name in _SHOWN_BY_FILTER:
            self._all(node.args, asked)
        if node.name == "join" and any(map(_is_glue, node.args)):
            self._found.joined.append(node.lineno)

    def _bare(self, text: str, line: int, *, first: bool) -> None:
        is_word = any(map(str.isalpha, text)) and text not in _SAME_EVERYWHERE
        if is_word and (first or not _NAME_OF_OURS.fullmatch(text)):
            self._found.bare.append((text, line))

    def _glued(self, node: nodes.Concat | nodes.Add) -> None:
        parts = list(node.iter_child_nodes())
        if any(map(_is_glue, parts)) or sum(map(_is_sentence, parts)) > 1:
            self._found.joined.append(node.lineno)

    def _side_by_side(self, node: nodes.Output) -> None:
        for before, between, after in zip(node.nodes, node.nodes[1:], node.nodes[2:], strict=False):
            blank = isinstance(between, nodes.TemplateData) and _INLINE.sub("", between.data)
            if blank and self._between.fullmatch(blank) and _is_value(before) and _is_value(after):
                self._found.joined.append(after.lineno)


def known(test: nodes.Node, *, truth: bool = True) -> frozenset[str]:
    """Returns the values that are there where the test has this outcome."""
    match test:
        case nodes.Not():
            return known(test.node, truth=not truth)
        case nodes.And() | nodes.Or():
            left, right = known(test.left, truth=truth), known(test.right, truth=truth)
            return left | right if truth == isinstance(test, nodes.And) else left & right
        case nodes.Test(name="none" | "undefined"):
            return frozenset() if truth else frozenset(_names(test.node))
        case nodes.Test(name="false"):
            return frozenset()
        case _:
            return frozenset(_names(test)) if truth else frozenset()


def _names(node: nodes.Node) -> Iterator[str]:
    for each in (node, *node.find_all((nodes.Name, nodes.Getattr))):
        if isinstance(each, nodes.Name):
            yield each.name
        elif isinstance(each, nodes.Getattr):
            yield each.attr


def _field(value: nodes.Node) -> str | None:
    """The last name of a value, under filters and conditions; None for what is no value, or a part of one."""
    match value:
        case nodes.Name():
            return value.name
        case nodes.Getattr():
            return value.attr
        case nodes.Filter() if value.node and value.name != _READ_OUT:
            return _field(value.node)
        case nodes.CondExpr():
            return _field(value.expr1)
    return None


def _is_glue(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const) and bool(re.fullmatch(r"[\W_]+", str(node.value)))


def _is_sentence(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in _TRANSLATED


def _is_value(node: nodes.Node) -> bool:
    """Whether it writes words of a sentence. A macro of ours writes a paragraph or a row."""
    return not isinstance(node, nodes.TemplateData) and (
        not isinstance(node, nodes.Call)
        or _is_sentence(node)
        or isinstance(node.node, nodes.Getattr)
        or (isinstance(node.node, nodes.Name) and node.node.name in {"sentences", "pieces"})
    )
