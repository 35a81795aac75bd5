"""Every byte that leaves for an upstream goes through here. It never knows which upstream it talks to."""

from panel.connector.answer import Answer, unexpected
from panel.connector.deadline import Deadline, DeadlinePassed
from panel.connector.headers import Sign
from panel.connector.place import check_root
from panel.connector.shared import Kept, Shared
from panel.connector.source import Auth, AuthKind, GrantType, OauthClient, Secret, SourceConfig, origin_of
from panel.connector.upstream import Caller, Connector, Upstream

__all__ = [
    "Answer",
    "Auth",
    "AuthKind",
    "Caller",
    "Connector",
    "Deadline",
    "DeadlinePassed",
    "GrantType",
    "Kept",
    "OauthClient",
    "Secret",
    "Shared",
    "Sign",
    "SourceConfig",
    "Upstream",
    "check_root",
    "origin_of",
    "unexpected",
]
