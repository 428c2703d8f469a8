"""Writes the style sheet into the tags of a template when it is loaded: many mail clients read no style sheet."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_PIECES = re.compile(
    r"""
      \{\#.*?\#\} | \{%.*?%\} | \{\{.*?\}\}      # Jinja's own
    | <!--.*?--> | <(?P<raw>script|style)\b.*?</(?P=raw)>
    | <(?P<tag>[a-z][a-z0-9]*) (?P<rest>(?: \{\{.*?\}\} | \{%.*?%\} | "(?:\{\{.*?\}\}|[^"])*" | [^>"] )*) >
    """,
    re.DOTALL | re.VERBOSE,
)
_ATTRIBUTE = re.compile(r'\s(?P<name>[\w-]+)="(?P<value>(?:\{\{.*?\}\}|[^"])*)"', re.DOTALL)
_VALUE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_RULE = re.compile(r"\s*(?P<selectors>[^{}]*?)\s*\{(?P<declarations>[^{}]*)\}")
_STAND_IN = re.compile(r"\0(\d+)\0")
_SELECTOR = re.compile(r"(?P<tag>[a-z][a-z0-9]*)?(?P<classes>(?:\.[a-z][a-z0-9-]*)*)")


class StyleError(Exception):
    """A style sheet or a template has something that cannot be written into tags. `line`: from 1."""

    def __init__(self, message: str, text: str, at: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = text.count("\n", 0, at) + 1


@dataclass(frozen=True, slots=True)
class _Rule:
    tag: str | None
    classes: frozenset[str]
    declarations: Mapping[str, str]

    @property
    def weight(self) -> tuple[int, int]:
        return len(self.classes), self.tag is not None

    def fits(self, tag: str, classes: frozenset[str]) -> bool:
        return self.tag in (None, tag) and self.classes <= classes


class StyleSheet:
    """Rules for tags and classes: `p`, `.card`, `h1.long`. A value may be Jinja's, such as `{{ palette.accent }}`.

    No rule depends on the tags around one, so a template can be styled before it is rendered. Raises `StyleError`.
    """

    def __init__(self, text: str) -> None:
        # The heavier rule wins, and the later one of two alike (CSS 2.2 §6.4.1, §6.4.3).
        self._rules = sorted(_rules(text), key=lambda rule: rule.weight)

    def apply(self, template: str) -> str:
        """Returns a template's source with a style attribute in each tag; lines stay lines. Raises `StyleError`."""
        return _PIECES.sub(self._written, template)

    def _written(self, found: re.Match[str]) -> str:
        tag, rest = found["tag"], found["rest"]
        if not tag:
            return found[0]
        before, statement, _ = rest.partition("{%")
        attributes = {each["name"]: each["value"] for each in _ATTRIBUTE.finditer(before)}
        classes = attributes.get("class", "")
        if "{" in classes or (statement and "class" not in attributes and "class=" in rest):
            message = f"the class of <{tag}> depends on a value: write one tag for each class, with an if around it"
            raise StyleError(message, found.string, found.start())
        style = self._style(tag, frozenset(classes.split()))
        if not style:
            return found[0]
        if "style=" in rest:
            message = f"<{tag}> has a style attribute: give it a class, and the class a rule in the style sheet"
            raise StyleError(message, found.string, found.start())
        return f'<{tag}{rest} style="{style}">'

    def _style(self, tag: str, classes: frozenset[str]) -> str:
        style: dict[str, str] = {}
        for rule in self._rules:
            if rule.fits(tag, classes):
                for name, value in rule.declarations.items():
                    # Moved to the end: a property between may set it too, as padding sets padding-left.
                    style.pop(name, None)
                    style[name] = value
        return "; ".join(f"{name}: {value}" for name, value in style.items())


def _rules(text: str) -> Iterator[_Rule]:
    values: list[str] = []

    def stand_in(value: re.Match[str]) -> str:
        values.append(value[0])
        return f"\0{len(values) - 1}\0"

    def put_back(declaration: str) -> str:
        return _STAND_IN.sub(lambda found: values[int(found[1])], declaration)

    plain = _VALUE.sub(stand_in, _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text))
    end = 0
    while found := _RULE.match(plain, end):
        end = found.end()
        declarations = {put_back(name): put_back(value) for name, value in _declarations(found)}
        for selector in map(str.strip, found["selectors"].split(",")):
            named = _SELECTOR.fullmatch(selector)
            if not selector or not named:
                message = f"{selector!r} is neither tag nor class: only p, .card, h1.long and the like can be inlined"
                raise StyleError(message, plain, found.start("selectors"))
            yield _Rule(named["tag"], frozenset(filter(None, named["classes"].split("."))), declarations)
    if left := plain[end:].strip():
        raise StyleError("this is no rule such as p { margin: 0; }", plain, plain.index(left, end))


def _declarations(rule: re.Match[str]) -> Iterator[tuple[str, str]]:
    for declaration in filter(None, map(str.strip, rule["declarations"].split(";"))):
        name, value = map(str.strip, declaration.partition(":")[::2])
        if not name or not value or '"' in value or "!important" in value:
            message = "is no declaration such as margin: 0 (use single quotes, and no !important)"
            raise StyleError(f"{declaration!r} {message}", rule.string, rule.start("declarations"))
        yield name, value
