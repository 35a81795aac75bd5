"""The page that connects a product: asks for its address only, and leads to the form of the product found there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, flash, make_response, redirect, render_template, request, session, url_for
from werkzeug import Response

from panel.core.domain import Problem
from panel.core.errors import InvalidInput, ProviderUnavailable
from panel.core.messages import Message, _, any_of, labelled
from panel.core.reasons import Reason
from panel.integrations.contract import Integration
from panel.sources.discovery import Found, TooManyAddresses
from panel.web.admin.source_form import SourceForm
from panel.web.context import admitted, panel, visitor
from panel.web.reason_words import remedy_of

bp = Blueprint("connect", __name__)

Page = str | tuple[str, int] | Response
_KEPT = "discovered"
"""The key of the session that holds what was found, for the form that follows."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why no product was recognised, and what helps."""

    title: Message
    text: str
    remedy: str
    is_private: bool


def products() -> str:
    """The names of the products that can be connected, in one phrase."""
    return any_of([leaf.descriptor.upstream for leaf in panel().registry.all()])


@bp.route("/connect", methods=["GET", "POST"])
def connect() -> Page:
    """GET asks for the address. POST looks at it, or takes the product that the administrator names in ``leaf``."""
    if request.method == "GET":
        return _form()
    typed = request.form.get("location", "")
    named = panel().registry.find(request.form.get("leaf", ""))
    if named is not None:
        return _go_on(named, Found(location=typed.strip()))
    try:
        found = panel().discovery.find(typed, visitor(admitted(), "test").caller)
    except InvalidInput as exc:
        return _form(typed, error=labelled(exc.message, "location", _("Address"))), 422
    except TooManyAddresses as exc:
        response = make_response(_form(typed, error=exc.message), 429)
        response.headers["Retry-After"] = str(math.ceil(exc.retry_after))
        return response
    except ProviderUnavailable as exc:
        return _form(typed, failure=_failure(exc.problem))
    return _form(typed, failure=_failure(found.problem)) if found.leaf is None else _go_on(found.leaf, found)


def _form(typed: str = "", *, error: str = "", failure: Failure | None = None) -> str:
    leaves = [leaf for leaf in panel().registry.all() if panel().sources.find(leaf.id) is None]
    errors = {"location": error} if error else {}
    shown = {"products": products(), "leaves": leaves, "failure": failure, "errors": errors}
    return render_template("admin/connect.html", location=typed, **shown)


def _failure(problem: Problem | None) -> Failure | None:
    if problem is None:
        return None
    if problem.reason is Reason.ADDRESS_NOT_ALLOWED:
        title = _("The panel may not call this address yet")
        return Failure(title, problem.message, private_address_help(), is_private=True)
    if problem.reason is Reason.UNEXPECTED_RESPONSE:
        title = _("No {products} answers at this address", products=products())
        remedy = _("Copy the address of any of its pages from your browser. If it is right, continue by hand.")
        return Failure(title, problem.message, remedy, is_private=False)
    title = _("This address cannot be checked")
    return Failure(title, problem.message, remedy_of(problem), is_private=False)


def private_address_help() -> Message:
    """What an administrator does about an address that only a setting of the server opens."""
    return _(
        "Most servers inside an organisation have a private address, which only the person who runs this server can "
        "open: in that setting, followed by a restart. No password is needed until then."
    )


def _go_on(leaf: Integration, found: Found) -> Response:
    """Lead to the form of the product. What was found is in the session, so that no link can fill it in."""
    if panel().sources.find(leaf.id) is not None:
        flash(_("{upstream} is connected already. This is its source.", upstream=leaf.descriptor.upstream))
    else:
        session[_KEPT] = {
            "slug": leaf.id, "location": found.location, "version": found.version, "options": dict(found.options),
            "answered": found.leaf is leaf,
        }  # fmt: skip
    return redirect(url_for("admin.sources.edit", slug=leaf.id), 303)


def discovered(slug: str) -> Mapping[str, Any]:
    """What was found for the source ``slug`` before it was made: ``location``, ``options``, ``version``, ``answered``.

    Empty when nothing was looked for. ``answered`` is false where the administrator named the product.
    """
    kept: Mapping[str, Any] = session.get(_KEPT) or {}
    return kept if kept.get("slug") == slug else {}


def with_discovered(form: SourceForm) -> SourceForm:
    """The empty form of a product with the address and the options that were found."""
    kept = discovered(form.slug)
    if not kept:
        return form
    options = {f"options.{name}": value for name, value in kept["options"].items()}
    return replace(form, text={**form.text, "location": kept["location"], **options})


def forget_discovered() -> None:
    session.pop(_KEPT, None)
