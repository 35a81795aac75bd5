"""Compresses pages, except for requests that a page of another site may have caused.

The length of a compressed page tells whether a text in it repeats. Who can add texts to requests of a signed-in browser
and watch the network could find out a secret of the page in that way (BREACH). Pages of other sites are therefore
answered uncompressed; JSON is never compressed.
"""

from __future__ import annotations

import gzip
from collections.abc import Collection

from flask import Flask, Response, request

LEVEL = 6
SMALLEST_BYTES = 1024
"""Shorter pages fit into one packet anyway."""
OWN_REQUESTS = frozenset({"same-origin", "none"})
"""Values of ``Sec-Fetch-Site`` for requests of our own pages, and of addresses typed or bookmarked."""


def install(app: Flask, *, without_session: Collection[str]) -> None:
    """Compress pages of all blueprints. Those in ``without_session`` read no cookie, so they need no check.

    A page of another site cannot send the bearer token that such a request needs.
    """

    @app.after_request
    def compress(response: Response) -> Response:
        if response.mimetype != "text/html":
            return response
        response.vary.update(("Accept-Encoding", "Sec-Fetch-Site"))
        if (request.blueprint in without_session or _is_own_request()) and _is_worth_it(response):
            response.set_data(gzip.compress(response.get_data(), LEVEL, mtime=0))
            response.headers["Content-Encoding"] = "gzip"
        return response


def _is_own_request() -> bool:
    """Browsers set the header and pages cannot change it. Without it, nothing is known about the page that asks."""
    return request.headers.get("Sec-Fetch-Site") in OWN_REQUESTS


def _is_worth_it(response: Response) -> bool:
    return (
        not response.is_streamed and len(response.get_data()) >= SMALLEST_BYTES and request.accept_encodings["gzip"] > 0
    )
