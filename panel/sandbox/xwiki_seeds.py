"""Initial content of the xWiki stand-in: a few pages for tests, or the wiki of a fictional municipality."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from panel.sandbox.xwiki_demo import PAGES
from panel.sandbox.xwiki_page import moment

if TYPE_CHECKING:
    from panel.sandbox.xwiki_content import XWikiContent


DEMO_ACCOUNTS = {"leafpanel": "leafpanel-demo", "alice": "secret", "viewer": "viewer-demo"}
"""Login → password. The viewer may not edit anything."""

SET_UP = datetime(2024, 3, 1, 9, 12, 44, 318000, tzinfo=UTC)
"""Creation time of the home page. It is constant, so a restarted stand-in is recognised as the same wiki."""


def fill_with_cases(standin: XWikiContent) -> None:
    """Add one page of each kind: nested, terminal, with a dot in its name, denied and hidden."""
    standin.add_user("alice", "secret", name="Alice Liddell", edits=["Sandbox"])
    standin.add_user("bob", "builder", name="Bob Jansen", edits=["Dev"])
    standin.add_page("Main.WebHome", title="Home", content="Welcome.", created=SET_UP)
    standin.add_page("Sandbox.WebHome", title="Sandbox", content="A place to try things.")
    standin.add_page("Sandbox.TestPage1", title="Test page one", content="**Bold** words to find.", version="3.2")
    standin.add_page("Dev.Sub.WebHome", title="Sub & Co", content="Nested page.")
    standin.add_page(r"07\. Dev.WebHome", title="Seven dev", content="A space with a dot.")
    standin.add_page("Secret.WebHome", title="Test of secrets", content="Not for you.")
    standin.add_page("Sandbox.Hid", title="Hidden test", content="Hidden.", hidden=True)
    standin.deny_view("Secret")


def fill_with_demo(standin: XWikiContent) -> None:
    """Add a fictional municipality: cases, permits, policy, templates and a knowledge base for the front desk."""
    names = {"leafpanel": "Leafpanel", "alice": "Alice de Vries", "viewer": "Viewer"}
    edits = {"leafpanel": ["Zaken", "Sandbox"], "alice": ["Sandbox"]}
    for login, password in DEMO_ACCOUNTS.items():
        standin.add_user(login, password, name=names[login], edits=edits.get(login, ()))
    now = moment()
    for page in PAGES:
        standin.add_page(
            page.reference,
            title=page.title,
            content=page.content,
            hidden=page.hidden,
            version=page.version,
            author=page.author,
            modified=now - timedelta(hours=page.hours_ago),
            created=SET_UP if page.reference == "Main.WebHome" else None,
        )
    standin.deny_view("Personeel", except_for=["alice"])
    # A denied space is refused whether it has pages or not.
    standin.deny_view("Secret")
