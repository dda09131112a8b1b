"""When a request is here: told from its bytes as they come in, so that no thread waits for a client.

Only the framing of RFC 9112 is read, as far as it takes to see where a request ends. What is malformed is
handed over at once: gunicorn's parser reads it all again, and is the one that refuses.
"""

from collections.abc import Callable, Generator
from enum import StrEnum

MOST_HEAD = 64 * 1024
MOST_PATH = 1024
_MOST_CHUNK_LINE = 8 * 1024
_END_OF_LINE = b"\r\n"
_END_OF_HEAD = b"\r\n\r\n"


class Ending(StrEnum):
    WHOLE = "whole"
    CUT_OFF = "cut off"
    """There may be more that nobody wants: the connection is of no use after the answer."""
    HEAD_TOO_LARGE = "head too large"


class Arrival:
    """One request on its way in. ``ending`` is None until enough of it is here.

    most_body: by the path, in small letters. Of a larger body this much is taken: enough to refuse it.
    """

    def __init__(self, *, most_body: Callable[[str], int]) -> None:
        self.received = bytearray()
        self.ending: Ending | None = None
        self.expects_continue = False
        """The client sends its body when it is told to (RFC 9110, section 10.1.1)."""
        self._reading = self._read(most_body)
        next(self._reading)

    def feed(self, piece: bytes) -> None:
        """Take what came in; after the ending, never again."""
        self.received += piece
        try:
            next(self._reading)
        except StopIteration as end:
            self.ending = end.value

    def end(self) -> None:
        """The client sends no more."""
        self.ending = Ending.CUT_OFF

    @property
    def path(self) -> str:
        """As far as it is here, in small letters."""
        line = bytes(self.received[:MOST_PATH]).lower().lstrip(_END_OF_LINE).split(_END_OF_LINE, 1)[0]
        target = line.split(b" ")[1] if line.count(b" ") else b""
        return target.partition(b"?")[0].decode("latin-1")

    def _read(self, most_body_of: Callable[[str], int]) -> Generator[None, None, Ending]:
        """Yields where it needs more bytes."""
        end = yield from self._find(_END_OF_HEAD, start=0, most=MOST_HEAD)
        if end is None:
            return Ending.HEAD_TOO_LARGE
        first, *lines = bytes(self.received[:end]).lower().lstrip(_END_OF_LINE).split(_END_OF_LINE)
        fields = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        lengths = [value for name, value in fields if name == b"content-length"]
        codings = [value for name, value in fields if name == b"transfer-encoding"]
        expectations = [value for name, value in fields if name == b"expect"]
        start = end + len(_END_OF_HEAD)
        if not lengths and not codings:
            return Ending.WHOLE
        if len(lengths) + len(codings) > 1 or any(value != b"100-continue" for value in expectations):
            return Ending.CUT_OFF
        most_body = most_body_of(self.path)
        length = _number(lengths[0], base=10) if lengths else None
        if lengths and (length is None or length > most_body):
            return Ending.CUT_OFF
        waits = bool(expectations) and first.endswith(b"http/1.1")
        self.expects_continue = waits and len(self.received) == start and length != 0
        if length is not None:
            yield from self._reach(start + length)
            return Ending.WHOLE
        if b"chunked" not in codings[0]:
            return Ending.CUT_OFF
        ending = yield from self._read_chunks(start, most_body)
        return ending

    def _read_chunks(self, start: int, most_body: int) -> Generator[None, None, Ending]:
        at, body = start, 0
        most_framing = MOST_HEAD + most_body  # a body in very small chunks is mostly framing
        while at - start - body <= most_framing:
            end = yield from self._find(_END_OF_LINE, start=at, most=_MOST_CHUNK_LINE)
            if end is None:
                break
            size = _number(bytes(self.received[at:end]).partition(b";")[0].strip(), base=16)
            if size is None:
                break
            if size == 0:
                trailers = yield from self._find(_END_OF_HEAD, start=end, most=MOST_HEAD)
                return Ending.WHOLE if trailers is not None else Ending.CUT_OFF
            at = end + len(_END_OF_LINE)
            if body + size > most_body:
                yield from self._reach(at + most_body - body)
                break
            body += size
            yield from self._reach(at + size + len(_END_OF_LINE))
            at += size + len(_END_OF_LINE)
        return Ending.CUT_OFF

    def _reach(self, size: int) -> Generator[None, None, None]:
        while len(self.received) < size:
            yield

    def _find(self, mark: bytes, *, start: int, most: int) -> Generator[None, None, int | None]:
        """Where the mark is; None when it isn't within ``most`` bytes."""
        searched = start
        while (found := self.received.find(mark, searched)) < 0:
            if len(self.received) - start > most:
                return None
            searched = max(start, len(self.received) - len(mark) + 1)
            yield
        return found


def _number(digits: bytes, *, base: int) -> int | None:
    allowed = b"0123456789abcdefABCDEF" if base == 16 else b"0123456789"
    if not digits or len(digits) > 16 or any(digit not in allowed for digit in digits):
        return None
    return int(digits, base)
