"""What requests to the OpenProject stand-in cost, and which of them it refuses: switches that are off by default."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from werkzeug.wrappers import Response

from panel.sandbox.openproject_errors import PREFIX

FORM_PERIOD_S = 3.0


@dataclass
class Load:
    """Times are in seconds. A route is a method and a path below ``/api/v3``, such as ``GET /statuses``.

    The path is a regular expression.
    """

    per_call_s: float = 0.0
    per_project_s: float = 0.0
    """For each complete project of a list. A list with ``select`` has no complete projects."""
    per_work_package_s: float = 0.0
    """For each complete work package of a list."""
    per_selected_s: float = 0.0
    """For each work package of a list with ``select``."""
    delays: dict[str, float] = field(default_factory=dict)
    """Route → additional time."""
    forbidden: set[str] = field(default_factory=set)
    """Routes that answer 403."""
    form_limit: int | None = None
    """Forms within three seconds for each ``Authorization`` header. More of them get 429; ``None`` is no limit."""
    sleep: Callable[[float], object] = time.sleep
    """Passes time. A test can record the seconds instead."""
    spent_s: float = 0.0
    """The time that all requests so far have taken by these figures."""
    _forms: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def be_as_slow_as_measured(self) -> None:
        """Take the time that real servers of the versions 15.4 to 17.6 took with some hundred work packages."""
        self.per_call_s, self.per_project_s, self.per_work_package_s, self.per_selected_s = 0.040, 0.006, 0.008, 0.0012

    def wait(self, route: str) -> None:
        """Sleep as long as a request to the route takes, apart from its rows."""
        delay = sum(seconds for pattern, seconds in self.delays.items() if re.fullmatch(pattern, route))
        self._pass(self.per_call_s + delay)

    def wait_for_rows(self, projects: int, work_packages: int, selected: int) -> None:
        """Sleep as long as the rows of a list take: complete projects, complete and selected work packages."""
        rows = projects * self.per_project_s + work_packages * self.per_work_package_s
        self._pass(rows + selected * self.per_selected_s)

    def _pass(self, seconds: float) -> None:
        if seconds > 0:
            with self._lock:
                self.spent_s += seconds
            self.sleep(seconds)

    def forbids(self, route: str) -> bool:
        return any(re.fullmatch(pattern, route) for pattern in self.forbidden)

    def throttle(self, route: str, account: str) -> Response | None:
        """Count a form and return the 429 of the server's own rule, or ``None``. It has no ``Retry-After``."""
        if self.form_limit is None or not re.fullmatch("POST /.*form", route):
            return None
        with self._lock:
            now, sent = time.time(), self._forms[account]
            while sent and sent[0] <= now - FORM_PERIOD_S:
                sent.popleft()
            if len(sent) < self.form_limit:
                sent.append(now)
                return None
            return _throttled(self.form_limit, int(sent[0] + FORM_PERIOD_S) + 1)


def _throttled(limit: int, reset: int) -> Response:
    message = "You have reached the request limit for this resource."
    body = json.dumps({"_type": "Error", "errorIdentifier": f"{PREFIX}Throttled", "message": message})
    headers = {"RateLimit-Limit": str(limit), "RateLimit-Remaining": "0", "RateLimit-Reset": str(reset)}
    response = Response(body, 429, headers)
    del response.headers["Content-Type"]
    return response
