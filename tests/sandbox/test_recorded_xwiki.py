"""The xWiki stand-in answers the recorded requests as the real servers did, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from recorded_xwiki import Exchange, Replay, differences, recording

from panel.sandbox.xwiki import XWikiStandIn
from panel.sandbox.xwiki_profiles import PROFILES, Profile

RECORDED = {"16": "16.2", "18": "18.5"}
"""Profile of the stand-in → the version that it was recorded from."""


def _replay(profile: str) -> Replay:
    return Replay(XWikiStandIn(profile, seed="demo", solr_lag=0))


def _differing(replay: Replay, exchanges: tuple[Exchange, ...]) -> dict[str, list[str]]:
    """Send all requests in their order; the first third of a recording fills the space that the rest reads."""
    compared = {one.name: differences(one.answer, replay.send(one)) for one in exchanges}
    return {name: found for name, found in compared.items() if found}


@pytest.mark.parametrize("profile", RECORDED)
def test_no_answer_differs_from_the_recorded_one(profile: str) -> None:
    exchanges = recording(RECORDED[profile])

    assert len(exchanges) > 140
    assert _differing(_replay(profile), exchanges) == {}


@pytest.mark.parametrize("profile", RECORDED)
def test_a_viewer_reads_the_same_and_nobody_is_named(profile: str) -> None:
    exchanges, replay = recording(RECORDED[profile]), _replay(profile)
    reads = [one for one in exchanges if one.is_read and one.sender == "" and one.answer.names_user]
    _differing(replay, tuple(one for one in exchanges if not one.is_read))

    viewer = {one.name: differences(replay.send(one), replay.send(one, "viewer")) for one in reads}
    nobody = {one.name: replay.send(one, "nobody") for one in reads}

    assert len(reads) > 80
    assert {name: found for name, found in viewer.items() if found} == {}
    expected = {one.name: replace(replay.send(one), names_user=False) for one in reads}
    assert {name: found for name, answer in nobody.items() if (found := differences(expected[name], answer))} == {}


DEVIATIONS: dict[str, Callable[[Profile], Profile]] = {
    "another status": lambda profile: replace(profile, unknown_wiki_page=403),
    "a key more": lambda profile: replace(profile, page_keys=profile.page_keys | {"enforceRequiredRights"}),
    "another hit": lambda profile: replace(profile, marks_new_references=False),
    "another title": lambda profile: replace(profile, keyword_source="index"),
    "another query type": lambda profile: replace(profile, xwql_reads_quotes=True),
}


@pytest.fixture(params=DEVIATIONS)
def deviating(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Replay:
    monkeypatch.setitem(PROFILES, "16", DEVIATIONS[request.param](PROFILES["16"]))
    return _replay("16")


def test_a_deviation_is_found(deviating: Replay) -> None:
    assert _differing(deviating, recording("16.2"))
