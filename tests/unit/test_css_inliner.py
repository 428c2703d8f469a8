"""Inlining style sheet rules when templates are loaded equals what css-inline makes of the rendered page."""

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import css_inline
import pytest
from hypothesis import given, strategies as st

from notification_service.channels.email.rendering import Renderer
from notification_service.channels.email.template_loading import load
from notification_service.content import templates
from notification_service.content.branding import Brand
from notification_service.content.css_inliner import StyleError, StyleSheet
from notification_service.content.profile import SenderProfile
from notification_service.contract.notification_rules import RULES
from notification_service.delivery.ports.directory import Recipient

TEMPLATES = Path(__file__).parents[2] / "templates"
BRAND = Brand("Lumen", "help@lumen.example.com", "https://lumen.example.com/", "12 Harbour Street, Dublin")
Styles = Sequence[tuple[str, str, dict[str, str]]]


class Tags(HTMLParser):
    """Each start tag, its class, and its style by name."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        pairs = (each.partition(":") for each in (values.get("style") or "").split(";") if each.strip())
        style = {name.strip(): value.strip() for name, _, value in pairs}
        self.found.append((tag, values.get("class") or "", style))


def by_library(html: str, sheet: str) -> Styles:
    """The slow and obvious way: a library that reads the finished page."""
    plain = re.sub(r' style="[^"]*"', "", html)
    inliner = css_inline.CSSInliner(
        extra_css=sheet, inline_style_tags=False, keep_style_tags=True, load_remote_stylesheets=False
    )
    return Tags(inliner.inline(plain)).found


# ── our sheet on our mails ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return load(TEMPLATES, SenderProfile(BRAND))


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_mail_has_the_styles_that_a_library_gives_to_the_finished_page(renderer: Renderer, language: str) -> None:
    sheet = re.sub(r"/\*.*?\*/", "", (TEMPLATES / "_base/style.css").read_text("utf-8"), flags=re.DOTALL)
    values = {"start": "left" if language == "en" else "right"}
    values |= {f"palette.{name}": getattr(BRAND.palette, name) for name in BRAND.palette.__slots__}
    sheet = re.sub(r"\{\{ (.*?) \}\}", lambda found: values[found[1]], sheet)
    samples = templates.samples(TEMPLATES)
    assert len(samples) > 5
    for _, event in samples:
        html = renderer.render(RULES[type(event)].template, event, Recipient(None, "Jane"), language).html
        found = Tags(html).found
        assert found == by_library(html, sheet)
        assert sum(bool(style) for _, _, style in found) > 15


# ── any sheet on any tags ────────────────────────────────────────────────────────────────────────────

NAMES = st.sampled_from(["margin", "color", "padding", "padding-left", "font"])
DECLARATIONS = st.dictionaries(NAMES, st.sampled_from(["0", "red", "4px 2px"]), max_size=3)
CLASSES = st.sampled_from(["a", "b", "a-b", "c"])
SELECTORS = st.builds(
    lambda tag, classes: (tag + "".join(f".{each}" for each in classes)) or "p",
    st.sampled_from(["", "p", "span", "h1"]),
    st.lists(CLASSES, max_size=2, unique=True),
)
RULES_OF_A_SHEET = st.builds(
    lambda selectors, declarations: (
        f"{', '.join(selectors)} {{ {'; '.join(f'{name}: {value}' for name, value in declarations.items())} }}"
    ),
    st.lists(SELECTORS, min_size=1, max_size=3),
    DECLARATIONS,
)
TAGS = st.tuples(st.sampled_from(["p", "span", "h1", "div"]), st.lists(CLASSES, max_size=3))


@given(st.lists(RULES_OF_A_SHEET, max_size=6), st.lists(TAGS, max_size=6))
def test_any_sheet_says_of_any_tag_what_a_library_reads_in_it(
    rules: list[str], tags: list[tuple[str, list[str]]]
) -> None:
    sheet = "\n".join(rules)
    body = "\n".join(f'<{tag} class="{" ".join(classes)}">x</{tag}>' for tag, classes in tags)
    page = f"<html><head><title>t</title></head><body>{body}</body></html>"
    assert Tags(StyleSheet(sheet).apply(page)).found == by_library(page, sheet)


@given(st.text(alphabet='<>p ab="{}%#-!/\n'))
def test_what_is_no_tag_stays_and_no_line_is_moved(text: str) -> None:
    try:
        styled = StyleSheet("p { margin: 0 }").apply(text)
    except StyleError:
        return
    assert styled.replace(' style="margin: 0"', "") == text
    assert StyleSheet("").apply(text) == text


# ── templates ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "tag",
    [
        '<p class="a"',
        '<a class="a" href="{{ x > 1 and "b" }}"',
        '<a class="a"{% if x > 1 %} id="b"{% endif %}',
        '<a\n  class="a"\n  id="b"',
    ],
)
def test_a_tag_that_holds_jinja_gets_its_style(tag: str) -> None:
    sheet = StyleSheet(".a { color: {{ accent }}; }")
    assert sheet.apply(f"{tag}>") == f'{tag} style="color: {{{{ accent }}}}">'


@pytest.mark.parametrize(
    "template",
    [
        '<!-- <p class="a"> -->',
        '<!--[if mso]><table class="a"><tr><td class="a"><![endif]-->',
        '{# <p class="a"> #}',
        "{{ '<p class=\"a\">' }}",
        '<script type="application/ld+json">"<p class=a>"</script>',
        '<style>p { content: "<p>" }</style>',
        '<b title="<p>">',
    ],
)
def test_what_is_no_tag_of_the_page_gets_none(template: str) -> None:
    assert StyleSheet("p, .a, table, td { color: red; }").apply(template) == template


# ── what cannot be ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sheet", "said"),
    [
        (".a .b { margin: 0; }", r"'\.a \.b' is neither tag nor class"),
        ("p > a { margin: 0; }", "is neither tag nor class"),
        ("p, { margin: 0; }", "'' is neither tag nor class"),
        ("a:hover { margin: 0; }", "is neither tag nor class"),
        ("#a { margin: 0; }", "is neither tag nor class"),
        ("@media print { p { margin: 0; } }", "this is no rule"),
        ("p { margin 0; }", "'margin 0' is no declaration such as margin: 0"),
        ('p { font: "Arial"; }', "is no declaration"),
        ("p { margin: 0 !important; }", "is no declaration"),
        ("p { margin: 0; ", "this is no rule such as p { margin: 0; }"),
        ("margin: 0;", "this is no rule"),
    ],
)
def test_a_rule_that_cannot_stand_in_a_tag_is_refused_with_its_line(sheet: str, said: str) -> None:
    before = "/* about\n   colours */\nh1 { color: {{ palette.accent }}; }\n"
    with pytest.raises(StyleError, match=said) as raised:
        StyleSheet(before + sheet)
    assert raised.value.line == 4


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ('<p class="{{ kind }}">', "the class of <p> depends on a value: write one tag for each class"),
        ('<p{% if long %} class="long"{% endif %}>', "the class of <p> depends on a value"),
        ('<p class="a{% if long %} long{% endif %}">', "the class of <p> depends on a value"),
        ('<p style="margin: 0">', "<p> has a style attribute: give it a class"),
    ],
)
def test_a_tag_whose_style_cannot_be_known_is_refused_with_its_line(tag: str, said: str) -> None:
    with pytest.raises(StyleError, match=re.escape(said)) as raised:
        StyleSheet("p { color: red; }").apply(f"<h1>\n</h1>\n{tag}\n")
    assert raised.value.line == 3
