"""No address inside the network is ever connected to, whichever way of calling is led there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LAB = Path(__file__).with_name("network_namespace.py")


def _has_namespaces() -> bool:
    """Whether this machine lets us make a network of our own."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    trial = "ip link set lo up && ip route add local 0.0.0.0/0 dev lo && ip -6 route add local ::/0 dev lo"
    return subprocess.run(["unshare", "-rn", "sh", "-c", trial], capture_output=True, check=False).returncode == 0


WAY = "namespace" if _has_namespaces() else "guard"
WITNESS = {
    "namespace": "judged by listeners at every address of a network namespace, and by a guard in socket.connect",
    "guard": "no network namespace can be made here: judged by a guard in socket.connect alone",
}


def _ran(folder: Path) -> dict[str, Any]:
    command = [*(["unshare", "-rn"] if WAY == "namespace" else []), sys.executable, str(LAB), WAY, str(folder)]
    known = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (LAB.parents[2], LAB.parents[1])))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=known)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


@pytest.mark.parametrize("way", [WAY])
def test_nothing_inside_is_connected_to_by_any_path(
    way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = _ran(tmp_path / "instance")

    with capsys.disabled():
        print(
            f"\n  {report['cases']} addresses × {report['paths']} paths in {report['seconds']} s, {WITNESS[way]}: "
            f"{len(report['listened']) + len(report['attempted'])} places inside were connected to, "
            f"{report['public']} calls reached the public server that redirects inside"
        )
    assert report["noticed"] == report["proof"], "the lab does not see its own attempts"
    assert report["cases"] >= 500
    assert report["public"] > 0
    assert (report["listened"], report["attempted"], report["strays"]) == ({}, {}, 0)
    assert report["faults"] == []
