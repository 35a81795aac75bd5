"""A hundred odd titles: markup, entities, marks of a wiki, scripts, emoji, right-to-left text."""

from __future__ import annotations

from itertools import pairwise

_PARTS = (
    "A <b>bold</b> & co",
    "R&amp;D",
    "5 < 6 > 4",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<script>alert(1)</script>",
    "<i>",
    "&nbsp;",
    "&#x41;&#66;&copy",
    "**bold** [[link>>Main.WebHome]]",
    "{{html}}x{{/html}}",
    "Now #set($x = 3)$x",
    "$services.query",
    "🌳 Boom 👩‍🚒 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "עברית ושלום",
    "العربية ‏نص",
    "Überprüfung — Straße",
    "文書管理規程",
    'it\'s "quoted" \\ back/slash',
    "100% _under_ ~tilde",
    "<!-- hidden -->",
)
TITLES = [
    *_PARTS,
    *(f"{one} {other}" for one, other in pairwise(_PARTS)),
    *(f"{one}{other}" for one, other in zip(_PARTS, _PARTS[2:], strict=False)),
    *(f"  {one}   twice {one} " for one in _PARTS),
    *(one[::-1] for one in _PARTS),
    *("<", ">", "&"),
]
