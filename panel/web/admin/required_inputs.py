"""The inputs of the source form that must be filled and are empty, all at once.

What a source needs is stated by the types of its fields; this module only finds the inputs for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panel.core.messages import _
from panel.sources import fields
from panel.sources.field_types import Text
from panel.web.admin.source_form import SourceForm


def missing_inputs(form: SourceForm, values: Mapping[str, Any]) -> dict[str, str]:
    """By the name of its input, a sentence for each required value that ``values`` lacks, in the order of the form."""
    plain = [known.name for known in fields.FIELDS if _is_required(known.type) and not values.get(known.name)]
    names = [*plain, *_missing_of_sign_in(form, values["auth"])]
    return {name: _("{label} is missing.", label=form.label_of(name)) for name in names}


def _is_required(kind: object) -> bool:
    return isinstance(kind, Text) and kind.required


def _missing_of_sign_in(form: SourceForm, auth: Mapping[str, str]) -> list[str]:
    """A secret is needed unless one is stored, which an empty input keeps."""
    keeps = form.keeps_secret(form.preset)
    return [
        form.auth_name(form.preset, known)
        for known in form.auth_fields(form.preset)
        if not auth.get(known.name) and (_is_required(known.type) or (known.secret and not keeps))
    ]
