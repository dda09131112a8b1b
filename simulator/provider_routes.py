"""What the provider's customers call: submitting an email, and asking what became of one."""

import asyncio
import math
import time

from aiohttp import web

from simulator.connections import reset
from simulator.plans import Answer, Ending
from simulator.provider import DOWN, Provider
from simulator.submissions import Submission

GONE_CHECK_S = 0.5


class ProviderRoutes:
    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/emails", self.submit),
            web.get("/api/emails/{request_id}", self.ask),
        ]

    async def submit(self, request: web.Request) -> web.Response:
        self._provider.begin_call()
        try:
            submission, answer = await self._provider.submit(await request.read())
            return await self._answer(request, submission, answer)
        finally:
            self._provider.end_call()

    async def ask(self, request: web.Request) -> web.Response:
        request_id = request.match_info["request_id"]
        status, known = self._provider.answer_status(request_id)
        match status:
            case 200:
                return web.json_response({"request_id": request_id, "STATUS": known})
            case 404:
                return web.json_response({"STATUS": known}, status=404)
            case 429:
                headers = {"Retry-After": str(math.ceil(self._provider.faults.status_ban))}
                return web.json_response({"error": "too many requests"}, status=429, headers=headers)
            case 403:
                return web.json_response({"error": "banned"}, status=403)
        return _response(DOWN)

    async def _answer(self, request: web.Request, submission: Submission, answer: Answer) -> web.Response:
        if answer.ending is Ending.HANG:
            await _gone(request)
        elif answer.ending is Ending.RESET:
            reset(request.transport)
        elif request.transport is not None:
            submission.answer_status = answer.status
            submission.answered_at = time.time()
        response = _response(answer)
        if answer.says_retry_after:
            response.headers["Retry-After"] = str(math.ceil(self._provider.faults.retry_after))
        if answer is DOWN:
            response.force_close()
        return response


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status or 500, body=answer.body, content_type=answer.content_type)


async def _gone(request: web.Request) -> None:
    """Returns when the caller has hung up."""
    while request.transport is not None:  # noqa: ASYNC110 (nothing in aiohttp tells a handler)
        await asyncio.sleep(GONE_CHECK_S)
