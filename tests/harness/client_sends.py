"""``python -m tests.harness.client_sends``: a process that hands emails over with the Python client.

Prints a JSON object: the id of each key's email.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor

from postroom_client import Email, Patience, Postroom


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("idempotency_keys", nargs="+")
    arguments = parser.parse_args()
    patience = Patience(attempt=5, total=240, longest_pause=1)

    def send(postroom: Postroom, idempotency_key: str) -> str:
        email = Email(to="ann@example.com", sender="shop@example.com", text=idempotency_key)
        return postroom.emails.send(email, idempotency_key=idempotency_key)

    with (
        Postroom(arguments.url, arguments.key, patience=patience) as postroom,
        ThreadPoolExecutor(arguments.threads) as threads,
    ):
        email_ids = threads.map(lambda key: send(postroom, key), arguments.idempotency_keys)
        print(json.dumps(dict(zip(arguments.idempotency_keys, email_ids, strict=True))))


if __name__ == "__main__":
    main()
