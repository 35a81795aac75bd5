"""The shared cache in Redis. Without Redis, calls take longer but return the same answers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from panel.connector import Answer, CachedAnswer

T = TypeVar("T")
D = TypeVar("D")

TIMEOUT_S = 0.05
"""Socket timeout for connecting to Redis and for each command."""
BACK_OFF_S = 3.0
"""For how long Redis is not used after a failure, so that an unreachable one delays one caller and not all."""
SHARED_HEADERS = re.compile(r"content-type|content-language|date|etag|last-modified|[a-z-]+-(user|version)")
"""The only headers that are shared. Cookies and tokens of an upstream do not leave the process that received them."""

PREFIX = "leafpanel:2:"
"""The number stands for the form of the values: processes of another version do not read them."""

# Only its holder may release a lease: after it expired, another process may hold the key.
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

log = logging.getLogger(__name__)


class RedisCache:
    """The connector's ``SharedCache`` in Redis. Keys are HMACs under ``secret``, so that they reveal no address."""

    def __init__(self, url: str, secret: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._redis = Redis.from_url(
            url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
        )
        self._secret = secret.encode()
        self._retry_at = 0.0
        self._lock = threading.Lock()

    def get(self, key: bytes) -> CachedAnswer | None:
        return self._attempt(lambda: self._get(self._name(key)), None)

    def _get(self, name: str) -> CachedAnswer | None:
        pipe = self._redis.pipeline(transaction=True)
        pipe.get(name)
        pipe.pttl(name)
        value, left_ms = pipe.execute()
        return _deserialized(value, left_ms / 1000) if value is not None and left_ms > 0 else None

    def put(self, key: bytes, cached: CachedAnswer) -> None:
        milliseconds = max(1, round(cached.left * 1000))
        self._attempt(lambda: self._redis.set(self._name(key), _serialized(cached), px=milliseconds), None)

    def lease(self, key: bytes, seconds: float) -> str | None:
        return self._attempt(lambda: self._leased(_lease(self._name(key)), max(1, round(seconds * 1000))), "")

    def _leased(self, name: str, milliseconds: int) -> str | None:
        token = secrets.token_hex(16)
        return token if self._redis.set(name, token, nx=True, px=milliseconds) else None

    def release(self, key: bytes, lease: str) -> None:
        if lease:
            self._attempt(lambda: self._redis.eval(_RELEASE, 1, _lease(self._name(key)), lease), None)

    def close(self) -> None:
        self._redis.close()

    def _name(self, key: bytes) -> str:
        return PREFIX + hmac.new(self._secret, key, hashlib.sha256).hexdigest()

    def _attempt(self, work: Callable[[], T], otherwise: D) -> T | D:
        """The result of ``work``, or ``otherwise`` when Redis fails or has failed within ``BACK_OFF_S``."""
        if time.monotonic() < self._retry_at:
            return otherwise
        try:
            return work()
        except (RedisError, OSError, ValueError) as exc:
            self._back_off(exc)
            return otherwise

    def _back_off(self, exc: Exception) -> None:
        with self._lock:
            started = time.monotonic() >= self._retry_at
            self._retry_at = time.monotonic() + BACK_OFF_S
        if started:
            log.warning("Redis failed (%s); the panel continues without it.", type(exc).__name__)


def ping(url: str) -> str:
    """The name of the failure when Redis does not answer within two seconds; empty when it answers."""
    client = Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    try:
        client.ping()
    except (RedisError, OSError) as exc:
        return type(exc).__name__
    finally:
        client.close()
    return ""


def _lease(name: str) -> str:
    return f"{name}:lease"


def _serialized(cached: CachedAnswer) -> str:
    answer = cached.answer
    headers = {name: value for name, value in answer.headers.items() if SHARED_HEADERS.fullmatch(name)}
    body = base64.b64encode(answer.body).decode()
    written = {"status": answer.status, "headers": headers, "where": answer.where, "body": body}
    return json.dumps({**written, "spare": float(cached.spare)})


def _deserialized(value: bytes, left: float) -> CachedAnswer:
    """Raises ValueError for a value of another form than ``_serialized`` writes. ``left`` is its time in Redis."""
    match json.loads(value):
        case {
            "status": int(status), "headers": dict(headers), "where": str(where), "body": str(body),
            "spare": float(spare),
        }:  # fmt: skip
            answer = Answer(status, _strings(headers), base64.b64decode(body, validate=True), where)
            return CachedAnswer(answer, left - spare, spare)
    raise ValueError("not an answer")


def _strings(headers: dict[Any, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in headers.items()}
