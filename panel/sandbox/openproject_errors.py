"""Errors of OpenProject's API v3: status, identifier and a message in the user's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PREFIX = "urn:openproject-org:api:v3:errors:"

MESSAGES: dict[str, tuple[str, str]] = {
    "unauthenticated": (
        "You need to be authenticated to access this resource.",
        "U moet zijn aangemeld om toegang te krijgen tot deze bron.",
    ),
    "wrong-credentials": (
        "You did not provide the correct credentials.",
        "U hebt niet de juiste inloggegevens opgegeven.",
    ),
    "unauthorized": (
        "You are not authorized to access this resource.",
        "U bent niet bevoegd om toegang te krijgen tot deze bron.",
    ),
    "not-found": (
        "The requested resource could not be found.",
        "De opgevraagde bron kan niet worden gevonden.",
    ),
    "no-work-package": (
        "The work package you are looking for cannot be found or has been deleted.",
        "Het werkpakket dat u zoekt kan niet worden gevonden of is verwijderd.",
    ),
    "conflict": (
        "Could not update the resource because of conflicting modifications.",
        "Kan de bron niet bijwerken vanwege conflicterende wijzigingen.",
    ),
    "multiple": (
        "Multiple field constraints have been violated.",
        "Meerdere veldbeperkingen zijn geschonden.",
    ),
    "parse": (
        "The request could not be parsed as JSON.",
        "Het verzoek kan niet worden gelezen als JSON.",
    ),
    "content-type": (
        "Expected CONTENT-TYPE to be 'application/json application/hal+json' but got '{actual}'.",
        "Verwachtte als CONTENT-TYPE 'application/json application/hal+json', maar kreeg '{actual}'.",
    ),
    "links-no-object": (
        "Bad request: _links must be a JSON object.",
        "Ongeldig verzoek: _links moet een JSON-object zijn.",
    ),
    "link-invalid": (
        "Bad request: The link under key '{key}' is not valid.",
        "Ongeldig verzoek: De koppeling onder sleutel '{key}' is niet geldig.",
    ),
    "eprops": (
        "Bad request: The eprops parameter could not be read.",
        "Ongeldig verzoek: De parameter eprops kan niet worden gelezen.",
    ),
    "select": (
        "The requested select of {asked} is not supported. Supported selects are {supported}.",
        "De gevraagde selectie van {asked} wordt niet ondersteund. Ondersteund zijn {supported}.",
    ),
    "unknown-filter": (
        "{attribute} filter does not exist.",
        "{attribute} filter bestaat niet.",
    ),
    "filter-operator": (
        "{attribute} Operator is not set to one of the allowed values.",
        "{attribute} Operator heeft niet een van de toegestane waarden.",
    ),
    "filter-values": (
        "{attribute} filter has invalid values.",
        "{attribute} filter heeft ongeldige waarden.",
    ),
    "sort-column": (
        "Can't sort by column: {attribute}",
        "Kan niet sorteren op kolom: {attribute}",
    ),
    "plain": ("{text}", "{text}"),
    "blank": (
        "{attribute} can't be blank.",
        "{attribute} mag niet leeg zijn.",
    ),
    "too-long": (
        "{attribute} is too long (maximum is 255 characters).",
        "{attribute} is te lang (maximaal 255 tekens).",
    ),
    "inclusion": (
        "{attribute} is not set to one of the allowed values.",
        "{attribute} is niet ingesteld op een van de toegestane waarden.",
    ),
    "inexistent": (
        "{attribute} does not exist.",
        "{attribute} bestaat niet.",
    ),
    "not-assignable": (
        "The chosen user is not allowed to be '{attribute}' for this work package.",
        "De gekozen gebruiker mag geen '{attribute}' zijn voor dit werkpakket.",
    ),
    "transition": (
        "{attribute} is invalid because no valid transition exists from old to new status"
        " for the current user's roles.",
        "{attribute} is ongeldig omdat er voor de rollen van de huidige gebruiker geen geldige overgang bestaat"
        " van de oude naar de nieuwe status.",
    ),
    "read-only": (
        "{attribute} was attempted to be written but is not writable.",
        "{attribute} werd geprobeerd te schrijven, maar is niet schrijfbaar.",
    ),
    "resource-type": (
        "For property '{property}' a link like '{expected}' is expected, but got '{actual}'.",
        "Voor eigenschap '{property}' wordt een koppeling als '{expected}' verwacht, maar kreeg '{actual}'.",
    ),
    "date-format": (
        "Invalid format for property '{property}':"
        " Expected format like 'YYYY-MM-DD (ISO 8601 date only)', but got '{actual}'.",
        "Ongeldige notatie voor eigenschap '{property}':"
        " Verwachtte een notatie als 'YYYY-MM-DD (ISO 8601 date only)', maar kreeg '{actual}'.",
    ),
    "internal": (
        "An internal error has occurred.",
        "Er is een interne fout opgetreden.",
    ),
}  # fmt: skip
"""Key → English and Dutch. Clients must not depend on these texts, which follow the user's language."""

