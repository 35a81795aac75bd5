"""A host application's side of embedding: tokens signed with the standard library alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from typing import Any

from flask.testing import FlaskClient

from panel.accounts.embed_tokens import Secret
from panel.core.domain import ObjectRef

ALL = ["view", "link", "create", "update", "unlink"]


def encoded(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims_for(obj: ObjectRef, **changes: Any) -> dict[str, Any]:
    """The claims of a valid token; a change to None removes the claim."""
    claims = {
        "aud": "leafpanel", "exp": int(time.time()) + 600, "sub": "alice", "register": obj.register,
        "schema": obj.schema, "objectId": obj.object_id, "can": ALL, **changes,
    }  # fmt: skip
    return {name: value for name, value in claims.items() if value is not None}


def signed(secret: str, header: dict[str, Any], claims: Any, digest: Any = hashlib.sha256) -> str:
    body = f"{encoded(header)}.{encoded(claims)}"
    return f"{body}.{encoded(hmac.new(secret.encode(), body.encode(), digest).digest())}"


def token_of(made: Secret, obj: ObjectRef, **changes: Any) -> str:
    header = {"alg": "HS256", "kid": made.kid, "typ": "JWT"}
    return signed(made.value, header, claims_for(obj, **changes))


def embedding_app(admin: FlaskClient, name: str = "Cases", origin: str = "https://cases.example.org") -> Secret:
    """A new application, made on the page that makes them."""
    form = re.search(r'name="csrf_token" value="([^"]+)"', admin.get("/admin/embedding").text)
    assert form is not None
    made = admin.post("/admin/embedding", data={"csrf_token": form[1], "name": name, "origins": origin})
    kid, value = (re.search(rf'id="{part}">([^<]+)<', made.text) for part in ("kid", "secret"))
    assert kid is not None, made.text
    assert value is not None
    return Secret(name, kid[1], value[1], (origin,))
