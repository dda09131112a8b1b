"""Who is compared."""

POSTROOM = "postroom"
CELERY_PREFORK = "Celery prefork"
CELERY_THREADS = "Celery threads"
DRAMATIQ = "Dramatiq"
AIO_PIKA = "aio-pika"

ALL = (POSTROOM, CELERY_PREFORK, CELERY_THREADS, DRAMATIQ, AIO_PIKA)

TASK_QUEUES = (CELERY_PREFORK, CELERY_THREADS, DRAMATIQ)
"""What most people would take: postroom is measured against the best of these."""
