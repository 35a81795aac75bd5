"""All outgoing calls. Knows HTTP, limits and addresses, and nothing of any particular upstream."""

from panel.connector.caller import Caller
from panel.connector.connector import Connector
from panel.connector.conversation import Renew, Upstream
from panel.connector.deadline import Deadline, DeadlinePassed
from panel.connector.endpoint import check_root, host_port_text, parse_host_port
from panel.connector.headers import OauthSigner, check_headers, check_token_header, is_header_value, sent_headers
from panel.connector.limiter import Breaker, Rate, Traffic, traffic_of
from panel.connector.response import Answer, unexpected
from panel.connector.shared_cache import CachedAnswer, SharedCache
from panel.connector.source import (
    Auth,
    AuthKind,
    GrantType,
    OauthClient,
    Secret,
    SourceConfig,
    is_same_host,
    origin_of,
)

__all__ = [
    "Answer",
    "Auth",
    "AuthKind",
    "Breaker",
    "CachedAnswer",
    "Caller",
    "Connector",
    "Deadline",
    "DeadlinePassed",
    "GrantType",
    "OauthClient",
    "OauthSigner",
    "Rate",
    "Renew",
    "Secret",
    "SharedCache",
    "SourceConfig",
    "Traffic",
    "Upstream",
    "check_headers",
    "check_root",
    "check_token_header",
    "host_port_text",
    "is_header_value",
    "is_same_host",
    "origin_of",
    "parse_host_port",
    "sent_headers",
    "traffic_of",
    "unexpected",
]
