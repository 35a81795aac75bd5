"""The address ``/``: leads each person to the page where their work begins."""

from __future__ import annotations

from flask import Flask, redirect, url_for
from werkzeug import Response


def install(app: Flask) -> None:
    app.add_url_rule("/", "front_door", front_door)


def front_door() -> Response:
    """Lead to the sign-in form, which sends people who are signed in on to their first page."""
    return redirect(url_for("admin.sign_in"), 303)
