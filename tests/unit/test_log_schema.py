"""docs/logs.md lists every line that the service can log, with its level and its fields, and no other."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "notification_service"
ROW = re.compile(r"^\| `([a-z_.]+)` \| ([a-z, ]+) \| (.*?) \|", re.MULTILINE)
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}


@dataclass
class Line:
    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)


def test_the_document_and_the_code_name_the_same_lines() -> None:
    assert set(_documented()) == set(_logged())


def test_each_line_has_the_levels_that_the_document_says() -> None:
    documented, logged = _documented(), _logged()
    assert {name: line.levels for name, line in documented.items()} == {
        name: line.levels for name, line in logged.items()
    }


def test_every_field_of_a_line_is_documented() -> None:
    documented = _documented()
    missing = {name: line.fields - documented[name].fields for name, line in _logged().items()}
    assert not {name: fields for name, fields in missing.items() if fields}


def _documented() -> dict[str, Line]:
    text = (ROOT / "docs" / "logs.md").read_text("utf-8")
    return {
        name: Line({level.strip() for level in levels.split(",")}, set(re.findall(r"`(\w+)`", fields)))
        for name, levels, fields in ROW.findall(text)
    }


def _logged() -> dict[str, Line]:
    found: dict[str, Line] = defaultdict(Line)
    for path in sorted(PACKAGE.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for name, levels, call in _calls(function):
                    found[name].levels |= levels
                    found[name].fields |= {keyword.arg for keyword in call.keywords if keyword.arg}
    return dict(found)


def _calls(function: ast.AST) -> Iterator[tuple[str, set[str], ast.Call]]:
    """Each logging call as (event, levels, call); the event or the method may have been put into a name before."""
    assigned = {
        target.id: node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        called = assigned.get(node.func.id) if isinstance(node.func, ast.Name) else node.func
        methods = _methods(called)
        if methods:
            event = node.args[0]
            event = assigned[event.id] if isinstance(event, ast.Name) else event
            for name in _texts(event):
                yield name, {LEVELS[method] for method in methods}, node


def _methods(called: ast.AST | None) -> set[str]:
    """The methods of `log` that an expression may be."""
    match called:
        case ast.Attribute(value=ast.Name(id="log"), attr=method):
            return {method}
        case ast.IfExp(body=body, orelse=other):
            return _methods(body) | _methods(other)
    return set()


def _texts(event: ast.AST) -> Iterator[str]:
    match event:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from _texts(body)
            yield from _texts(other)
        case _:
            raise AssertionError(f"an event name that is no constant: {ast.unparse(event)}")
