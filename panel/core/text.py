"""The rule for hidden characters in texts, for all faces, the logs and the checks of names.

A hidden character is not visible by itself: a control, a bidirectional control, a filler, a tag letter, a selector or a
surrogate. They are removed from text of an upstream. Some of them are part of ordinary text and stay in these places:

- a joiner (U+200D) between two emoji, and a selector (U+FE0E, U+FE0F) after one;
- the tag letters of the flags of England, Scotland and Wales, which are the tag sequences that Unicode recommends
  (https://unicode.org/reports/tr51/#valid-emoji-tag-sequences); any other sequence shows a black flag and hides text;
- joiners (U+200C, U+200D) between letters of Arabic, Indic and related scripts, and after a virama
  (https://unicode.org/reports/tr31/#Layout_and_Format_Control_Characters);
- one selector after an ideograph, or after a Mongolian letter.

A soft hyphen (U+00AD) marks where a line may break and is hidden elsewhere, so it is always removed. References are not
shown as text and keep every character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from panel.core.errors import InvalidInput
from panel.core.messages import _

_HIDDEN = (
    r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad"
    r"\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_BREAKS = r"\t\n\x0b\x0c\r\x1c-\x1f\x85\u2028\u2029"
"""Controls that mean white space or a line break."""
_PRIVATE = r"\ue000-\uf8ff\U000f0000-\U0010ffff"
"""Private use characters. Their shape depends on the font."""

_EMOJI = (
    r"[\xa9\xae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff"
    r"\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
)
"""The blocks of emoji, including characters that this version of Python does not know yet."""
_IDEOGRAPH = r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_MONGOLIAN = r"[\u1820-\u18aa]"
_JOINING = re.compile(
    r"[\u0600-\u085f\u0860-\u0dff\u0f00-\u109f\u1700-\u18af\u1900-\u1cff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc"
    r"\U00010a00-\U00011fff\U0001e900-\U0001e95f\U0001ee00-\U0001eeff]"
)
"""Blocks of scripts whose letters change their shape next to a joiner."""
_JOINERS = "\u200c\u200d"
_VIRAMA = 9
"""The combining class of virama signs."""


def _tags(word: str) -> str:
    return "".join(chr(0xE0000 + ord(letter)) for letter in word)


_FLAGS = "|".join(_tags(region) for region in ("gbeng", "gbsct", "gbwls"))
_IN_PLACE = "|".join(
    (
        rf"(?<=\U0001f3f4)(?:{_FLAGS})\U000e007f",
        rf"(?<={_EMOJI})[\ufe0e\ufe0f]",
        r"(?<=[0-9#*])\ufe0f(?=\u20e3)",
        rf"(?:(?<={_EMOJI})|(?<={_EMOJI}\ufe0f))\u200d(?={_EMOJI})",
        # Registered variants use the first 32 of the 240 selectors of ideographs. The others could encode hidden text.
        rf"(?<={_IDEOGRAPH})[\ufe00-\ufe02\U000e0100-\U000e011f]",
        rf"(?<={_MONGOLIAN})(?:[\u180b-\u180d\u180f]|\u180e(?={_MONGOLIAN}))",
    )
)
_ANY_HIDDEN = re.compile(f"[{_HIDDEN}]")
_ANY_UNSEEN = re.compile(f"[{_HIDDEN}{_BREAKS}{_PRIVATE}]")
_HIDDEN_OR_IN_PLACE = re.compile(f"({_IN_PLACE})|[{_HIDDEN}]")
_UNSEEN_OR_IN_PLACE = re.compile(f"({_IN_PLACE})|[{_HIDDEN}{_BREAKS}{_PRIVATE}]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

A_NAME = _("A name")


def one_line(text: str, longest: int | None = None) -> str:
    """The text on one line, with single spaces and without hidden characters, cut to ``longest`` characters."""
    # Printable ASCII, which most texts are, has nothing that is hidden.
    line = " ".join((text if text.isascii() and text.isprintable() else _without_hidden(text)).split())
    if longest is None or len(line) <= longest:
        return line
    # The cut may split a sequence and leave a hidden character, which is removed too.
    return one_line(line[:longest])


def trimmed(text: str) -> str:
    """The text without white space and hidden characters at both ends, which programs add around a copied text."""
    start, end = 0, len(text)
    while start < end and _is_unseen(text[start]):
        start += 1
    while start < end and _is_unseen(text[end - 1]):
        end -= 1
    return text[start:end]


def visible(text: str, spell: Callable[[str], str], *, keep: str = "") -> str:
    """The text with hidden characters, private characters and line breaks replaced by ``spell``, except ``keep``."""
    if _ANY_UNSEEN.search(text) is None:
        return text
    return _UNSEEN_OR_IN_PLACE.sub(
        lambda match: match[0] if match[0] in keep or _is_in_place(match) else spell(match[0]), text
    )


def is_plain(text: str) -> bool:
    """Whether a text has no hidden character and no line break, except joiners and selectors in their places."""
    return _without_hidden(text) == text and _ANY_HIDDEN.sub("", text).isprintable()


def checked_line(field: str, text: str, longest: int, *, what: str = A_NAME) -> str:
    """A name without surrounding white space. Raises InvalidInput naming the field.

    ``what`` is the subject of the message.
    """
    text = text.strip()
    if not text or len(text) > longest or not is_plain(text):
        raise InvalidInput(field, _("{what} has 1 to {longest} printable characters.", what=what, longest=longest))
    return text


def fold(name: str) -> str:
    """The form in which names are compared: without case, and the same for every encoding of an accent.

    Databases do not agree on the case of characters beyond ASCII, so they store and compare this form.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())


