"""The kinds of values in requests. A message completes a sentence that begins with the field's name.

``json_schema`` says in JSON Schema what the code beside it does: the API's description is made of it.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar

from email_validator import EmailNotValidError, validate_email
from marshmallow import ValidationError, fields

MAX_ADDRESS = 254
MAX_SUBJECT = 998  # RFC 5322 section 2.1.1: no line may be longer

LINE_BREAKS = "\r\n\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"

_PLAIN_LOCAL = re.compile(r"(?=.{1,64}$)[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")
"""Before the @, where there can be no doubt: such an address is valid if its domain is."""
_LINE_BREAK = re.compile(f"[{LINE_BREAKS}]")

# In patterns, which mean the same to ECMA-262 and to Python. Blanks are what str.strip() takes for blank.
_BREAKS = r"\u0000\u000a-\u000d\u001c-\u001e\u0085\u2028\u2029"
_BLANKS = r"\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_ANY_TEXT = f"[^{_BLANKS}]"
_ONE_LINE = f"^[^{_BREAKS}]*[^{_BREAKS}{_BLANKS}][^{_BREAKS}]*$"

JsonSchema = dict[str, Any]


class Text(fields.Field[str]):
    """Any text that is not empty. ``one_line``: it ends up in a header, so CR and LF are refused."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own way
        "type": "must be a string",
        "empty": "is empty",
        "unicode": "has characters that are not valid Unicode",
        "line_break": "must not contain line breaks",
        "long": "is longer than {most} characters",
    }

    def __init__(self, *, one_line: bool = False, most: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._one_line = one_line
        self._most = most

    @property
    def json_schema(self) -> JsonSchema:
        longest = {} if self._most is None else {"maxLength": self._most}
        return {"type": "string", "pattern": _ONE_LINE if self._one_line else _ANY_TEXT, **longest}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        if not isinstance(value, str):
            raise self.make_error("type")
        if not value.strip():
            raise self.make_error("empty")
        if self._most is not None and len(value) > self._most:
            raise self.make_error("long", most=self._most)
        if self._one_line and _LINE_BREAK.search(value):
            raise self.make_error("line_break")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.make_error("unicode") from None
        return value


class Printable(Text):
    """A name of the caller's own for something. In ASCII, so that no two look alike."""

    default_error_messages = {"printable": "must be printable ASCII characters"}  # noqa: RUF012

    def __init__(self, *, most: int, **kwargs: Any) -> None:
        super().__init__(one_line=True, most=most, **kwargs)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "pattern": "^[ -~]*[!-~][ -~]*$", "maxLength": self._most}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not text.isascii() or not text.isprintable():
            raise self.make_error("printable")
        return text


class Address(Text):
    """One email address, without a display name. Its syntax is checked, its existence is not."""

    default_error_messages = {"address": "is not a valid email address"}  # noqa: RUF012

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(one_line=True, most=MAX_ADDRESS, **kwargs)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "format": "email", "maxLength": MAX_ADDRESS}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        address = super()._deserialize(value, attr, data, **kwargs)
        local, _, domain = address.rpartition("@")
        # As long as it is: domains that are written or counted in another alphabet may make it too long.
        if not _is_address(f"{'a' * len(local)}@{domain}" if _PLAIN_LOCAL.fullmatch(local) else address):
            raise self.make_error("address")
        return address


@lru_cache(maxsize=10_000)
def _is_address(address: str) -> bool:
    """Remembered, because it takes longer than all the rest of a request's fields, and domains come again."""
    try:
        validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return False
    return True


class Uuid(fields.Field[str]):
    """In the form of RFC 9562, section 4, in small letters however it was written."""

    default_error_messages = {"uuid": "is not a UUID"}  # noqa: RUF012

    json_schema: ClassVar[JsonSchema] = {"type": "string", "format": "uuid"}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        try:
            parsed = str(uuid.UUID(value)) if isinstance(value, str) else ""
        except ValueError:
            parsed = ""
        # uuid takes braces, underscores and any script's digits, too.
        if not parsed or parsed != value.lower():
            raise self.make_error("uuid")
        return parsed


class WholeNumber(fields.Field[int]):
    """``5``, or ``5.0``, which to JSON is the same."""

    default_error_messages = {"range": "must be a whole number between {least} and {most}"}  # noqa: RUF012

    def __init__(self, *, least: int, most: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._least, self._most = least, most

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": self._least, "maximum": self._most}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> int:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not self._least <= value <= self._most or value != int(value):
            raise self.make_error("range", least=self._least, most=self._most)
        return int(value)


class Choice(fields.Field[str]):
    default_error_messages = {"choice": "must be one of {choices}"}  # noqa: RUF012

    def __init__(self, choices: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._choices = choices

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "enum": list(self._choices)}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        if not isinstance(value, str) or value not in self._choices:
            raise self.make_error("choice", choices=", ".join(self._choices))
        return value


class Instant(fields.Field[datetime]):
    """An ISO 8601 time with its offset from UTC."""

    json_schema: ClassVar[JsonSchema] = {"type": "string", "format": "date-time"}

    default_error_messages = {  # noqa: RUF012
        "format": "must be a time with its offset, such as 2030-01-31T12:00:00Z"
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> datetime:
        try:
            if not isinstance(value, str):
                raise ValidationError("not a text")
            instant = datetime.fromisoformat(value)
            if instant.tzinfo is None:
                raise ValidationError("no offset")
            return instant.astimezone(UTC)
        except (ValueError, OverflowError, ValidationError):
            raise self.make_error("format") from None
