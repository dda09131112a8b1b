"""README.md as data: its programs and commands are run, so they must be true."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """The fenced code blocks of that language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)


def publisher() -> str:
    """The Python program that publishes an email over AMQP."""
    (program,) = (block for block in blocks("python") if "aio_pika" in block)
    return program
