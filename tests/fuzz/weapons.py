"""What an event may bring that is meant to become more than a text in a mail."""

from hypothesis import strategies as st

WEAPONS = (
    "\r\nBcc: eve@evil.example",
    "\r\n\r\n<script>alert(1)</script>",
    "\n.\r\nMAIL FROM:<eve@evil.example>",
    "a\rb\nc\0d\x0be\x0cf\x1bg\x7fh\x85i",
    "a\u2028b\u2029c",
    "\u202ematni\u202c \u2066x\u2069 \u200b\ufeff\u00ad",
    "\ud800",
    "half \udfff pair",
    "=?utf-8?q?=0D=0ABcc:_eve@evil.example?=",
    "=?UTF-8?B?DQpCY2M6IGV2ZUBldmlsLmV4YW1wbGU=?=",
    "=?utf-8?q?" * 30,
    "=?=?utf-8?q?x?=?=",
    "==??utf-8?q?=0ABcc:_eve@evil.example?==",
    'Jane" <eve@evil.example>, "',
    "Bcc: eve@evil.example",
    "eve@evil.example, eve@evil.example",
    "x" * 10_000,
    "é" * 10_000,
    "\U0001f3ac" * 10_000,
    "word " * 2_000,
    "a" + "\r\n" * 5_000 + "b",
    "--===============0123456789==",
    '"><img src=x onerror=alert(1)><!--',
    "{{7*7}}{% for x in () %}${7*7}",
)

FOR_A_TERMINAL = (
    "[/x]-A",
    "[bold red]B[/] [link=https://evil.example]C[/link] :skull:",
    "\x1b[2J\x1b[1;1H\x1b[31mD",
    "\x1b]8;;https://evil.example\x07E\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07F\x1b]0;title\x1b\\",
    "\x9b31mG\x9d0;title\x9c\x90q\x84\x85\x8d",
    "H\x7f\x08\x08\x08\rI\tJ\x0b\x0c\x00",
    "K\r\nFORGED line\u2028FORGED\u2029FORGED\x85FORGED\x1cFORGED",
    "\u202eL\u202c \u2066M\u2069 \u200e\u200f\u061c",
    "N\u200bO\u200cP\u200dQ\u2060R\ufeffS\u00adT\u3164U\u034f\ufe0f\U000e0041\U000e0100",
    "\ud800V\udfff",
)
"""What a terminal, or whoever prints on it, would obey or hide."""

ARMED = st.lists(st.sampled_from(WEAPONS) | st.text(max_size=30), min_size=1, max_size=3).map("".join)
