"""Fault tags as they are written: `fault+<tag>[.<argument>][+<tag>…]@example.com`."""

from dataclasses import dataclass
from re import fullmatch

from simulator.plans import Plan
from simulator.tags import TAGS, Argument, Axis

PREFIX = "fault+"
MOST = 100
SECONDS = r"[0-9]{1,6}(\.[0-9]{1,6})?"


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag as it was written. `argument` is None where there is none (only with Argument.NONE and FIRST)."""

    name: str
    argument: float | None

    @property
    def axis(self) -> Axis:
        return TAGS[self.name].axis

    def hits(self, *, submission: int) -> bool:
        """Whether it applies to the `submission`th (from 1) that met this tag under one request_id."""
        if TAGS[self.name].argument is not Argument.FIRST or self.argument is None:
            return True
        return submission <= self.argument

    def apply(self, plan: Plan) -> Plan:
        return TAGS[self.name].apply(plan, self.argument or 0.0)


class TagError(ValueError):
    """Fault tags that do not exist, lack an argument, or contradict each other: one sentence each."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def parse_recipient(recipient: str) -> tuple[Tag, ...]:
    """The fault tags in an address's local part; none in an ordinary address. Raises TagError."""
    if not recipient.startswith(PREFIX):
        return ()
    return parse_tags(recipient.rpartition("@")[0].removeprefix(PREFIX).split("+"))


def parse_further(recipient: str) -> tuple[Tag, ...]:
    """The tags in the address of a further recipient of an email, who has no part in the answer.

    Raises TagError.
    """
    tags = parse_recipient(recipient)
    misplaced = [tag.name for tag in tags if tag.axis in (Axis.ANSWER, Axis.LATENCY)]
    if misplaced:
        raise TagError(tuple(f"{name} counts only in recipient" for name in misplaced))
    return tags


def parse_tags(texts: list[str]) -> tuple[Tag, ...]:
    """Tags that one email may carry together. Raises TagError with every mistake."""
    tags: list[Tag] = []
    mistakes: list[str] = []
    for text in texts:
        try:
            tags.append(parse_tag(text))
        except TagError as error:
            mistakes.extend(error.mistakes)
    by_axis: dict[Axis, Tag] = {}
    for tag in tags:
        other = by_axis.setdefault(tag.axis, tag)
        if other is not tag:
            mistakes.append(f"{other.name} and {tag.name} contradict each other")
    if mistakes:
        raise TagError(tuple(mistakes))
    return tuple(tags)


def parse_tag(text: str) -> Tag:
    """One tag, `name` or `name.argument`. Raises TagError."""
    name, dot, written = text.partition(".")
    rule = TAGS.get(name)
    if rule is None:
        raise TagError((f"unknown fault tag: {name!r}",))
    if not dot:
        if rule.default is None and rule.argument not in (Argument.NONE, Argument.FIRST):
            raise TagError((f"{name} needs an argument: {rule.argument}",))
        return Tag(name, rule.default)
    if rule.argument is Argument.NONE:
        raise TagError((f"{name} takes no argument",))
    return Tag(name, _argument(name, rule.argument, written))


def _argument(name: str, argument: Argument, written: str) -> float:
    whole = written.isascii() and written.isdecimal()
    if argument is Argument.SECONDS and fullmatch(SECONDS, written):
        return float(written)
    if argument is Argument.NUMBER and whole:
        return 0.0
    if argument in (Argument.FIRST, Argument.COUNT) and whole and 1 <= float(written) <= MOST:
        return float(written)
    raise TagError((f"{name}.{written}: the argument is {argument}",))
