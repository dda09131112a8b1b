"""How many requests a tenant may make, told in the headers of every answer.

``RateLimit-Limit``, ``-Remaining``, ``-Reset`` and ``RateLimit-Policy`` are those of
draft-ietf-httpapi-ratelimit-headers-06: how many requests a full bucket has, how many are left, and in how
many seconds it is full again. Provider webhooks and health belong to no tenant and have no limit.
"""

import math
from datetime import timedelta

from flask import Flask, Response, g

from api.authentication import caller_of_request
from delivery.domain.errors import RateExceeded
from delivery.domain.rates import Allowance
from delivery.use_cases.limit_rates import RateLimits


def register(app: Flask, *, limits: RateLimits) -> None:
    """After authentication: what is refused there has used up nothing."""

    @app.before_request
    def admit() -> None:
        g.limits = limits
        if "caller" in g:
            tenant = caller_of_request().tenant
            try:
                g.allowance = limits.admit(tenant.tenant_id, tenant.rate)
            except RateExceeded as exceeded:
                g.allowance = exceeded.allowance
                raise

    @app.after_request
    def tell(response: Response) -> Response:
        allowance: Allowance | None = g.get("allowance")
        if allowance is not None:
            response.headers.update(allowance_headers(allowance))
        return response


def charge_for(more: int) -> None:
    """The request at hand is worth so many more than one, such as a batch of emails."""
    tenant, limits = caller_of_request().tenant, g.limits
    limits.charge(tenant.tenant_id, tenant.rate, more)


def allowance_headers(allowance: Allowance) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(allowance.limit),
        "RateLimit-Remaining": str(allowance.remaining),
        "RateLimit-Reset": whole_seconds(allowance.reset),
        "RateLimit-Policy": f"{allowance.limit};w={whole_seconds(allowance.window)}",
    }


def whole_seconds(duration: timedelta) -> str:
    """Rounded up: whoever comes back then isn't early."""
    return str(math.ceil(duration.total_seconds()))
