"""The OpenProject leaf: connection, single work packages and search, on an early and a recent server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from openproject_tracker import HAL, LIST, Tracker, error, paths, tracker_fixture

from panel.connector import Answer, AuthKind, SourceConfig, Upstream
from panel.core.domain import Choice, Identity
from panel.core.errors import Forbidden, InvalidInput, NotFound, ProviderUnavailable, WrongHost
from panel.core.reasons import Reason
from panel.integrations.descriptor import Descriptor
from panel.integrations.openproject import leaf as module
from panel.integrations.openproject.leaf import OpenProject

tracker = tracker_fixture("17", "12")
recent = tracker_fixture("17")
early = tracker_fixture("12")

# --- descriptor and addresses --------------------------------------------------------------------------------------


def test_descriptor_matches_the_leaf() -> None:
    descriptor = Descriptor.load(Path(module.__file__).with_name("leaf.yaml"))

    assert (descriptor.label, descriptor.icon, descriptor.reference_kind) == ("Projects", "Briefcase", "number")
    assert [preset.id for preset in descriptor.presets] == ["apikey", "token", "oauth2", "none"]
    assert (descriptor.presets[0].auth, descriptor.presets[0].username) == ("basic", "apikey")
    assert [one.name for one in descriptor.create] == ["projectId", "type", "subject", "description"]
    assert [one.name for one in descriptor.update] == ["subject", "status", "assignee"]
    assert set(descriptor.reference_aliases) >= {"reference", "workPackageId", "id", "url"}


def test_urls_are_built_from_the_instance_root() -> None:
    leaf, source = OpenProject(), SourceConfig("1", "openproject", "Tracker", "https://p.example.org/op")

    assert leaf.instance_root("https://p.example.org/op/api/v3/") == source.root
    assert leaf.api_address(source) == "https://p.example.org/op/api/v3"
    assert leaf.url_for(source, "1528") == "https://p.example.org/op/work_packages/1528"
    assert leaf.create_elsewhere_url(source, {}) == "https://p.example.org/op/work_packages/new"
    assert leaf.looks_like_reference(source, "#1528")


def test_check_reads_the_user_and_a_list(tracker: Tracker) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        identity = tracker.leaf.check(upstream)

    assert identity == Identity("Uma User", None)
    assert paths(seen) == ["GET /users/me", "GET /work_packages"]


@pytest.mark.parametrize("token", ["wrong", "L"])
def test_a_wrong_key_and_a_locked_account_are_rejected_credentials(tracker: Tracker, token: str) -> None:
    with tracker.open(tracker.source(token)) as upstream, pytest.raises(ProviderUnavailable) as failed:
        tracker.leaf.check(upstream)

    assert failed.value.reason is Reason.CREDENTIALS_REJECTED


def test_an_ignored_credential_is_rejected_on_a_public_instance(tracker: Tracker) -> None:
    """OpenProject ignores a credential in this header and handles the request as anonymous."""
    tracker.open_to_everybody()
    source = tracker.source("T", kind=AuthKind.TOKEN, header="X-Api-Key")

    with tracker.open(source) as upstream:
        assert tracker.leaf.probe_product(upstream) == ""
        with pytest.raises(ProviderUnavailable, match="no account stands behind the credential") as failed:
            tracker.leaf.check(upstream)

    assert failed.value.reason is Reason.CREDENTIALS_REJECTED


def test_a_public_instance_can_be_read_without_an_account(tracker: Tracker) -> None:
    tracker.open_to_everybody()

    with tracker.open(tracker.source(None)) as upstream:
        assert tracker.leaf.check(upstream) == Identity(None, None)


def test_an_instance_that_requires_login_rejects_a_source_without_an_account(tracker: Tracker) -> None:
    with tracker.open(tracker.source(None)) as upstream, pytest.raises(ProviderUnavailable) as failed:
        tracker.leaf.check(upstream)

    assert failed.value.reason is Reason.CREDENTIALS_REJECTED


def test_new_keys_are_accepted_as_bearer_tokens_by_recent_servers(recent: Tracker) -> None:
    with recent.open(recent.source("opapi-T", kind=AuthKind.TOKEN)) as upstream:
        assert recent.leaf.check(upstream).user == "Uma User"


def test_bearer_keys_are_rejected_by_early_servers(early: Tracker) -> None:
    source = early.source("opapi-T", kind=AuthKind.TOKEN)

    with early.open(source) as upstream, pytest.raises(ProviderUnavailable) as failed:
        early.leaf.check(upstream)

    assert failed.value.reason is Reason.CREDENTIALS_REJECTED


def test_a_404_that_is_not_from_openproject_does_not_reject_the_credential(tracker: Tracker) -> None:
    tracker.reply(404, "<h1>Not found</h1>", path="/api/v3/users/me", kind="text/html")

    with tracker.open() as upstream, pytest.raises(ProviderUnavailable) as failed:
        tracker.leaf.check(upstream)

    assert failed.value.reason is Reason.UNEXPECTED_RESPONSE


def test_a_token_without_the_scope_is_forbidden_not_rejected(tracker: Tracker) -> None:
    for path in ("/api/v3", "/api/v3/users/me", f"{LIST}/101"):
        tracker.reply(403, error("Unauthenticated"), path=path)

    with tracker.open() as upstream:
        assert tracker.leaf.probe_product(upstream) == ""
        for read in (tracker.leaf.check, lambda upstream: tracker.leaf.fetch(upstream, "101")):
            with pytest.raises(ProviderUnavailable, match="lacks the scope") as failed:
                read(upstream)
            assert failed.value.reason is Reason.FORBIDDEN


def test_every_other_response_is_classified_by_the_connector() -> None:
    source = SourceConfig("1", "openproject", "Tracker", "https://p.example.org")
    body = json.dumps(error("MissingPermission")).encode()

    for status in (200, 403, 409):
        assert OpenProject().classify(Answer(status, {"content-type": HAL}, body, "GET /"), source) is None
    assert OpenProject().classify(Answer(403, {}, b"", "GET /"), source) is None


def test_product_probe_needs_no_credential_and_returns_the_version_for_administrators(tracker: Tracker) -> None:
    versions = []
    for token in (None, "T", "A"):
        with tracker.open(tracker.source(token)) as upstream:
            versions.append(tracker.leaf.probe_product(upstream))

    assert versions == ["", "", tracker.standin.profile.version]


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (200, {"_type": "Collection"}, HAL, Reason.UNEXPECTED_RESPONSE),
        (200, {}, "application/json", Reason.UNEXPECTED_RESPONSE),
        (200, "<title>Wiki</title>", "text/html", Reason.UNEXPECTED_RESPONSE),
        (401, "", "text/plain", Reason.UNEXPECTED_RESPONSE),
        (401, {"message": "no"}, "application/json", Reason.UNEXPECTED_RESPONSE),
        (403, "", "text/plain", Reason.UNEXPECTED_RESPONSE),
        (404, error("NotFound"), HAL, Reason.UNEXPECTED_RESPONSE),
    ],
)
def test_another_product_is_not_recognised_as_openproject(
    recent: Tracker, status: int, body: Any, kind: str, reason: Reason
) -> None:
    recent.reply(status, body, path="/api/v3", kind=kind)

    with recent.open() as upstream, pytest.raises(ProviderUnavailable) as failed:
        recent.leaf.probe_product(upstream)

    assert failed.value.reason is reason


@pytest.mark.parametrize(("token", "sentence"), [("T", "This account sees 3 work packages."), ("A", "sees 4")])
def test_reading_probe_counts_the_visible_work_packages(tracker: Tracker, token: str, sentence: str) -> None:
    with tracker.open(tracker.source(token)) as upstream:
        assert sentence in tracker.leaf.probe_reading(upstream)


def test_reading_probe_distinguishes_nothing_visible_from_forbidden(tracker: Tracker) -> None:
    for number in (101, 102, 103):
        tracker.standin.remove_work_package(number)

    with tracker.open() as upstream:
        assert tracker.leaf.probe_reading(upstream) == "This account sees no work packages."
    with tracker.open(tracker.source("N")) as upstream, pytest.raises(ProviderUnavailable) as failed:
        tracker.leaf.probe_reading(upstream)
    assert failed.value.reason is Reason.FORBIDDEN


READS: dict[str, Callable[[OpenProject, Upstream], object]] = {
    "reading": lambda leaf, upstream: leaf.probe_reading(upstream),
    "projects": lambda leaf, upstream: leaf.choices(upstream, "projectId", {}),
    "types": lambda leaf, upstream: leaf.choices(upstream, "type", {"projectId": "1"}),
    "assignees": lambda leaf, upstream: leaf.choices(upstream, "assignee", {}, reference="101"),
}
"""Reads that only this leaf has; ``test_contract.py`` tests the others with every fault."""
FAULTS = {
    "login-page": Reason.UNEXPECTED_RESPONSE,
    "empty-body": Reason.UNEXPECTED_RESPONSE,
    "empty-object": Reason.UNEXPECTED_RESPONSE,
    "wrong-type": Reason.UNEXPECTED_RESPONSE,
    "broken-json": Reason.UNEXPECTED_RESPONSE,
    "unauthorized": Reason.CREDENTIALS_REJECTED,
    "forbidden": Reason.FORBIDDEN,
    "wall": Reason.UNEXPECTED_RESPONSE,
    "rate-limited": Reason.RATE_LIMITED,
    "server-error": Reason.SERVER_ERROR,
    "redirect": Reason.UNEXPECTED_REDIRECT,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("read", READS)
def test_a_fault_of_the_source_is_never_a_result(recent: Tracker, read: str, fault: str) -> None:
    recent.standin.fault = fault

    with recent.open() as upstream, pytest.raises((ProviderUnavailable, Forbidden)) as failed:
        READS[read](recent.leaf, upstream)

    reason = Reason.FORBIDDEN if isinstance(failed.value, Forbidden) else failed.value.reason
    assert reason is FAULTS[fault]


# --- one work package ----------------------------------------------------------------------------------------------


def test_an_item_has_the_facts_of_the_work_package(tracker: Tracker) -> None:
    updated_at = datetime(2026, 5, 2, 9, tzinfo=UTC)
    tracker.standin.touch(101, assignee_id=20, due_date=date(2026, 12, 4), updated_at=updated_at)

    with tracker.open() as upstream:
        item = tracker.leaf.fetch(upstream, "101")

    assert (item.reference, item.title, item.updated) == ("101", "Replace the north bridge", updated_at)
    assert item.url == f"{tracker.root}/work_packages/101"
    assert (item.is_closed, item.due, item.can_update, item.lock_version) == (False, date(2026, 12, 4), True, "1")
    assert item.field_values == {
        "subject": Choice("Replace the north bridge", "Replace the north bridge"),
        "status": Choice("1", "New"), "assignee": Choice("20", "Team Blue"),
    }  # fmt: skip
    assert item.facts == {
        "displayId": "101", "status": "New", "statusColor": "#1098AD", "type": "Task", "priority": "Normal",
        "assignee": "Team Blue", "project": "Alpha",
    }  # fmt: skip


def test_list_and_single_response_give_the_same_item(tracker: Tracker) -> None:
    with tracker.open() as upstream:
        listed = tracker.leaf.fetch_many(upstream, ["102"])["102"]
        single = tracker.leaf.fetch(upstream, "102")

    assert listed == single


def test_a_single_work_package_needs_no_request_for_its_status(tracker: Tracker) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        assert tracker.leaf.fetch(upstream, "102").is_closed is True

    assert paths(seen) == ["GET /work_packages/102"]


def test_row_has_every_key_of_the_contract(tracker: Tracker) -> None:
    tracker.standin.touch(102, updated_at=datetime(2026, 5, 2, 9, 0, 0, 123000, tzinfo=UTC))
    with tracker.open() as upstream:
        items = tracker.leaf.fetch_many(upstream, ["102", "999"])

    assert tracker.leaf.row(items["102"]) == {
        "id": "102", "reference": "102", "displayId": "102", "subject": "Paint the old bridge",
        "title": "Paint the old bridge", "status": "Closed", "isClosed": True, "type": "Task", "priority": "Normal",
        "assignee": None, "project": "Alpha", "url": f"{tracker.root}/work_packages/102",
        "updated": datetime(2026, 5, 2, 9, 0, 0, 123000, tzinfo=UTC), "state": "live", "dueDate": None, "statusColor": "#868E96",
    }  # fmt: skip
    gone = tracker.leaf.row(items["999"])
    assert set(gone) == set(tracker.leaf.row(items["102"]))
    assert (gone["id"], gone["state"], gone["url"]) == ("999", "gone", f"{tracker.root}/work_packages/999")


def test_a_milestone_is_due_on_its_date(tracker: Tracker) -> None:
    day = date(2026, 7, 1)
    created = tracker.standin.add_work_package("Opening", 1, type_id=2, start_date=day, due_date=day)

    with tracker.open() as upstream:
        assert tracker.leaf.fetch(upstream, str(created.id)).due == day


def test_a_shared_work_package_has_its_project(tracker: Tracker) -> None:
    tracker.standin.world.share(5, 201)

    with tracker.open() as upstream:
        items = tracker.leaf.fetch_many(upstream, ["201"])

    assert (items["201"].title, items["201"].facts["project"]) == ("Secret tunnel", "Beta")
    assert items["201"].can_update is False


def test_an_undisclosed_project_is_none(tracker: Tracker) -> None:
    undisclosed = {"href": "urn:openproject-org:api:v3:undisclosed", "title": "Undisclosed"}
    tracker.rewrite(lambda body: body["_links"].update(project=undisclosed), path=f"{LIST}/101")

    with tracker.open() as upstream:
        assert tracker.leaf.fetch(upstream, "101").facts["project"] is None


def test_a_new_display_id_is_shown_and_the_number_stays_the_reference(recent: Tracker) -> None:
    recent.standin.semantic_display_ids = True

    with recent.open() as upstream:
        item = recent.leaf.resolve(upstream, "ALPHA-1")

    row = recent.leaf.row(item)
    assert (row["id"], row["displayId"], row["url"]) == ("101", "ALPHA-1", f"{recent.root}/work_packages/101")


def test_texts_are_plain_and_invalid_colours_are_dropped(recent: Tracker) -> None:
    nasty = "<b>x</b>\x00\x1b[31m \u202eevil\u2066\n  end\ud800"

    def corrupt(body: dict[str, Any]) -> None:
        body["subject"] = body["_links"]["type"]["title"] = nasty
        body["_embedded"]["status"]["color"] = "red;}"

    recent.rewrite(corrupt, path=f"{LIST}/101")

    with recent.open() as upstream:
        row = recent.leaf.row(recent.leaf.fetch(upstream, "101"))

    assert row["subject"] == row["type"] == "<b>x</b>[31m evil end"
    assert row["statusColor"] is None


def test_an_excerpt_is_returned_only_on_request(tracker: Tracker) -> None:
    tracker.standin.touch(101, description="Beams **and** planks.\n\nMore.")

    with tracker.open() as upstream:
        assert tracker.leaf.fetch(upstream, "101").excerpt is None
        assert tracker.leaf.fetch(upstream, "101", with_excerpt=True).excerpt == "Beams **and** planks. More."


@pytest.mark.parametrize("reference", ["999", "201", "abc", "007", "../users/me", ""])
def test_fetch_finds_only_visible_work_packages(tracker: Tracker, reference: str) -> None:
    with tracker.open() as upstream, pytest.raises(NotFound):
        tracker.leaf.fetch(upstream, reference)


@pytest.mark.parametrize(
    "typed", ["101", "#101", " 101 ", "{root}/wp/101", "{root}/projects/alpha/work_packages/101/activity?x=1"]
)
def test_resolves_typed_numbers_and_pasted_urls(tracker: Tracker, typed: str) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        item = tracker.leaf.resolve(upstream, typed.format(root=tracker.root))

    assert (item.reference, item.title) == ("101", "Replace the north bridge")
    assert paths(seen) == ["GET /work_packages/101"]


@pytest.mark.parametrize(
    "typed",
    ["ALPHA-1", "#ALPHA-1", "alpha-1", "#Alpha-1", "{root}/projects/alpha/work_packages/ALPHA-1", "{root}/wp/alpha-1"],
)
def test_a_semantic_id_resolves_to_the_number_on_recent_servers_only(tracker: Tracker, typed: str) -> None:
    with tracker.open() as upstream:
        if tracker.standin.profile.display_ids:
            assert tracker.leaf.resolve(upstream, typed.format(root=tracker.root)).reference == "101"
        else:
            with pytest.raises(NotFound, match="ALPHA-1"):
                tracker.leaf.resolve(upstream, typed.format(root=tracker.root))


@pytest.mark.parametrize("typed", ["999", "201", "#999"])
def test_resolve_names_the_number_that_is_not_found(tracker: Tracker, typed: str) -> None:
    with tracker.open() as upstream, pytest.raises(NotFound, match=f"#{typed.strip('#')} "):
        tracker.leaf.resolve(upstream, typed)


def test_a_short_name_of_before_a_renaming_is_found(recent: Tracker) -> None:
    recent.standin.world.projects[1] = replace(recent.standin.world.projects[1], former_keys=("old-alpha",))

    with recent.open() as upstream:
        found = [recent.leaf.resolve(upstream, typed).reference for typed in ("old-alpha-1", "#old-alpha-1")]

    assert found == ["101", "101"]


def test_a_short_name_is_requested_in_upper_case_and_then_as_it_was_typed(recent: Tracker) -> None:
    with recent.standin.counting() as seen, recent.open() as upstream, pytest.raises(NotFound, match=" GONE-1 "):
        recent.leaf.resolve(upstream, "gone-1")

    assert paths(seen) == ["GET /work_packages/GONE-1", "GET /work_packages/gone-1"]


def test_resolve_sends_no_request_for_invalid_input(tracker: Tracker) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        with pytest.raises(WrongHost):
            tracker.leaf.resolve(upstream, "https://elsewhere.example/work_packages/101")
        with pytest.raises(WrongHost):
            tracker.leaf.resolve(upstream, f"{tracker.server.url}/work_packages/101")
        with pytest.raises(InvalidInput, match="is no work package"):
            tracker.leaf.resolve(upstream, "the bridge")

    assert seen == []


# --- search --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bridge", {"101", "102"}),
        ("bridge NORTH", {"101"}),
        ("#102", {"102"}),
        ("10", {"101", "102", "103"}),
        ("x y", set()),
    ],
)
def test_search_matches_every_word_and_includes_closed_work_packages(
    tracker: Tracker, text: str, found: set[str]
) -> None:
    with tracker.open() as upstream:
        assert {item.reference for item in tracker.leaf.search(upstream, text, limit=20)} == found


@pytest.mark.parametrize("text", ["", "  ", "\x00"])
def test_an_empty_search_lists_the_latest_changes_first(tracker: Tracker, text: str) -> None:
    tracker.standin.touch(102)
    tracker.standin.touch(101)

    with tracker.standin.counting() as seen, tracker.open() as upstream:
        items = tracker.leaf.search(upstream, text, limit=2)

    assert [item.reference for item in items] == ["101", "102"]
    assert dict(seen[0].params)["filters"] == "[]"


@pytest.mark.parametrize(("limit", "page_size"), [(5, "5"), (0, "1"), (-1, "1"), (100_000, "100")])
def test_search_requests_at_most_one_page(tracker: Tracker, limit: int, page_size: str) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        tracker.leaf.search(upstream, "bridge", limit=limit)

    assert dict(seen[0].params)["pageSize"] == page_size


def test_a_very_long_search_text_is_shortened(tracker: Tracker) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        assert tracker.leaf.search(upstream, "bridge \U0001f309" * 1000, limit=5) == []

    assert len(seen[0].query) < 8000


def test_search_without_any_rights_is_forbidden_not_empty(tracker: Tracker) -> None:
    with tracker.open(tracker.source("N")) as upstream, pytest.raises(ProviderUnavailable) as failed:
        tracker.leaf.search(upstream, "bridge", limit=5)

    assert failed.value.reason is Reason.FORBIDDEN


# --- totals and texts ------------------------------------------------------------------------------------------------


def test_a_search_says_how_many_there_are(tracker: Tracker) -> None:
    hits = tracker.leaf.find(tracker.open(), "bridge", limit=1)

    assert (len(hits.items), hits.total, hits.more) == (1, 2, False)


def test_descriptions_are_searched_where_no_subject_has_the_words(tracker: Tracker) -> None:
    tracker.standin.add_work_package("Roofs", 1, id=901, description="A dormer in the front")

    with tracker.standin.counting() as seen:
        assert [item.reference for item in tracker.leaf.find(tracker.open(), "front dormer", limit=5).items] == ["901"]
    assert len({dict(one.params)["filters"] for one in seen if one.path.endswith("/work_packages")}) == 2
    assert not tracker.leaf.find(tracker.open(), "front dormer", limit=5, titles_only=True).items
