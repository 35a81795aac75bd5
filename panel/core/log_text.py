"""Escapes hidden characters in all log records, for every logger and handler."""

from __future__ import annotations

import logging
from typing import Any

from panel.core.text import visible


def install() -> None:
    """Escape the records of this process. Calling it again changes nothing."""
    logging.setLogRecordFactory(_VisibleRecord)


class _VisibleRecord(logging.LogRecord):
    """A record whose message and traceback hold no hidden characters.

    A message with arguments is one line, so that no argument can look like another record.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info:
            self.exc_text = visible(logging.Formatter().formatException(self.exc_info), _escape, keep="\n\t")

    def getMessage(self) -> str:
        is_template = isinstance(self.msg, str) and not self.args
        return visible(super().getMessage(), _escape, keep="\n\t" if is_template else "")


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