LABELS: dict[str, tuple[str, str]] = {
    "subject": ("Subject", "Onderwerp"),
    "description": ("Description", "Beschrijving"),
    "type": ("Type", "Type"),
    "project": ("Project", "Project"),
    "status": ("Status", "Status"),
    "priority": ("Priority", "Prioriteit"),
    "assignee": ("Assignee", "Toegewezene"),
    "responsible": ("Accountable", "Verantwoordelijke"),
    "parent": ("Parent", "Bovenliggend"),
    "author": ("Author", "Auteur"),
    "startDate": ("Start date", "Startdatum"),
    "dueDate": ("Finish date", "Einddatum"),
    "date": ("Date", "Datum"),
    "createdAt": ("Created on", "Aangemaakt op"),
    "updatedAt": ("Updated on", "Bijgewerkt op"),
}
LANGUAGES = ("en", "nl")


def label(attribute: str, language: str) -> str:
    """Return the display name of an attribute; an unknown attribute is its own label."""
    known = LABELS.get(attribute)
    return known[LANGUAGES.index(language)] if known else attribute


class ApiError(Exception):
    """An error response. ``key`` selects the message; ``attribute`` (API name) and ``texts`` fill its placeholders."""

    def __init__(
        self,
        status: int,
        identifier: str,
        key: str,
        *,
        attribute: str = "",
        details: Mapping[str, Any] | None = None,
        errors: Sequence[ApiError] = (),
        headers: Mapping[str, str] | None = None,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(key)
        self.status = status
        self.identifier = identifier
        self.key = key
        self.attribute = attribute
        self.details = details
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.texts = dict(texts or {})

    def body(self, language: str) -> dict[str, Any]:
        message = MESSAGES[self.key][LANGUAGES.index(language)]
        texts = {"attribute": label(self.attribute, language), **self.texts}
        document: dict[str, Any] = {
            "_type": "Error", "errorIdentifier": PREFIX + self.identifier, "message": message.format_map(texts),
        }  # fmt: skip
        if self.details:
            document["_embedded"] = {"details": dict(self.details)}
        if self.errors:
            document["_embedded"] = {"errors": [error.body(language) for error in self.errors]}
        return document


def not_found() -> ApiError:
    return ApiError(404, "NotFound", "not-found")


def no_work_package() -> ApiError:
    """The same error for deleted, invisible and malformed ids: clients cannot distinguish them."""
    return ApiError(404, "NotFound", "no-work-package")


def unauthorized() -> ApiError:
    return ApiError(403, "MissingPermission", "unauthorized")


def conflict() -> ApiError:
    return ApiError(409, "UpdateConflict", "conflict")


def bad_request(message: str, **texts: str) -> ApiError:
    return ApiError(400, "BadRequest", message, texts=texts)


def internal_error() -> ApiError:
    return ApiError(500, "InternalServerError", "internal")


def invalid_query(message: str, *, attribute: str = "", **texts: str) -> ApiError:
    return ApiError(400, "InvalidQuery", message, attribute=attribute, texts=texts)


def violation(attribute: str, key: str, *, label: str = "") -> ApiError:
    """The error of an invalid value. ``label`` is for attributes that are not in LABELS."""
    details = {"attribute": attribute}
    return ApiError(422, "PropertyConstraintViolation", key, attribute=label or attribute, details=details)


def read_only(attribute: str) -> ApiError:
    return ApiError(422, "PropertyIsReadOnly", "read-only", attribute=attribute, details={"attribute": attribute})


def one_or_many(errors: Sequence[ApiError]) -> ApiError:
    """Return a single error as it is, several wrapped in MultipleErrors, whose status is always 422."""
    if len(errors) == 1:
        return errors[0]
    return ApiError(422, "MultipleErrors", "multiple", errors=errors)
