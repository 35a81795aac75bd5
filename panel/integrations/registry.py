"""Finds the leaves: folders with ``leaf.yaml`` and ``leaf.py`` in this package, and leaves of installed packages."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from panel.core.errors import NotFound
from panel.core.messages import _
from panel.integrations.contract import Integration
from panel.integrations.descriptor import BrokenDescriptor, Descriptor

ENTRY_POINT_GROUP = "leafpanel.integrations"
HERE = Path(__file__).parent
DESCRIPTOR_FILE = "leaf.yaml"


class Registry:
    """The leaves by id, in the order of the tab strip."""

    def __init__(self, leaves: Iterable[Integration]) -> None:
        ordered = sorted(leaves, key=lambda leaf: (leaf.descriptor.order, leaf.id))
        self._leaves = {leaf.id: leaf for leaf in ordered}

    def all(self) -> list[Integration]:
        return list(self._leaves.values())

    def ids(self) -> list[str]:
        return list(self._leaves)

    def find(self, integration_id: str) -> Integration | None:
        return self._leaves.get(integration_id)

    def get(self, integration_id: str) -> Integration:
        """Raises NotFound with the ids of the known leaves."""
        leaf = self.find(integration_id)
        if leaf is None:
            raise NotFound(
                _(
                    "Integration '{integration}' is not registered. Registered: {known}",
                    integration=integration_id,
                    known=", ".join(sorted(self._leaves)),
                )
            )
        return leaf


def load_registry(folder: Path = HERE, package: str = __package__ or "panel.integrations") -> Registry:
    """Load the leaves of the folder and of installed packages. Raises BrokenDescriptor naming the file."""
    files = sorted(folder.glob(f"*/{DESCRIPTOR_FILE}"))
    own = [load_leaf(importlib.import_module(f"{package}.{file.parent.name}.leaf")) for file in files]
    return Registry([*own, *_installed()])


def _installed() -> Iterable[Integration]:
    """Leaves of installed packages. An entry point names a module with a ``leaf.yaml`` beside it."""
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        yield load_leaf(entry.load())


def load_leaf(module: ModuleType) -> Integration:
    """Load the leaf of a module, with the ``leaf.yaml`` beside it. Raises BrokenDescriptor naming the file."""
    path = Path(str(module.__file__)).with_name(DESCRIPTOR_FILE)
    kinds = [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Integration) and kind.__module__ == module.__name__ and not inspect.isabstract(kind)
    ]
    if len(kinds) != 1:
        raise BrokenDescriptor(
            f"{path.parent.name}/leaf.yaml: the module beside it must define exactly one Integration"
        )
    kind = kinds[0]
    kind.descriptor, kind.folder = Descriptor.load(path), path.parent
    return kind()
