"""One API request to the OpenProject stand-in, and the instance that it is made to."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Request, Response

from panel.sandbox.openproject_errors import internal_error, not_found, unauthorized
from panel.sandbox.openproject_json import Document, Hal, Offers
from panel.sandbox.openproject_load import Load
from panel.sandbox.openproject_profiles import PROFILES, Profile
from panel.sandbox.openproject_query import Page, page_of
from panel.sandbox.openproject_seeds import SEEDS, Seed
from panel.sandbox.openproject_state import Project, Right, World


class Instance:
    """The state of one instance, and the switches that can be changed while it runs."""

    def __init__(self, profile: str | Profile, seed: str | Seed) -> None:
        self.profile = PROFILES[profile] if isinstance(profile, str) else profile
        self.world = World()
        (SEEDS[seed] if isinstance(seed, str) else seed)(self.world)
        self.load = Load()
        self.login_required = True
        """If not, the instance is open to everybody: requests without credentials are the anonymous user's."""
        self.hosts: Collection[str] | None = None
        """The host names, with or without port, that the instance answers to; ``None`` means all."""
        self.default_page_size = 20
        self.max_page_size = 1000
        self.host_name: str | None = "projecten.lindewaard.example"
        """``hostName`` in the configuration, which can differ from the requested host; ``None`` omits the key."""
        self.semantic_display_ids = False
        """Whether ``displayId`` is ``VERG-7`` instead of the number. Paths of profile 17 accept both."""
        self.offers: Offers = "both"
        """Where a form lists allowed values: ``embedded``, ``linked`` or ``both``."""
        self.fail_create_after_commit = False
        """Whether a create stores the work package and then closes the connection without a response."""
        self.cut_create_answer = False
        """Whether a create stores the work package and then sends only half of the response body."""
        self.before_write: Callable[[], object] = lambda: None
        """Called before each update, so that a test can make a concurrent change."""

    def behave_like(self, version: str) -> None:
        """Change to the profile of another version: "17", "16", "15" or "12"."""
        self.profile = PROFILES[version]

    def answers_to(self, host: str) -> bool:
        """Whether this is the ``Host`` of the instance. Real servers refuse all other names."""
        return self.hosts is None or host in self.hosts or re.sub(":[0-9]+$", "", host) in self.hosts


@dataclass(frozen=True, slots=True)
class ApiCall:
    """An API request that has passed authentication and the content type check."""

    request: Request
    params: dict[str, str]
    body: dict[str, Any] | None
    """``None`` for a request without a body."""
    hal: Hal
    instance: Instance

    @property
    def world(self) -> World:
        return self.instance.world

    def page(self, *, clamp: bool = True) -> Page:
        """Return the requested page. Raises ApiError for a size that the database rejects."""
        instance = self.instance
        default, maximum = instance.default_page_size, instance.max_page_size
        page = page_of(self.params, default=default, maximum=maximum, clamp=clamp)
        if page.size < 0:
            raise internal_error()
        return page

    def visible_project(self, text: str) -> Project:
        project = self.world.project(text)
        if project is None or not self.world.sees_project(self.hal.user, project):
            raise not_found()
        return project

    def require(self, project: Project, *rights: Right) -> None:
        """Raise ApiError 403 if the user has none of the rights in the project."""
        if not self.world.rights(self.hal.user, project.id) & set(rights):
            raise unauthorized()

    def require_anywhere(self, right: Right) -> None:
        if not self.world.may_anywhere(self.hal.user, right):
            raise unauthorized()


@dataclass(frozen=True, slots=True)
class Reply:
    document: Document | None
    status: int = 200
    projects: int = 0
    """Number of complete projects in a list, which take time."""
    work_packages: int = 0
    selected: int = 0
    """Number of work packages of which a list has only selected parts."""


Handler = Callable[..., Reply | Response]
Route = tuple[str, str, Handler]
"""Method, path below ``/api/v3`` as a regular expression, and the function that handles the request."""