def mixes_scripts(name: str) -> bool:
    """Whether a name has letters of more than one of the scripts whose letters look alike."""
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in name if letter.isalpha()}
    return len(scripts & {"LATIN", "CYRILLIC", "GREEK"}) > 1


def has_surrogate(text: str) -> bool:
    """Whether the text has a lone surrogate. JSON and YAML can escape one, but no database can store it."""
    return _SURROGATE.search(text) is not None


def refuse_surrogates(value: object, *, field: str) -> None:
    """Raises InvalidInput for a lone surrogate anywhere in a parsed JSON or YAML value.

    The error names the path of the setting, such as ``auth.password``, or ``field`` for the value itself.
    """
    pending = [("", value)]
    while pending:
        path, part = pending.pop()
        if isinstance(part, str) and has_surrogate(part):
            raise InvalidInput(path or field, _("“{name}” holds half of a character.", name=path or field))
        if isinstance(part, Mapping):
            # A key with a surrogate cannot be printed, so the error names its mapping.
            pending.extend((path, name) for name in part)
            pending.extend((f"{path}.{name}" if path else str(name), inner) for name, inner in part.items())
        elif isinstance(part, list):
            pending.extend((path, inner) for inner in part)


def _is_unseen(char: str) -> bool:
    return char.isspace() or _ANY_HIDDEN.match(char) is not None


def _without_hidden(text: str) -> str:
    if _ANY_HIDDEN.search(text) is None:
        return text
    return _HIDDEN_OR_IN_PLACE.sub(lambda match: match[0] if _is_in_place(match) else "", text)


def _is_in_place(match: re.Match[str]) -> bool:
    return match[1] is not None or (match[0] in _JOINERS and _joins(match.string, match.start()))


def _joins(text: str, at: int) -> bool:
    """Whether the joiner at this index shapes letters. One side may be of another script, as in «PDF‌ها»."""
    before, after = text[max(0, at - 1) : at], text[at + 1 : at + 2]
    if text[at] == "\u200d" and before and unicodedata.combining(before) == _VIRAMA:
        return True
    return _is_joining(after) and (_is_joining(before) or (before.isalnum() and not _ANY_HIDDEN.match(before)))


def _is_joining(char: str) -> bool:
    """Whether it is a letter or mark of a joining script."""
    return (
        _JOINING.match(char) is not None and unicodedata.category(char)[0] in "LM" and _ANY_HIDDEN.match(char) is None
    )
