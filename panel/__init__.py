"""Leafpanel: hangs xWiki pages and OpenProject work packages on any object of any application."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from inspect import iscoroutinefunction

from flask import Flask
from sqlalchemy import Engine
from werkzeug.middleware.proxy_fix import ProxyFix

from panel.accounts.api_tokens import ApiTokens
from panel.accounts.embed_tokens import EmbedApps
from panel.accounts.people import People
from panel.config import SERVER_THREADS, Config, load
from panel.connector import Connector, SharedCache
from panel.connector.limiter import Limiter
from panel.core import log_text
from panel.core.version import VERSION
from panel.credentials.readiness import Readiness, database_checks
from panel.credentials.vault import Vault, keys_of
from panel.integrations.registry import Registry, load_registry
from panel.links.amendments import Amendments
from panel.links.backlinks import Backlinks
from panel.links.dry_run import DryRun
from panel.links.finding import Finder
from panel.links.kept_lists import kept_lists
from panel.links.moves import Moves
from panel.links.service import Links
from panel.links.surveys import Surveys
from panel.logs.calls import CallLog
from panel.sandbox import note
from panel.services import Panel
from panel.sources.checks import SourceChecks
from panel.sources.connection_test import ConnectionTests
from panel.sources.connector_switch import Switches
from panel.sources.discovery import Discovery
from panel.sources.instances import Instances
from panel.sources.oauth import Oauth
from panel.sources.resolver import SourceResolver
from panel.sources.service import Sources
from panel.sources.standing import Standings
from panel.storage.engine import db, flask_settings, own_engine
from panel.storage.revision import revision_of
from panel.traffic.limits_fallback import FallbackLimitStore
from panel.traffic.limits_sql import SqlLimitStore, ephemeral_engine

__version__ = VERSION


def create_app(config: Config | None = None, *, registry: Registry | None = None) -> Flask:
    """Wire one application: settings, extensions, services, faces. The only place that knows them all.

    Raises ConfigError when a setting is wrong.
    """
    from panel.web import cli
    from panel.web.app import install

    log_text.install()
    config = config or load()
    app = Flask(__name__, static_folder=None)
    app.config.update(
        flask_settings(config),
        SECRET_KEY=config.secret_key,
        SESSION_COOKIE_NAME=config.cookie("leafpanel"),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=config.is_encrypted,
        MAX_CONTENT_LENGTH=1024 * 1024,
        WTF_CSRF_TIME_LIMIT=None,
        # It asks for a referrer, and our pages send none; `origins` looks at what browsers send instead.
        WTF_CSRF_SSL_STRICT=False,
    )
    db.init_app(app)
    # Flask starts a thread for each asynchronous callback, here to close sessions that are never asynchronous.
    app.teardown_appcontext_funcs[:] = [end for end in app.teardown_appcontext_funcs if not iscoroutinefunction(end)]
    # It would look at each of a dozen hooks in each request, and none is asynchronous.
    app.ensure_sync = lambda func: func  # type: ignore[method-assign]
    app.extensions["leafpanel"] = build_services(app, config, registry or load_registry())
    install(app)
    cli.install(app.cli)
    if config.trusted_proxies:
        # Only the client address comes from the proxy. The panel's own address is a setting.
        front = ProxyFix(app.wsgi_app, x_for=config.trusted_proxies, x_proto=0, x_host=0)
        app.wsgi_app = front  # type: ignore[method-assign]
    return app


def build_services(app: Flask, config: Config, registry: Registry) -> Panel:
    """Wire the services of one application. They share the database of ``app`` and hold all other state themselves."""
    # For work outside a request's transaction: the call log and the tokens of sources.
    aside = own_engine(config)
    call_log = CallLog(aside)
    # With an engine of its own, whose connections wait for less time and are not tried first.
    revision = revision_of(own_engine(config, ping=False))
    limit_store = FallbackLimitStore(SqlLimitStore(lambda: _limit_store_engine(app, config)))
    connector = Connector(
        allowed=partial(note.allowed_hosts, config.allowed_private_hosts, config.sandbox_note),
        sandbox=partial(note.read, config.sandbox_note),
        deadline_s=config.deadline_s,
        limiter=Limiter(limit_store, most_conversations=SERVER_THREADS // 2, note=call_log.outcomes.note),
        cache_ttl_s=config.cache_ttl_s,
        reread_s=config.reread_s,
        shared=_shared_cache(config),
        journal=call_log,
    )
    switches = Switches(connector_allowed=config.connector_enabled, close_connections=connector.close_connections)
    vault = Vault(keys_of(config))
    connector.signer = oauth = Oauth(aside, vault, connector)
    resolver, checks, instances = (
        SourceResolver(vault, registry, switches, config.ca_folders, revision),
        SourceChecks(),
        Instances(),
    )
    sources = Sources(vault, registry, connector, resolver)
    standings = Standings(sources, checks, call_log.outcomes, switches)
    return Panel(
        config=config,
        registry=registry,
        resolver=resolver,
        sources=sources,
        checks=checks,
        standings=standings,
        instances=instances,
        connection_tests=ConnectionTests(registry, sources, connector, checks, instances),
        discovery=Discovery(registry, resolver, connector, limit_store),
        links=Links(registry, resolver, connector, checks, instances),
        finder=Finder(registry, resolver, sources, connector),
        dry_run=DryRun(registry, resolver, connector, instances),
        moves=Moves(registry, resolver, connector, instances),
        amendments=Amendments(registry, resolver, connector, instances),
        surveys=Surveys(registry, resolver, sources, standings),
        backlinks=Backlinks(registry, resolver, connector),
        api_tokens=ApiTokens(registry.ids, revision),
        people=People(limit_store, known_words=config.known_words),
        switches=switches,
        oauth=oauth,
        call_log=call_log,
        embed_apps=EmbedApps(vault, registry.ids, revision),
        revision=revision,
        kept_lists=kept_lists(revision),
        # The pool of the requests may be used up by requests that wait for the same database.
        readiness=Readiness(database_checks(own_engine(config), _heads(app), vault)),
    )


def _heads(app: Flask) -> Callable[[], frozenset[str]]:
    """The revisions of this version's schema. The files of the migrations do not change while the process runs."""

    @cache
    def heads() -> frozenset[str]:
        from panel.storage.migrations import alembic  # slow to import, and many processes are never asked

        with app.app_context():
            return frozenset(script.revision for script in alembic.heads())

    return heads


def _shared_cache(config: Config) -> SharedCache | None:
    """Its library is loaded only where there is a Redis: every command would pay for it."""
    if not config.redis_url:
        return None
    from panel.traffic.cache_redis import RedisCache

    return RedisCache(config.redis_url, config.secret_key)


def _limit_store_engine(app: Flask, config: Config) -> Engine:
    """Beside the database where several machines share it; else in a file that all processes of this one share."""
    with app.app_context():
        own = db.engine
    return own if own.dialect.name != "sqlite" else ephemeral_engine(config.instance_dir / "traffic.sqlite3")
