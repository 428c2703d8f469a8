"""Writes the Python code of a template so that usual values take no detour.

Jinja's compiler writes a call for each value that is shown, each attribute, each name, each sentence and each macro: a
mail has hundreds of them. This one writes the usual case where it stands, and leaves every other to Jinja's functions.
"""

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any, cast

from jinja2 import Environment, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.idtracking import VAR_LOAD_ALIAS, VAR_LOAD_RESOLVE, VAR_LOAD_UNDEFINED
from jinja2.runtime import Macro
from jinja2.utils import missing
from markupsafe import Markup, _escape_inner, escape  # type: ignore[attr-defined]  # `escape` without its frame of Python

_TRANSLATING = ("_", "gettext")

marked: Callable[[str], Markup] = partial(str.__new__, Markup)
"""`Markup(text)` of a text, without asking it for markup of its own."""


def shown(value: Any) -> str:  # noqa: ANN401 - whatever a template shows
    """Returns the value as HTML shows it: markup as it is, everything else escaped."""
    kind = type(value)
    return cast(str, value if kind is Markup else _escape_inner(value) if kind is str else escape(value))


class DirectMacro(Macro):
    """A macro that templates call as the function that it is.

    `in_html`, `in_text`: that function, for calls with positional values, and nothing else, from a template of the
    macro's own kind; None where the macro is of the other kind, or needs more. `around_html`, `around_text`: the same
    for calls with a block, and nothing else.
    """

    def __init__(
        self,
        environment: Environment,
        func: FunctionType,
        name: str,
        arguments: list[str],
        catch_kwargs: bool,
        catch_varargs: bool,
        caller: bool,
        default_autoescape: bool | None = None,
    ) -> None:
        super().__init__(environment, func, name, arguments, catch_kwargs, catch_varargs, caller, default_autoescape)
        # Jinja's code gives an argument that is `missing` its default.
        func.__defaults__ = (missing,) * len(arguments)
        takes_values = not (catch_kwargs or catch_varargs or caller)
        takes_block = caller and not (arguments or catch_kwargs or catch_varargs)
        html, text = (func, None) if default_autoescape else (None, func)
        self.in_html, self.in_text = (html, text) if takes_values else (None, None)
        self.around_html, self.around_text = (html, text) if takes_block else (None, None)


def _escapes(frame: Frame) -> bool:
    """Whether it is known when the template is compiled; with `{% autoescape name %}` it is not."""
    return bool(frame.eval_ctx.autoescape) and not frame.eval_ctx.volatile


def _kind(frame: Frame) -> str:
    return "html" if frame.eval_ctx.autoescape else "text"


class TemplateCode(CodeGenerator):
    """The compiler. Its code runs in an environment that has `sentences`, as `content.templates` makes them."""

    def write_commons(self) -> None:
        super().write_commons()
        self.writeline("own, given, sentences = context.vars, context.parent, environment.sentences")
        self.writeline("DirectMacro, escaped, marked, partial = environment.for_templates")

    def enter_frame(self, frame: Frame) -> None:
        """Looks names up as `Context.resolve_or_missing` does."""
        for target, (action, name) in frame.symbols.loads.items():
            if action == VAR_LOAD_RESOLVE:
                self.writeline(f"{target} = own[{name!r}] if {name!r} in own else given.get({name!r}, missing)")
            elif action == VAR_LOAD_ALIAS:
                self.writeline(f"{target} = {name}")
            elif action == VAR_LOAD_UNDEFINED:
                self.writeline(f"{target} = missing")

    def return_buffer_contents(self, frame: Frame, force_unescaped: bool = False) -> None:
        """What a macro returns is marked by itself, not by who calls it."""
        if force_unescaped and _escapes(frame):
            self.writeline(f"return marked(concat({frame.buffer}))")
        else:
            super().return_buffer_contents(frame, force_unescaped)

    def macro_def(self, macro_ref: Any, frame: Frame) -> None:  # noqa: ANN401 - Jinja's own
        self.write("" if frame.eval_ctx.volatile else "Direct")
        super().macro_def(macro_ref, frame)

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        if _escapes(frame):
            self.write("(part if type(part := ")
        else:
            super()._output_child_pre(node, frame, finalize)

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        if _escapes(frame):
            self.write(") is Markup else escaped(part) if type(part) is str else escape(part))")
        else:
            super()._output_child_post(node, frame, finalize)

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:
        """As `Environment.getattr`, which is asked where there is no such attribute."""
        holder, found = self.temporary_identifier(), self.temporary_identifier()
        self.write(f"({found} if ({found} := getattr(({holder} := ")
        self.visit(node.node, frame)
        self.write(f"), {node.attr!r}, missing)) is not missing else environment.getattr({holder}, {node.attr!r}))")

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:
        if frame.eval_ctx.volatile:
            super().visit_Call(node, frame, forward_caller=forward_caller)
        elif forward_caller and not (node.args or node.kwargs or node.dyn_args or node.dyn_kwargs):
            self._write_block_call(node, frame)
        elif forward_caller or node.dyn_args or node.dyn_kwargs:
            super().visit_Call(node, frame, forward_caller=forward_caller)
        elif self._translates(node, frame):
            self._write_sentence(node, frame)
        elif node.kwargs:
            super().visit_Call(node, frame)
        else:
            self._write_direct_call(node, frame)

    def _translates(self, node: nodes.Call, frame: Frame) -> bool:
        """Whether this is `_("...")`, `_` being the function of all templates."""
        if not isinstance(node.node, nodes.Name) or node.node.name not in _TRANSLATING:
            return False
        load = frame.symbols.find_load(frame.symbols.ref(node.node.name))
        return load == (VAR_LOAD_RESOLVE, node.node.name) and [type(each) for each in node.args] == [nodes.Const]

    def _write_sentence(self, node: nodes.Call, frame: Frame) -> None:
        escapes = bool(frame.eval_ctx.autoescape)
        self.write("sentences.say(" if node.kwargs else f"sentences.{_kind(frame)}[")
        self.visit(node.args[0], frame)
        if not node.kwargs:
            self.write("]")
            return
        self.write(", {")
        for value in node.kwargs:
            self.write(f"{value.key!r}: ")
            self.visit(value.value, frame)
            self.write(", ")
        self.write(f"}}, html={escapes})")

    def _write_block_call(self, node: nodes.Call, frame: Frame) -> None:
        called, kind = self.temporary_identifier(), _kind(frame)
        self.write(f"(around(caller) if (around := getattr(({called} := ")
        self.visit(node.node, frame)
        self.write(f"), 'around_{kind}', None)) else context.call({called}, caller=caller))")

    def _write_direct_call(self, node: nodes.Call, frame: Frame) -> None:
        """The function of what has one for this kind of template, else `Context.call`."""
        called, kind = self.temporary_identifier(), _kind(frame)
        self.write(f"(getattr(({called} := ")
        self.visit(node.node, frame)
        self.write(f"), 'in_{kind}', None) or partial(context.call, {called}")
        self.write(", _loop_vars=_loop_vars" if frame.loop_frame else "")
        self.write(", _block_vars=_block_vars" if frame.block_frame else "")
        self.write("))(")
        for value in node.args:
            self.visit(value, frame)
            self.write(", ")
        self.write(")")


FOR_TEMPLATES = DirectMacro, _escape_inner, marked, partial
"""What the code of each template asks its environment for."""
