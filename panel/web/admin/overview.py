"""The overview, and the page that turns the connector on and off."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug import Response

from panel.core.messages import _
from panel.links import open_creates, open_updates
from panel.logs import call_query
from panel.sources.standing import Standing
from panel.storage.models import Source
from panel.web.admin.connect import products
from panel.web.admin.status import integration_statuses, last_checked
from panel.web.admin.traffic import flows
from panel.web.context import acting, admitted, panel, visitor
from panel.web.htmx import vary_on_fragment, wants_fragment

Page = str | tuple[str, int] | Response


def overview() -> Page:
    panel().call_log.flush()
    integrations = _stored()
    is_empty = all(row.source is None for row in integrations["rows"])
    return render_template("admin/overview.html", is_empty=is_empty, products=products(), **integrations)


def integrations() -> Page:
    """The parts of the overview that refresh themselves. They show stored results and make no upstream call."""
    if not wants_fragment():
        return redirect(url_for("admin.overview"), 303)
    return vary_on_fragment(make_response(render_template("admin/_integrations.html", **_stored())))


def _stored() -> dict[str, Any]:
    """What is stored of all integrations and their traffic. The limits of the sources are read once."""
    sources = panel().sources.all()
    standings = panel().standings.all(sources)
    return {**_integrations(standings), **_traffic(sources, standings)}


def _integrations(standings: Mapping[str, Standing]) -> dict[str, Any]:
    rows, switches = integration_statuses(panel(), standings), panel().switches
    return {
        "rows": rows,
        "needing": [row for row in rows if row.needs_action],
        "checked": last_checked(rows),
        "unknown_creates": open_creates.unknown_count(),
        "unrecorded_updates": open_updates.unrecorded_count(),
        "connector_on": switches.connector_on(),
        "locked_off": switches.locked_off,
        # Random, so that pages opened at the same time do not refresh at the same time.
        "refresh_s": random.randint(17, 23),
    }


def _traffic(sources: Sequence[Source], standings: Mapping[str, Standing]) -> dict[str, Any]:
    return {
        "flows": flows(panel(), sources, standings),
        "figures": call_query.figures(),
        "failures": call_query.latest_failures(),
    }


def check() -> Page:
    """Run the health check of every enabled source."""
    caller = visitor(admitted(), "admin")
    for leaf in panel().registry.all():
        source = panel().sources.find(leaf.id)
        if source is not None and source.enabled:
            panel().links.health(caller, leaf.id)
    return redirect(url_for("admin.overview"), 303)


def connector() -> Page:
    """GET shows the confirmation or the current state; POST turns the connector on or off."""
    switches = panel().switches
    if request.method == "GET":
        return render_template("admin/connector.html", on=switches.connector_on(), locked_off=switches.locked_off)
    turn_on = request.form.get("value") == "on"
    if switches.locked_off:
        flash(_("The setting PANEL_CONNECTOR_ENABLED of this server switches the connector off."), "warn")
    else:
        switches.set_connector(on=turn_on, by=acting())
        flash(_("The connector is on.") if turn_on else _("The connector is off."))
    return redirect(url_for("admin.overview"), 303)
