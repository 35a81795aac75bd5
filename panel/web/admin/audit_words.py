"""The words in the details of audit lines, which are stored in English, as texts that can be translated."""

from __future__ import annotations

import re
from collections.abc import Mapping

from panel.core.messages import Message, _, all_of
from panel.logs.audit import AuditAction
from panel.storage.models import AuditEntry

_LIMITS = "registers (?P<registers>.*); integrations (?P<integrations>.*)"
_EMBED_APP = (
    ("origins (?P<origins>.*)", _("origins {origins}")),
    (_LIMITS, _("registers {registers}; integrations {integrations}")),
)
_CREATED = (
    (
        f"(?P<key>[^ ,]+), origins (?P<origins>[^,]*), {_LIMITS}",
        _("{key}, origins {origins}, registers {registers}; integrations {integrations}"),
    ),
    ("(?P<key>[^ ,]+), origins (?P<origins>.*)", _("{key}, origins {origins}")),
)
_SETTLED = "(?P<fields>.*); (?P<who>.*), (?P<time>[^,]*) UTC"
_ONE_TIME = (("one-time password on the console", _("one-time password on the console")),)

DETAILS: Mapping[str, tuple[tuple[str, Message], ...]] = {
    AuditAction.LINK: (("undo", _("undo")),),
    AuditAction.NOTE: (("removed", _("removed")),),
    AuditAction.CREATE_SETTLED: (("linked", _("linked")), ("not there", _("not there"))),
    AuditAction.UPDATE_SETTLED: (
        (f"changed: {_SETTLED}", _("changed: {fields}; {who}, {time} UTC")),
        (f"not changed: {_SETTLED}", _("not changed: {fields}; {who}, {time} UTC")),
    ),
    AuditAction.SOURCE_IMPORTED: (("new", _("new")),),
    AuditAction.SECRET_SET: (
        ("(?P<field>[^ ]*) set, for (?P<hosts>.*)", _("{field} set, for {hosts}")),
        ("(?P<field>[^ ]*) replaced, for (?P<hosts>.*)", _("{field} replaced, for {hosts}")),
    ),
    AuditAction.KEYS_ROTATED: (
        ("key (?P<key>[^ ]*), (?P<count>[0-9]+) sealed anew", _("key {key}, {count} sealed anew")),
        (
            "key (?P<key>[^ ]*), (?P<count>[0-9]+) sealed anew, retired (?P<retired>.*)",
            _("key {key}, {count} sealed anew, retired {retired}"),
        ),
    ),
    AuditAction.EMBED_APP_CREATED: _CREATED,
    AuditAction.EMBED_APP_CHANGED: _EMBED_APP,
    AuditAction.PERSON_ADDED: _ONE_TIME,
    AuditAction.PASSWORD_RESET: _ONE_TIME,
    AuditAction.SIGNED_OUT: (("everywhere", _("everywhere")),),
}
"""For each action the forms of its detail: a regular expression for the stored text, and the same as a Message.
Details of other actions have names only."""


def detail_words(entry: AuditEntry) -> str:
    """The detail of a line, as a Message if it has words."""
    for pattern, message in DETAILS.get(entry.deed, ()):
        if found := re.fullmatch(pattern, entry.detail):
            return message.filled(**{name: _value(name, text) for name, text in found.groupdict().items()})
    return entry.detail


def _value(name: str, text: str) -> str:
    """A part of a detail. Limits may be the word “all”; hosts have “and” between them."""
    if name in ("registers", "integrations") and text == "all":
        return _("all")
    return all_of(text.split(" and ")) if name == "hosts" else text
