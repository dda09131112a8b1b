"""The kinds of values that only rich emails have. A message completes a sentence, as in fields.py."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from delivery.contract.fields import MAX_ADDRESS, Address, JsonSchema, Text

MAX_HEADERS = 50
_MOST_DESCRIBED = 16
"""Addresses of one field: an email may have more, but not three times as many."""

MAX_HEADER = 998  # RFC 5322 section 2.1.1: no line may be longer

OWNED_HEADERS = re.compile(
    r"from|sender|to|cc|bcc|reply-to|subject|date|message-id|in-reply-to|references|return-path|received"
    r"|mime-version|content-.*|dkim-signature|domainkey-signature|authentication-results|arc-.*|resent-.*"
    r"|x-postroom-.*",
    re.IGNORECASE,
)
"""Set from an email's fields, or by whoever carries it."""

_NAMED_ADDRESS = re.compile(
    r"""\s*("(?P<quoted>([^"\\]|\\.)*)"|(?P<bare>[^"<>]*))\s*<(?P<address>[^<>]+)>\s*"""
)
_HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")  # RFC 5322 section 3.6.8: printable, and no colon
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}( *;[ -~]*)?")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address, and the name that is shown with it."""

    address: str
    name: str | None = None


class MailboxField(Text):
    """``shop@example.com`` or ``Shop <shop@example.com>``."""

    default_error_messages = {"mailbox": "is not a valid email address, with or without a name"}  # noqa: RUF012

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(one_line=True, most=2 * MAX_ADDRESS, **kwargs)
        self._address = Address()

    @property
    def json_schema(self) -> JsonSchema:
        described: JsonSchema = self._address.json_schema
        return described

    def _deserialize(  # type: ignore[override]  # what it makes of the text is no text
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Mailbox:
        text = super()._deserialize(value, attr, data, **kwargs)
        named = _NAMED_ADDRESS.fullmatch(text)
        address = named["address"] if named else text
        quoted, bare = (named["quoted"], named["bare"]) if named else (None, None)
        try:
            self._address.deserialize(address, attr, data)
        except ValidationError:
            raise self.make_error("mailbox") from None
        name = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
        return Mailbox(address=address, name=(name or "").strip() or None)


class Addresses(fields.Field[tuple[str, ...]]):
    """One address, or a list of them. ``least``: how many at least; an empty list else is as none."""

    default_error_messages = {  # noqa: RUF012
        "type": "must be an address or a list of addresses",
        "few": "is empty",
        "name": "must not have a display name",
    }

    def __init__(self, *, least: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._least = least
        self._address = Address()
        self.most_described = _MOST_DESCRIBED

    @property
    def json_schema(self) -> JsonSchema:
        one = self._address.json_schema
        several = {"type": "array", "minItems": self._least, "maxItems": self.most_described, "items": one}
        return {**one, **several, "type": ["string", "array"]}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[str, ...]:
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, list):
            raise self.make_error("type")
        if len(given) < self._least:
            raise self.make_error("few")
        return tuple(self._read(address, attr, data) for address in given)

    def _read(self, given: Any, attr: str | None, data: Mapping[str, Any] | None) -> str:
        try:
            address: str = self._address.deserialize(given, attr, data)
            return address
        except ValidationError:
            if isinstance(given, str) and given.rstrip().endswith(">"):
                raise self.make_error("name") from None
            raise


class Headers(fields.Field[tuple[tuple[str, str], ...]]):
    """An object from names to values, without those that an email's other fields or its carriers set."""

    default_error_messages = {  # noqa: RUF012
        "type": "must be an object of strings",
        "many": f"has more than {MAX_HEADERS} names",
        "name": "has a name that no header can have: {name!r}",
        "owned": "must not set {name}: postroom or the provider does",
        "repeated": "has {name} more than once",
        "value": "has a value of {name} that {end}",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._value = Text(one_line=True, most=MAX_HEADER)

    @property
    def json_schema(self) -> JsonSchema:
        # Fewer names than are taken: no two may be alike but for their letters' size.
        names = {"pattern": "^X-[A-Z][a-z]{1,20}(-[0-9]{1,9})?$"}
        return {
            "type": "object",
            "propertyNames": names,
            "additionalProperties": self._value.json_schema,
            "maxProperties": MAX_HEADERS,
        }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[tuple[str, str], ...]:
        if not isinstance(value, dict):
            raise self.make_error("type")
        if len(value) > MAX_HEADERS:
            raise self.make_error("many")
        seen: set[str] = set()
        for name, text in value.items():
            self._check(name, text, attr, data)
            if name.lower() in seen:
                raise self.make_error("repeated", name=name)
            seen.add(name.lower())
        return tuple(value.items())

    def _check(self, name: str, text: Any, attr: str | None, data: Mapping[str, Any] | None) -> None:
        if not _HEADER_NAME.fullmatch(name):
            raise self.make_error("name", name=name[:100])
        if OWNED_HEADERS.fullmatch(name):
            raise self.make_error("owned", name=name)
        try:
            self._value.deserialize(text, attr, data)
        except ValidationError as error:
            raise self.make_error("value", name=name, end=error.messages[0]) from None


class Base64(fields.Field[bytes]):
    """Bytes in base64 (RFC 4648, section 4), without line breaks."""

    json_schema: ClassVar[JsonSchema] = {
        "type": "string",
        "contentEncoding": "base64",
        "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)$",
    }

    default_error_messages = {"base64": "must be base64, and not empty"}  # noqa: RUF012

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> bytes:
        try:
            if not isinstance(value, str) or not value:
                raise self.make_error("base64")
            return base64.b64decode(value.encode("ascii"), validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raise self.make_error("base64") from None


class MediaType(Text):
    """Such as ``application/pdf``."""

    default_error_messages = {"media_type": "must be a media type such as application/pdf"}  # noqa: RUF012

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(one_line=True, most=255, **kwargs)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "pattern": f"^{_MEDIA_TYPE.pattern}$", "maxLength": 255}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not _MEDIA_TYPE.fullmatch(text):
            raise self.make_error("media_type")
        return text


class NotYet(fields.Field[None]):
    """A field that is known, and refused until there is what it needs."""

    def __init__(self, sentence: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._sentence = sentence

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> None:
        raise ValidationError(self._sentence)
