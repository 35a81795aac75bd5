"""The brief cache that all processes share, in Redis. Losing it costs speed, never an answer."""

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

ANSWER_S = 0.05
"""How long Redis may take to connect and to answer."""
REST_S = 3.0
"""After a failure Redis is left alone this long, so that a dead or paused one slows one caller and not all."""
HEADERS = re.compile(r"content-type|content-language|etag|last-modified|[a-z-]+-(user|version)")
"""The only headers that are shared: cookies and tokens of an upstream are nobody else's affair."""

# A lease is given back by its holder only: it may have ended, and somebody else may have taken it since.
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

log = logging.getLogger(__name__)


class RedisCache:
    """The connector's ``SharedCache`` in Redis. Keys are hashes keyed with ``secret``: they reveal no address."""

    def __init__(self, url: str, secret: str, *, answer_s: float = ANSWER_S) -> None:
        self._redis = Redis.from_url(
            url, socket_connect_timeout=answer_s, socket_timeout=answer_s, retry=Retry(NoBackoff(), 0)
        )
        self._secret = secret.encode()
        self._rests_until = 0.0
        self._lock = threading.Lock()

    def get(self, key: bytes) -> CachedAnswer | None:
        return self._tried(lambda: self._get(self._name(key)), None)

    def _get(self, name: str) -> CachedAnswer | None:
        pipe = self._redis.pipeline(transaction=True)
        pipe.get(name)
        pipe.pttl(name)
        value, left_ms = pipe.execute()
        return _read(value, left_ms / 1000) if value is not None and left_ms > 0 else None

    def put(self, key: bytes, kept: CachedAnswer) -> None:
        milliseconds = max(1, round(kept.seconds * 1000))
        self._tried(lambda: self._redis.set(self._name(key), _written(kept.answer), px=milliseconds), None)

    def lease(self, key: bytes, seconds: float) -> str | None:
        return self._tried(lambda: self._leased(_lease(self._name(key)), max(1, round(seconds * 1000))), "")

    def _leased(self, name: str, milliseconds: int) -> str | None:
        token = secrets.token_hex(16)
        return token if self._redis.set(name, token, nx=True, px=milliseconds) else None

    def release(self, key: bytes, lease: str) -> None:
        if lease:
            self._tried(lambda: self._redis.eval(_RELEASE, 1, _lease(self._name(key)), lease), None)

    def close(self) -> None:
        self._redis.close()

    def _name(self, key: bytes) -> str:
        return "leafpanel:" + hmac.new(self._secret, key, hashlib.sha256).hexdigest()

    def _tried(self, work: Callable[[], T], otherwise: D) -> T | D:
        """What Redis says, or ``otherwise`` when it fails or still rests from its last failure."""
        if time.monotonic() < self._rests_until:
            return otherwise
        try:
            return work()
        except (RedisError, OSError, ValueError) as exc:
            self._rest(exc)
            return otherwise

    def _rest(self, exc: Exception) -> None:
        with self._lock:
            started = time.monotonic() >= self._rests_until
            self._rests_until = time.monotonic() + REST_S
        if started:
            log.warning("Redis does not work now (%s); answers are asked for without it.", type(exc).__name__)


def _lease(name: str) -> str:
    return f"{name}:asking"


def _written(answer: Answer) -> str:
    headers = {name: value for name, value in answer.headers.items() if HEADERS.fullmatch(name)}
    body = base64.b64encode(answer.body).decode()
    return json.dumps({"status": answer.status, "headers": headers, "where": answer.where, "body": body})


def _read(value: bytes, seconds: float) -> CachedAnswer:
    """Raises ValueError for anything that we did not write."""
    match json.loads(value):
        case {"status": int(status), "headers": dict(headers), "where": str(where), "body": str(body)}:
            return CachedAnswer(
                Answer(status, _strings(headers), base64.b64decode(body, validate=True), where), seconds
            )
    raise ValueError("not an answer")


def _strings(headers: dict[Any, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in headers.items()}
