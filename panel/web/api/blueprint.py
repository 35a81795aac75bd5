"""The JSON face as a blueprint, with the views of all of its modules."""

from __future__ import annotations

from panel.web.api import surveys, views

MODULES = (views, surveys)
"""Importing them adds their views to the blueprint."""
bp = views.bp
