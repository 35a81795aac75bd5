"""Which files a source may name as ``ca_file``: regular files below the configured folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from panel.core.errors import InvalidInput
from panel.core.messages import _


def check_ca_file(path: str, folders: Sequence[Path]) -> None:
    """Raise InvalidInput("ca_file", …) unless ``path`` is empty or may be used.

    One sentence stands for every reason, so that it does not tell which files exist. No file is opened: opening a FIFO
    would block.
    """
    if path and not (any(_is_below(path, folder) for folder in folders) and _is_readable_file(path)):
        raise InvalidInput(
            "ca_file",
            _(
                "“{name}” must name a file with certificates in {folder} or in a certificate folder of the system.",
                name="ca_file",
                folder=str(folders[0]),
            ),
        )


def _is_below(path: str, folder: Path) -> bool:
    """The system's folders hold links to other places, so the path counts as it is written too."""
    written = Path(os.path.normpath(path))
    return written.is_relative_to(folder) or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _is_readable_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.R_OK)
    except (OSError, ValueError):
        return False
