"""Reads typed values out of a mapping and collects what is wrong instead of stopping at the first fault."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Faults:
    """What was found wrong so far, each with the name of the setting."""

    found: list[str] = field(default_factory=list)

    def add(self, fault: str) -> None:
        if fault not in self.found:
            self.found.append(fault)


class Section:
    """One table of settings. Every reader returns the default where the value is missing or wrong.

    In the environment everything is text, so there a number may be given as digits.
    """

    def __init__(
        self, values: dict[str, Any], *, name: str, faults: Faults, is_environment: bool = False
    ) -> None:
        self._values = values
        self._name = name
        self._faults = faults
        self._is_environment = is_environment
        self._read: set[str] = set()
        self._sections: dict[str, Section] = {}

    def section(self, key: str) -> "Section":
        if key not in self._sections:
            values = self._get(key, {})
            if not isinstance(values, dict):
                self._fault(key, "must be a table")
                values = {}
            self._sections[key] = Section(values, name=self._full(key), faults=self._faults)
        return self._sections[key]

    def text(self, key: str, default: str, *, check: Callable[[str], str | None] | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str) or not value:
            return self._wrong(key, "must be a text that is not empty", default)
        fault = check(value) if check else None
        return self._wrong(key, fault, default) if fault else value

    def words(self, key: str) -> tuple[str, ...]:
        """A comma-separated list; blanks around the words and empty words are dropped."""
        value = self._get(key, "")
        return tuple(word.strip() for word in value.split(",") if word.strip())

    def chosen_words(self, key: str, *, allowed: Sequence[str]) -> tuple[str, ...]:
        """A comma-separated list of some of these."""
        words = self.words(key)
        if not set(words) <= set(allowed):
            return self._wrong(key, f"may hold only {', '.join(allowed)}", ())
        return words

    def boolean(self, key: str, default: bool) -> bool:
        value = self._get(key, default)
        return value if isinstance(value, bool) else self._wrong(key, "must be true or false", default)

    def integer(self, key: str, default: int, *, least: int, most: int = 2**31) -> int:
        value = self._get(key, default)
        if self._is_environment and isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            return self._wrong(key, f"must be a whole number between {least} and {most}", default)
        return value

    def optional_port(self, key: str) -> int | None:
        """None where it is missing or 0."""
        return self.integer(key, 0, least=0, most=65535) or None

    def duration(self, key: str, default: str, *, parse: Callable[[str], timedelta]) -> timedelta:
        value = self._get(key, default)
        try:
            return parse(value)
        except (TypeError, ValueError):
            return self._wrong(key, "must be a duration such as 250ms, 5s, 15m or 6h", parse(default))

    def texts(self, key: str, default: Sequence[str]) -> tuple[str, ...]:
        value = self._get(key, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            return self._wrong(key, "must be a list of texts", tuple(default))
        return tuple(value)

    def durations(
        self, key: str, default: Sequence[str], *, parse: Callable[[str], timedelta]
    ) -> tuple[timedelta, ...]:
        try:
            return tuple(parse(text) for text in self.texts(key, default))
        except ValueError as error:
            return self._wrong(key, str(error), tuple(parse(text) for text in default))

    def durations_by(
        self, key: str, names: Sequence[str], *, parse: Callable[[str], timedelta]
    ) -> dict[str, tuple[timedelta, ...]]:
        """A table with a list of durations for some of these names; those that are not there are left out."""
        given = self.section(key)
        return {name: given.durations(name, (), parse=parse) for name in names if name in given._values}

    def choices(self, key: str, default: Sequence[str], *, allowed: Sequence[str]) -> tuple[str, ...]:
        chosen = self.texts(key, default)
        if not set(chosen) <= set(allowed):
            return self._wrong(key, f"may hold only {', '.join(allowed)}", tuple(default))
        return chosen

    def choice(self, key: str, default: str, *, allowed: Sequence[str]) -> str:
        chosen = self._get(key, default)
        if not isinstance(chosen, str) or chosen not in allowed:
            return self._wrong(key, f"must be one of {', '.join(allowed)}", default)
        return chosen

    def refuse_unread(self) -> None:
        """A setting that nothing reads is most likely a misspelt one."""
        for key in self._values.keys() - self._read:
            self._fault(key, "is not a setting")
        for section in self._sections.values():
            section.refuse_unread()

    def _get(self, key: str, default: Any) -> Any:
        self._read.add(key)
        value = self._values.get(key, default)
        return default if self._is_environment and value == "" else value

    def _wrong(self, key: str, fault: str, default: T) -> T:
        self._fault(key, fault)
        return default

    def _fault(self, key: str, fault: str) -> None:
        self._faults.add(f"{self._full(key)}: {fault}")

    def _full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key
