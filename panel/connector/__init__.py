"""Every byte that leaves for an upstream goes through here. It never knows which upstream it talks to."""

from panel.connector.caller import Caller
from panel.connector.conversation import Connector, Upstream
from panel.connector.deadline import Deadline, DeadlinePassed
from panel.connector.endpoint import check_root
from panel.connector.headers import Sign, check_headers, check_token_header
from panel.connector.limiter import Breaker, Rate, Traffic, traffic_of
from panel.connector.response import Answer, unexpected
from panel.connector.shared_cache import CachedAnswer, SharedCache
from panel.connector.source import Auth, AuthKind, GrantType, OauthClient, Secret, SourceConfig, origin_of

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
    "Rate",
    "Secret",
    "SharedCache",
    "Sign",
    "SourceConfig",
    "Traffic",
    "Upstream",
    "check_headers",
    "check_root",
    "check_token_header",
    "origin_of",
    "traffic_of",
    "unexpected",
]
