"""README.md, and the client's, as data: their programs and commands are run, so they must be true."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
CLIENT_README = README.parent / "clients/python/README.md"


def blocks(language: str, *, document: Path = README) -> list[str]:
    """The fenced code blocks of that language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(encoding="utf-8"), re.M | re.S)


def programs(document: Path) -> list[tuple[str, str]]:
    """The Python programs that are shown with what they print, and that."""
    shown = r"^```python\n((?:(?!```).)*?)^```\n\nprints\n\n```text\n(.*?)^```$"
    return re.findall(shown, document.read_text(encoding="utf-8"), re.M | re.S)


def publisher() -> str:
    """The Python program that publishes an email over AMQP."""
    (program,) = (block for block in blocks("python") if "aio_pika" in block)
    return program
