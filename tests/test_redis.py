"""The shared brief cache on a real Redis: one question for all processes, and no answer lost with it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from servers import RedisServer
from support import ALICE, CASE_PATH, MakeApp, Upstreams, xwiki_values
from test_traffic import headers

from panel.config import ConfigError, load
from panel.connector import (
    Answer,
    Auth,
    AuthKind,
    CachedAnswer,
    Caller,
    Connector,
    Deadline,
    Renew,
    Secret,
    SourceConfig,
    Upstream,
)
from panel.connector.shared_cache import fetch_once as ask_once
from panel.traffic.cache_redis import BACK_OFF_S, TIMEOUT_S, RedisCache

pytestmark = pytest.mark.servers

CREDENTIAL = "canary-8d1f04c7be2a84d0c"
ANSWER = Answer(200, {"content-type": "application/json"}, b'{"a": 1}', "GET /api")


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def made(redis_server: RedisServer) -> Iterator[Callable[..., RedisCache]]:
    """Caches as several processes would have them, with more patience than usual for this machine."""
    caches: list[RedisCache] = []

    def make(timeout_s: float = 5) -> RedisCache:
        caches.append(RedisCache(redis_server.url, "a secret of the instance", timeout_s=timeout_s))
        return caches[-1]

    yield make
    [cache.close() for cache in caches]


@pytest.fixture
def cache(made: Callable[[], RedisCache]) -> RedisCache:
    return made()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Redis]:
    with redis_server.client() as client:
        yield client


def config_of(root: str) -> SourceConfig:
    auth = Auth(AuthKind.TOKEN, secret=Secret(CREDENTIAL))
    return SourceConfig("s1", "openproject", "T", root, auth=auth, revision=1)


def connector_of(cache: RedisCache, upstreams: Upstreams, ttl: float = 5.0) -> Connector:
    return Connector(allowed=lambda: (upstreams.server.host_port,), deadline_s=3, cache_ttl_s=ttl, shared=cache)


def read(connector: Connector, upstreams: Upstreams) -> Answer:
    upstream = connector.open(config_of(upstreams.openproject_url), Caller("test", "alice"))
    return upstream.get("api", "v3", query=[("q", "zyxcanaryquery")], allow=(401,))


def read_or_renew(connector: Connector, upstreams: Upstreams, renew: Renew) -> Answer:
    auth = Auth(AuthKind.BASIC, username="apikey", secret=Secret("T"))
    config = replace(config_of(upstreams.openproject_url), auth=auth)
    return connector.open(config, Caller("test", "alice")).get("api", "v3", renew=renew)


# --- one question ----------------------------------------------------------------------------------------------------


def _ask(url: str, root: str, allowed: str, ready: Any, found: Any) -> None:
    cache = RedisCache(url, "a secret of the instance", timeout_s=5)
    connector = Connector(allowed=lambda: (allowed,), deadline_s=10, cache_ttl_s=30, shared=cache)
    ready.wait(60)
    for number in range(10):
        upstream = connector.open(config_of(root), Caller("test", "alice"))
        found.put(upstream.get("api", "v3", query=[("round", str(number))], allow=(401,)).body)
    cache.close()


def test_processes_that_ask_at_the_same_moment_make_one_upstream_request(
    redis_server: RedisServer, upstreams: Upstreams
) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready, found = spawn.Barrier(2), spawn.SimpleQueue()
    arguments = (redis_server.url, upstreams.openproject_url, upstreams.server.host_port, ready, found)
    workers = [spawn.Process(target=_ask, args=arguments) for _ in range(2)]

    [worker.start() for worker in workers]
    bodies = [found.get() for _ in range(20)]
    [worker.join(60) for worker in workers]

    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(upstreams.openproject.requests) == 10
    assert len(set(bodies)) == 1


def test_a_process_renews_what_another_one_has_read(made: Callable[[], RedisCache], upstreams: Upstreams) -> None:
    one, other = made(), made()
    renewed: list[Answer] = []

    def renew(part: Upstream, former: Answer) -> Answer:
        renewed.append(former)
        return former

    known, until = read_or_renew(connector_of(one, upstreams, 0.05), upstreams, renew), time.monotonic() + 30
    while not renewed and time.monotonic() < until:
        # A process that has read nothing itself.
        read_or_renew(connector_of(other, upstreams, 0.05), upstreams, renew)

    assert (renewed[0].body, renewed[0].headers["date"]) == (known.body, known.headers["date"])
    assert len(upstreams.openproject.requests) == 1


def test_an_answer_stays_for_its_renewal_when_its_time_is_over(cache: RedisCache) -> None:
    cache.put(b"k", CachedAnswer(ANSWER, 0.0, spare=30.0))
    kept = cache.get(b"k")

    assert kept is not None
    assert kept.seconds <= 0
    assert 29 < kept.left <= 30


@pytest.mark.alone
def test_waiting_ends_in_time_to_ask_when_the_asker_died(cache: RedisCache) -> None:
    assert cache.lease(b"k", 30)  # and never given back

    started = time.monotonic()
    kept = ask_once(cache, b"k", lambda _: CachedAnswer(ANSWER, 5), Deadline(1.0))

    assert kept.answer == ANSWER
    assert 0.4 < time.monotonic() - started < 0.9


@pytest.mark.alone
def test_a_failed_question_is_passed_on_at_once(made: Callable[[], RedisCache]) -> None:
    def fail(_: object) -> CachedAnswer:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        ask_once(made(), b"k", fail, Deadline(5))

    started = time.monotonic()
    ask_once(made(), b"k", lambda _: CachedAnswer(ANSWER, 5), Deadline(5))
    assert time.monotonic() - started < 0.5


def test_a_lease_that_somebody_else_has_by_now_is_left_alone(made: Callable[[], RedisCache]) -> None:
    one, other, third = made(), made(), made()
    late = one.lease(b"k", 0.05)
    time.sleep(0.1)
    assert other.lease(b"k", 5)

    one.release(b"k", str(late))

    assert third.lease(b"k", 5) is None


# --- what is in it ---------------------------------------------------------------------------------------------------


def test_an_answer_comes_back_as_it_was(made: Callable[[], RedisCache]) -> None:
    made().put(b"k", CachedAnswer(Answer(404, {"content-type": "text/plain"}, bytes(range(256)), "GET /x"), 5))

    kept = made().get(b"k")

    assert kept is not None
    assert kept.answer == Answer(404, {"content-type": "text/plain"}, bytes(range(256)), "GET /x")
    assert 4 < kept.seconds <= 5


def test_content_is_there_for_seconds_only(cache: RedisCache, client: Redis, upstreams: Upstreams) -> None:
    read(connector_of(cache, upstreams, ttl=0.5), upstreams)
    lives = [client.pttl(key) for key in client.scan_iter()]

    assert len(lives) == 1
    assert 0 < lives[0] <= 500
    time.sleep(0.6)
    assert client.keys() == []


def test_an_answer_is_never_older_than_the_setting_says(made: Callable[[], RedisCache], upstreams: Upstreams) -> None:
    one, other = connector_of(made(), upstreams, ttl=0.8), connector_of(made(), upstreams, ttl=0.8)
    read(one, upstreams)
    time.sleep(0.5)
    read(other, upstreams)
    time.sleep(0.4)

    read(other, upstreams)

    assert len(upstreams.openproject.requests) == 2


def test_no_credential_cookie_address_or_query_is_in_a_dump(
    cache: RedisCache, client: Redis, upstreams: Upstreams
) -> None:
    read(connector_of(cache, upstreams), upstreams)
    cache.put(b"k", CachedAnswer(Answer(200, {"set-cookie": "zyxcookie", "x-form-token": "zyxtoken"}, b"", "GET /"), 5))

    dump = b"".join(key + bytes(client.get(key) or b"") for key in client.scan_iter())

    assert b'"status"' in dump
    for word in (CREDENTIAL.encode(), b"zyx", b"uthorization", upstreams.server.host_port.encode()):
        assert word not in dump


@pytest.mark.parametrize(
    "value", [b"", b"\xff", b"[]", b'{"status": "200"}', b'{"status":200,"headers":{},"where":"","body":"%"}']
)
def test_what_we_did_not_write_is_no_answer(cache: RedisCache, client: Redis, value: bytes) -> None:
    cache.put(b"k", CachedAnswer(ANSWER, 30))
    client.set(client.keys()[0], value, px=30000)

    assert cache.get(b"k") is None


# --- Redis away ------------------------------------------------------------------------------------------------------


def fill(client: Redis) -> None:
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1mb")


def lock(client: Redis) -> None:
    client.config_set("requirepass", "changed")
    client.client_kill_filter(_type="normal", skipme=True)


TROUBLES: dict[str, Callable[[RedisServer, Redis], object]] = {
    "stopped": lambda server, client: server.stop(),
    "paused": lambda server, client: server.pause(),
    "flushed": lambda server, client: client.flushall(),
    "full": lambda server, client: fill(client),
    "locked": lambda server, client: lock(client),
}


@pytest.mark.alone
@pytest.mark.parametrize("trouble", TROUBLES)
def test_answers_keep_coming_and_cost_little_more(
    trouble: str, made: Callable[..., RedisCache], redis_server: RedisServer, client: Redis, upstreams: Upstreams
) -> None:
    connector = connector_of(made(TIMEOUT_S), upstreams, ttl=0.001)  # nothing is remembered in the process itself
    read(connector, upstreams)
    TROUBLES[trouble](redis_server, client)

    took = []
    for _ in range(40):
        started = time.monotonic()
        assert read(connector, upstreams).status == 401
        took.append(time.monotonic() - started)
        time.sleep(0.002)
    redis_server.resume()

    assert sorted(took)[-2] < 0.1 + TIMEOUT_S
    assert max(took) < 0.5


def test_a_paused_redis_is_asked_again_after_a_rest(made: Callable[..., RedisCache], redis_server: RedisServer) -> None:
    cache = made(0.2)
    redis_server.pause()
    assert cache.get(b"k") is None
    redis_server.resume()

    cache.put(b"k", CachedAnswer(ANSWER, 30))
    assert cache.get(b"k") is None

    time.sleep(BACK_OFF_S + 0.2)
    cache.put(b"k", CachedAnswer(ANSWER, 30))
    assert cache.get(b"k") is not None


# --- the whole panel -------------------------------------------------------------------------------------------------


def test_a_change_through_one_process_is_seen_by_another_at_once(
    make_app: MakeApp, upstreams: Upstreams, redis_server: RedisServer
) -> None:
    settings = {
        "PANEL_ALLOWED_PRIVATE_HOSTS": upstreams.server.host_port,
        "PANEL_CACHE_TTL_S": "30",
        "PANEL_REDIS_URL": redis_server.url,
    }
    one, other = make_app(**settings), make_app(**settings)
    with one.app_context():
        one.extensions["leafpanel"].sources.create(xwiki_values(upstreams), by=ALICE)
    known = headers(one)
    one.test_client().post(f"{CASE_PATH}/xwiki", json={"reference": "Sandbox.TestPage1"}, headers=known)
    with upstreams.xwiki.counting() as fetch_once:
        lists = [app.test_client().get(f"{CASE_PATH}/xwiki", headers=known).json for app in (one, other)]
    one.test_client().post(f"{CASE_PATH}/xwiki", json={"reference": "Dev.Sub.WebHome"}, headers=known)
    with upstreams.xwiki.counting() as asked_again:
        after = other.test_client().get(f"{CASE_PATH}/xwiki", headers=known).json or {}

    assert (lists[0], len(fetch_once)) == (lists[1], 1)
    assert (after["total"], asked_again != []) == (2, True)


def test_a_redis_url_of_another_kind_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PANEL_REDIS_URL must start with redis://") as caught:
        load({"PANEL_REDIS_URL": f"http://:{CREDENTIAL}@cache:6379", "PANEL_INSTANCE_DIR": str(tmp_path)})

    assert CREDENTIAL not in str(caught.value)
