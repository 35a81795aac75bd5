"""Everything that can go wrong on purpose. Knows causes, knows no HTTP.

PanelError
├── InvalidInput(field, message)        the caller can fix it
│   └── WrongHost                       a reference that lives on another host
├── NotFound                            no such object, leaf, link or upstream thing
├── Forbidden                           the caller, or our account upstream, may not do this
├── Conflict                            somebody else was first
│   ├── AlreadyLinked
│   ├── AlreadyExists                   create would overwrite an upstream thing
│   ├── ChangedUpstream                 update met a newer version
│   └── WrongInstance                   the source leads to another instance than that of the links
├── Rejected(fields)                    the upstream checked the values and refused them
├── Uncertain                           a create may or may not have happened upstream
├── NotRecorded                         the upstream did it, and our storage could not record it
├── NotSupported                        this leaf, or this installation, does not do that
└── ProviderUnavailable(problem)        the world is not ready: carries cause, reason, retry-after
"""

from __future__ import annotations

from collections.abc import Mapping

from panel.core.domain import Pointer, Problem
from panel.core.reasons import Cause, Reason


class PanelError(Exception):
    """Base of all expected failures. ``str()`` is one clear sentence that may be shown to people."""

    in_doubt: bool = False
    """Whether a write was sent that may have taken effect all the same."""


class InvalidInput(PanelError):
    """The caller can fix it: ``field`` names the argument, form field or setting."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class WrongHost(InvalidInput):
    """A pasted address that belongs to another host than the source's."""

    def __init__(self, field: str, host: str, message: str) -> None:
        super().__init__(field, message)
        self.host = host


class NotFound(PanelError):
    """No such object, integration, link, source, or upstream thing that we may see."""


class Forbidden(PanelError):
    """The caller, or the account we use upstream, may not do this."""


class Conflict(PanelError):
    """Somebody else was first; nothing was overwritten."""


class AlreadyLinked(Conflict):
    """The object already points there."""


class AlreadyExists(Conflict):
    """Creating would overwrite an upstream thing."""


class ChangedUpstream(Conflict):
    """An update met a newer version upstream; nothing was saved."""


class WrongInstance(Conflict):
    """The source leads to another instance than the one that the links were made in."""


class Rejected(PanelError):
    """The upstream checked the values and refused them. ``fields`` maps our field names to its own sentences."""

    def __init__(self, message: str, fields: Mapping[str, str]) -> None:
        super().__init__(message)
        self.fields = dict(fields)


class Uncertain(PanelError):
    """A create was sent and no answer came: it may exist upstream. Never repeated by ourselves.

    ``__cause__`` is the ProviderUnavailable that ended the call.
    """

    in_doubt = True
    integration: str = ""
    pointers: tuple[Pointer, ...] = ()


class NotRecorded(PanelError):
    """The upstream carried out a write, and our storage could not record it. The message says what was done."""


class NotSupported(PanelError):
    """This leaf, or this installation, does not do that."""


class ProviderUnavailable(PanelError):
    """The source is missing, unreadable, refused or down. The faces turn ``problem`` into notice, 503 or envelope.

    ``integration`` and ``pointers`` are told by the service: for which leaf, and what can still be shown.
    """

    integration: str = ""
    pointers: tuple[Pointer, ...] = ()
    unanswered: bool = False
    """Whether a request went out and no whole answer came back, so that what it asked for may have happened."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem

    @classmethod
    def because(
        cls, reason: Reason, message: str, *, retry_after: float | None = None, field: str | None = None
    ) -> ProviderUnavailable:
        return cls(Problem(reason, message, retry_after, field=field))

    @property
    def reason(self) -> Reason:
        return self.problem.reason

    @property
    def cause(self) -> Cause:
        return self.problem.cause
