"""``python -m bench.comparison.static_answer <port>``: answers as the provider does, and looks at nothing."""

import asyncio
import sys
from http import HTTPStatus

import uvloop

from bench.raw_http import Respond, Served, answer

_ANSWER = answer(HTTPStatus.OK, b'{"STATUS":"ACCEPTED"}')


def _accept(_line: bytes, _body: bytes, respond: Respond) -> None:
    respond(_ANSWER)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Served(_accept), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
