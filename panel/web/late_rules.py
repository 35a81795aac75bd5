"""Routes whose builder of addresses is compiled at its first use.

Werkzeug compiles two functions for each route when it is added, which is most of the time in which an application is
created. A command builds hardly any address, and a server not those of all routes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from werkzeug.routing import Rule

Build = Callable[..., tuple[str, str]]


class LateRule(Rule):
    def _compile_builder(self, append_unknown: bool = True) -> Build:
        compiled = cache(lambda: super(LateRule, self)._compile_builder(append_unknown))

        def build(rule: Rule, **values: object) -> tuple[str, str]:
            return compiled()(rule, **values)

        return build
