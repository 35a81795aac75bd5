"""A vendored file is the one whose checksum the README beside it states."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

import panel

VENDOR = Path(panel.__file__).parent / "static" / "vendor"


@pytest.mark.parametrize("folder", sorted(path.name for path in VENDOR.iterdir()))
def test_a_vendored_file_has_the_checksum_that_its_readme_states(folder: str) -> None:
    readme = next((VENDOR / folder).glob("README*")).read_text("utf-8")
    (named,) = re.findall(r"^`([^`]+)` is the unmodified", readme, re.MULTILINE)
    (stated,) = re.findall(r"^SHA-256: `([0-9a-f]{64})`$", readme, re.MULTILINE)

    assert hashlib.sha256((VENDOR / folder / named).read_bytes()).hexdigest() == stated
