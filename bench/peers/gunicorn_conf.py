"""gunicorn for the peers and for the constant answer: a process for each core, two at least.

postroom has half as many processes, as it has without API_WORKERS, and else the same figures where they are
choices. Others were tried on two cores, of the workers, too: 8 to 32 threads, 1 to 3 processes, Celery with a
prefetch multiplier of 4. They changed what an email costs by less than a tenth either way.
"""

import os

from bench.peers.settings import API_THREADS
from delivery.config import usable_cores

bind = f"127.0.0.1:{os.environ.get('API_PORT', '8080')}"
workers = max(2, usable_cores())
threads = API_THREADS
worker_class = "gthread"  # --worker-class, as for aiohttp, outdoes it
backlog = 1024
keepalive = 15
graceful_timeout = 12
control_socket_disable = True
