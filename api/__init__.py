"""HTTP in. ``gunicorn -c api/gunicorn_conf.py 'api:create_app()'``"""

from api.app import create_app

__all__ = ["create_app"]
