"""The operating system account that runs a command, for the audit trail."""

from __future__ import annotations

import getpass
import os

from panel.logs.audit import Actor


def console() -> Actor:
    try:
        account = getpass.getuser()
    except (KeyError, OSError):
        # In a container the user id may have no name.
        account = str(os.getuid())
    return Actor("console", f"local:{account}", "console")
