"""The source pages: list, form, Test connection, export and delete."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, session, url_for
from werkzeug import Response as AnyResponse

from panel.core.clock import now
from panel.core.domain import ConnectionTest
from panel.core.errors import Conflict, InvalidInput, NotFound, PanelError, Rejected
from panel.core.messages import _, sentences
from panel.integrations.contract import Integration
from panel.logs import call_query
from panel.sources.oauth import consent_origin
from panel.sources.service import Saved, Usage
from panel.storage.models import Source
from panel.web.admin import source_import
from panel.web.admin.calls import chart
from panel.web.admin.connect import discovered, forget_discovered, private_address_help, with_discovered
from panel.web.admin.objects import EXAMPLE
from panel.web.admin.required_inputs import missing_inputs
from panel.web.admin.source_form import SourceForm, empty_form, stored_form, typed_form, values_of
from panel.web.admin.status import auth_badge, health_badge
from panel.web.admin.test_report import report
from panel.web.admin.traffic import flows
from panel.web.auth.session import own_path
from panel.web.context import acting, admitted, panel, request_id, visitor
from panel.web.htmx import vary_on_fragment, wants_fragment
from panel.web.security_headers import allow_form_to

bp = Blueprint("sources", __name__)
bp.register_blueprint(source_import.bp)

Page = str | tuple[str, int] | AnyResponse

_REFUSED = (InvalidInput, Rejected, Conflict)


# --- list ------------------------------------------------------------------------------------------------------------


@bp.get("/sources")
def index() -> Page:
    sources = panel().sources.all()
    known = {source.slug for source in sources}
    rows = [_row(source) for source in sources]
    waiting = [leaf for leaf in panel().registry.all() if leaf.id not in known]
    return render_template("admin/sources.html", rows=rows, waiting=waiting, templates=source_import.template_names())


def _row(source: Source) -> tuple[Source, Integration | None, Usage, str]:
    """A source, its integration, its links, and why the stored row cannot be used."""
    sources = panel().sources
    return source, panel().registry.find(source.slug), sources.usage(source.slug), sources.problem(source)


@bp.post("/sources/<slug>/enabled")
def set_enabled(slug: str) -> Page:
    on = request.form.get("value") == "on"
    panel().sources.set_enabled(slug, on=on, by=acting())
    done = _("The source “{slug}” is switched on.") if on else _("The source “{slug}” is switched off.")
    flash(done.filled(slug=slug))
    return redirect(url_for(".index"), 303)


# --- form ------------------------------------------------------------------------------------------------------------


@bp.route("/new-source", methods=["GET", "POST"])
def new() -> Page:
    """A source with a new slug. The sources of integrations have pages of their own."""
    return _page(empty_form("", None)) if request.method == "GET" else _act(empty_form("", None))


@bp.route("/sources/<slug>", methods=["GET", "POST"])
def edit(slug: str) -> Page:
    """The page of a source, or of an integration that has no source yet."""
    return _page(_form(slug)) if request.method == "GET" else _act(_form(slug))


def _form(slug: str) -> SourceForm:
    """Raises NotFound when there is neither a source nor an integration with this slug."""
    source, leaf = panel().sources.find(slug), panel().registry.find(slug)
    if source is not None:
        return stored_form(panel().sources.values(source), leaf, source.revision)
    if leaf is None:
        raise NotFound(_("There is no source “{slug}”.", slug=slug))
    pasted = request.args.get("location", "")[:500]
    return empty_form(slug, leaf, location=pasted) if pasted else with_discovered(empty_form(slug, leaf))


def _act(shown: SourceForm) -> Page:
    """Save, save and test, or test without saving. Refused values are shown in the form."""
    typed, action = request.form.to_dict(), request.form.get("do", "save")
    form = typed_form(shown, typed)
    try:
        values = values_of(form, typed)
        if absent := missing_inputs(form, values):
            return _page(replace(form, errors=absent)), 422
        if action == "test":
            result = panel().connection_tests.run(form.slug, values, caller=visitor(admitted(), "test").caller)
            return _page(form, result=result)
        saved = _save(form, values)
    except _REFUSED as exc:
        return _refused(form, exc)
    forget_discovered()
    for warning in saved.warnings:
        flash(warning, "warn")
    flash(_("The source “{slug}” is saved.", slug=saved.source.slug))
    return _run_test(saved.source.slug) if action == "save-and-test" else _back_to(saved.source.slug)


def _save(form: SourceForm, values: dict[str, Any]) -> Saved:
    if form.stored is None:
        return panel().sources.create(values, by=acting())
    return panel().sources.change(form.slug, values, by=acting(), revision=form.revision)


def _refused(form: SourceForm, exc: PanelError) -> Page:
    if not isinstance(exc, Conflict):
        return _page(form.with_error(exc)), 422
    source = panel().sources.find(form.slug)
    # The next save is made after reading this message, so it may replace the other change.
    form = replace(form, revision=source.revision if source is not None else None)
    if form.stored is not None:
        exc = Conflict(sentences(exc.message, _("Nothing of yours was saved. Save again to replace theirs.")))
    return _page(form.with_error(exc)), 409


def _page(form: SourceForm, *, result: ConnectionTest | None = None) -> str:
    stored = panel().sources.find(form.slug) if form.stored is not None else None
    check, standing, consent = panel().checks.current(stored), panel().standings.of(stored), None
    if stored is not None and (consent := panel().sources.consent(stored)) is not None:
        # Browsers apply the form-action of this page to the redirect that follows the form.
        allow_form_to(consent_origin(stored.auth_fields["authorizationUrl"]))
    return render_template(
        "admin/source.html",
        form=form,
        source=stored,
        consent=consent,
        callback_address=f"{panel().config.public_url}/admin/oauth/callback",
        problem=panel().sources.problem(stored) if stored is not None else "",
        address=_address(form.slug, form.leaf, form.text),
        usage=panel().sources.usage(form.slug),
        figures=call_query.figures_of(form.slug) if stored is not None else None,
        chart=chart(form.slug) if stored is not None else None,
        flow=flows(panel(), [stored], {stored.id: standing})[0] if stored is not None else None,
        check=check,
        auth=auth_badge(stored, standing, consent),
        health=health_badge(stored, standing, connector_on=panel().switches.connector_on()),
        other_instance=panel().instances.other_instance(form.slug) if stored is not None else None,
        report=report(result, form) if result is not None else None,
        tested_at=now(),
        reference=request_id(),
        back=_back(),
        found=discovered(form.slug),
        private_help=private_address_help(),
        defaults={"timeout_s": f"{panel().config.deadline_s:g}"},
    )


# --- resolved address ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """The API and browser address of a typed location, or the error of an invalid one."""

    api: str = ""
    root: str = ""
    error: str = ""
    refused: str = ""
    """Why the panel may not call the address."""
    nouns: str = ""
    """The items that open there, if an integration uses the source."""


@bp.get("/source-address")
def address() -> AnyResponse | str:
    """The part below the location field, for which a name is looked up and nobody is called."""
    slug = request.args.get("slug", "").strip()
    shown = _address(slug, panel().registry.find(slug), request.args)
    page = Response(render_template("admin/_address.html", address=shown, private_help=private_address_help()))
    return vary_on_fragment(page) if wants_fragment() else redirect(url_for(".index"), 303)


def _address(slug: str, leaf: Integration | None, text: Any) -> Address:
    location = text.get("location", "").strip()
    if not location:
        return Address()
    options = {name.partition(".")[2]: value for name, value in text.items() if name.startswith("options.") and value}
    try:
        root, api = panel().sources.addresses(slug, location, options)
    except InvalidInput as exc:
        return Address(error=exc.message)
    nouns = leaf.descriptor.noun_plural if leaf else ""
    refused = panel().sources.refusal(slug, root, text.get("connect_to", ""))
    return Address(api, root, refused=refused, nouns=nouns[:1].upper() + nouns[1:])


# --- test ------------------------------------------------------------------------------------------------------------


@bp.post("/sources/<slug>/test")
def test(slug: str) -> Page:
    panel().sources.get(slug)
    return _run_test(slug)


@bp.get("/sources/<slug>/test")
def test_result(slug: str) -> Page:
    """Run Test connection after its form was sent. A link or a reload of this page sends no call."""
    source, form = panel().sources.get(slug), _form(slug)
    was_sent = session.pop("test", None) == slug
    result = panel().connection_tests.run(slug, caller=visitor(admitted(), "test").caller) if was_sent else None
    check, standing = panel().checks.current(source), panel().standings.of(source)
    return render_template(
        "admin/test.html",
        form=form,
        source=source,
        check=check,
        auth=auth_badge(source, standing, panel().sources.consent(source)),
        health=health_badge(source, standing, connector_on=panel().switches.connector_on()),
        other_instance=panel().instances.other_instance(slug),
        report=report(result, form) if result is not None else None,
        address=_address(slug, form.leaf, form.text),
        usage=panel().sources.usage(slug),
        example=EXAMPLE,
        back=_back(),
        tested_at=now(),
        reference=request_id(),
        connector_on=panel().switches.connector_on(),
    )


def _run_test(slug: str) -> AnyResponse:
    session["test"] = slug
    return redirect(url_for("admin.sources.test_result", slug=slug, back=_back() or None), 303)


def _back() -> str:
    """The page from which the administrator came to configure the source; "" when it was another admin page."""
    return own_path(request.values.get("back"), "")


def _back_to(slug: str) -> AnyResponse:
    return redirect(url_for("admin.sources.edit", slug=slug), 303)


@bp.post("/sources/<slug>/instance")
def instance(slug: str) -> Page:
    """Accept the other instance that the last test found."""
    try:
        panel().connection_tests.accept_instance(slug, request.form.get("other_instance", ""), by=acting())
    except Conflict as exc:
        flash(exc.message, "warn")
        return _back_to(slug)
    flash(_("The links lead into this {upstream} now.", upstream=_form(slug).upstream))
    return _back_to(slug)


# --- export and delete -----------------------------------------------------------------------------------------------


@bp.get("/sources/<slug>/export")
def export(slug: str) -> AnyResponse:
    return source_import.attachment(panel().sources.export(slug), f"{slug}-source.yaml")


@bp.route("/sources/<slug>/delete", methods=["GET", "POST"])
def delete(slug: str) -> Page:
    """GET shows what uses the source and a confirmation form; POST deletes it."""
    source: Source = panel().sources.get(slug)
    if request.method == "GET":
        leaf, usage = panel().registry.find(slug), panel().sources.usage(slug)
        return render_template("admin/source_delete.html", source=source, leaf=leaf, usage=usage)
    panel().sources.delete(slug, by=acting())
    flash(_("The source “{slug}” is deleted. The links are kept.", slug=slug))
    return redirect(url_for(".index"), 303)
