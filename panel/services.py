"""The services of one application in one value."""

from __future__ import annotations

from dataclasses import dataclass

from panel.accounts.api_tokens import ApiTokens
from panel.accounts.embed_tokens import EmbedApps
from panel.accounts.people import People
from panel.config import Config
from panel.credentials.readiness import Readiness
from panel.integrations.registry import Registry
from panel.links.amendments import Amendments
from panel.links.backlinks import Backlinks
from panel.links.dry_run import DryRun
from panel.links.finding import Finder
from panel.links.kept_lists import KeptList
from panel.links.moves import Moves
from panel.links.service import Links
from panel.links.surveys import Surveys
from panel.logs.calls import CallLog
from panel.sources.checks import SourceChecks
from panel.sources.connection_test import ConnectionTests
from panel.sources.connector_switch import Switches
from panel.sources.discovery import Discovery
from panel.sources.instances import Instances
from panel.sources.oauth import Oauth
from panel.sources.resolver import SourceResolver
from panel.sources.service import Sources
from panel.sources.standing import Standings
from panel.storage.revision import Kept, Revision


@dataclass(frozen=True, slots=True)
class Panel:
    """The services of one application, wired by the factory."""

    config: Config
    registry: Registry
    resolver: SourceResolver
    sources: Sources
    checks: SourceChecks
    standings: Standings
    instances: Instances
    connection_tests: ConnectionTests
    discovery: Discovery
    links: Links
    finder: Finder
    dry_run: DryRun
    moves: Moves
    amendments: Amendments
    surveys: Surveys
    backlinks: Backlinks
    api_tokens: ApiTokens
    people: People
    switches: Switches
    oauth: Oauth
    call_log: CallLog
    embed_apps: EmbedApps
    revision: Revision
    kept_lists: Kept[KeptList]
    readiness: Readiness
