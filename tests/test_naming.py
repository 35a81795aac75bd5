"""What a typed or pasted text names, and which leaf can look it up. No request is made."""

from __future__ import annotations

import pytest

from panel.connector import SourceConfig
from panel.integrations.registry import load_registry
from panel.links.naming import Known, Named, named_in

WIKI, TRACKER = "https://example.org/xwiki", "https://example.org/openproject"
PAGE, WORK = f"{WIKI}/bin/view/A/B", f"{TRACKER}/work_packages/7"


def known(wiki: str = WIKI, tracker: str = TRACKER) -> list[Known]:
    roots = {"xwiki": wiki, "openproject": tracker}
    return [(leaf, SourceConfig(leaf.id, leaf.id, leaf.id, roots[leaf.id])) for leaf in load_registry().all()]


def named(text: str) -> dict[str, list[str]]:
    return {leaf: list(texts) for leaf, texts in named_in(text, known()).by_leaf.items()}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1528", {"openproject": ["1528"]}),
        ("#1528", {"openproject": ["#1528"]}),
        ("OP#1528", {"openproject": ["OP#1528"]}),
        ("PROJ-51", {"openproject": ["PROJ-51"]}),
        ("Space.Page", {"xwiki": ["Space.Page"]}),
        ("[[label>>Space.Page]]", {"xwiki": ["[[label>>Space.Page]]"]}),
        ("1528, 1512", {"openproject": ["1528", "1512"]}),
        ("1528 1512", {"openproject": ["1528", "1512"]}),
        ("1528; Space.Page", {"openproject": ["1528"], "xwiki": ["Space.Page"]}),
        (PAGE, {"xwiki": [PAGE]}),
        (f"see {WORK}.", {"openproject": [WORK]}),
        (f"{PAGE} {WORK}", {"xwiki": [PAGE], "openproject": [WORK]}),
        (f"({PAGE}), <{WORK}>!", {"xwiki": [PAGE], "openproject": [WORK]}),
        (f"{WORK} and again {WORK}", {"openproject": [WORK]}),
        ("example.org/openproject/wp/7", {"openproject": ["https://example.org/openproject/wp/7"]}),
        (f"{WIKI}/bin/view/A/B%20(c)", {"xwiki": [f"{WIKI}/bin/view/A/B%20(c)"]}),
        (f"see {WIKI}/bin/view/A/B_(c)", {"xwiki": [f"{WIKI}/bin/view/A/B_(c)"]}),
        ("welstand dak", {}),
        ("dakkapel 12", {}),
        ("mail@example.org", {}),
        ("", {}),
        ("   ", {}),
        ("https://[", {}),
    ],
)
def test_a_text_names_items_of_the_leaf_that_can_look_them_up(text: str, found: dict[str, list[str]]) -> None:
    assert named(text) == found


@pytest.mark.parametrize("text", ["https://other.example/x", "see https://other.example/x, thanks"])
def test_an_address_of_no_source_is_unknown(text: str) -> None:
    assert named_in(text, known()) == Named({}, ["https://other.example/x"], has_addresses=True)


def test_of_two_sources_on_a_host_the_longer_path_has_the_address() -> None:
    both = known(wiki="https://example.org", tracker="https://example.org/openproject")

    assert dict(named_in(WORK, both).by_leaf) == {"openproject": [WORK]}


def test_an_address_beside_all_roots_is_with_every_source_of_its_host() -> None:
    """A wiki can have short addresses outside of its root."""
    assert set(named_in("https://example.org/wiki/A/B", known()).by_leaf) == {"xwiki", "openproject"}


def test_one_text_names_at_most_fifty_items() -> None:
    text = " ".join(f"{TRACKER}/work_packages/{number}" for number in range(1, 80))

    assert len(named_in(text, known()).by_leaf["openproject"]) == 50
