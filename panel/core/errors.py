"""The expected failures, as exceptions without HTTP statuses.

PanelError
├── InvalidInput(field, message)        invalid value, which the caller can correct
│   └── WrongHost                       a reference that lives on another host
├── NotFound                            no such object, leaf, link or upstream item
├── Forbidden                           the caller, or the account upstream, may not do this
├── Conflict                            a concurrent change came first
│   ├── AlreadyLinked
│   ├── AlreadyExists                   create would overwrite an upstream item
│   ├── ChangedUpstream                 the item changed before the update
│   └── WrongInstance                   the source leads to another instance than that of the links
├── Rejected(fields)                    the upstream checked the values and refused them
├── Uncertain                           a create may or may not have happened upstream
├── NotRecorded                         the upstream did it, and our storage could not record it
├── NotSupported                        this leaf, or this installation, does not do that
└── ProviderUnavailable(problem)        the source cannot be used: has cause, reason, retry-after
"""

from __future__ import annotations

from collections.abc import Mapping

from panel.core.domain import Pointer, Problem
from panel.core.reasons import Cause, Reason


class PanelError(Exception):
    """Base of all expected failures. ``str()`` is one clear sentence that may be shown to people."""

    in_doubt: bool = False
    """Whether a write was sent that may have taken effect."""

    @property
    def message(self) -> str:
        """The sentence, as a Message if it can be translated; ``str()`` is always English."""
        return self.args[0] if self.args and isinstance(self.args[0], str) else str(self)


class InvalidInput(PanelError):
    """An invalid value. ``field`` names the argument, form field or setting."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class WrongHost(InvalidInput):
    """A pasted address that belongs to another host than the source's."""

    def __init__(self, field: str, host: str, message: str) -> None:
        super().__init__(field, message)
        self.host = host


class NotFound(PanelError):
    """No such object, integration, link or source, or no upstream item that the account may see."""


class Forbidden(PanelError):
    """The caller, or the source's account upstream, may not do this."""


class Conflict(PanelError):
    """A concurrent change came first; nothing was overwritten."""


class AlreadyLinked(Conflict):
    """The object already has this link."""


class AlreadyExists(Conflict):
    """Creating would overwrite an upstream item."""


class ChangedUpstream(Conflict):
    """The item changed upstream before the update; nothing was saved."""


class WrongInstance(Conflict):
    """The source leads to another instance than the one that the links were made in."""


class Rejected(PanelError):
    """The upstream refused the values. ``fields`` maps the panel's field names to the upstream's messages."""

    def __init__(self, message: str, fields: Mapping[str, str]) -> None:
        super().__init__(message)
        self.fields = dict(fields)


class Uncertain(PanelError):
    """A create was sent and no answer came: the item may exist upstream. The panel does not repeat it.

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
    """The source is missing, unreadable, refused or down. The faces render ``problem`` as notice, 503 body or envelope.

    The service sets ``integration``, the id of the leaf, and ``pointers``, which can still be shown.
    """

    integration: str = ""
    pointers: tuple[Pointer, ...] = ()
    unanswered: bool = False
    """Whether a request was sent and no complete answer came, so that it may have taken effect."""
    status: int | None = None
    """The HTTP status of the answer that is the failure."""

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
