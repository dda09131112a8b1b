"""Health check of a container: exit 0 if http://127.0.0.1:<port>/readyz answers 200."""

import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

TIMEOUT = 4.0
"""Seconds. /readyz asks broker and store, and answers within 2 s when they are away."""


def main() -> int:
    connection = HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=TIMEOUT)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        print(response.read().decode(errors="replace").strip())
    except (OSError, HTTPException) as error:
        print(error)
        return 1
    return 0 if response.status == HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
