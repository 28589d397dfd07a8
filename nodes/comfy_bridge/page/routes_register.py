"""Adds the pack's routes to the host's server."""

from aiohttp import web
from server import PromptServer

from . import routes, routes_compare, routes_dataset

ROUTES = (*routes.ROUTES, *routes_dataset.ROUTES, *routes_compare.ROUTES)


def register() -> None:
    """Add the routes, once."""
    table = PromptServer.instance.routes
    known = {(route.method, route.path) for route in table if isinstance(route, web.RouteDef)}
    for method, path, handler in ROUTES:
        if (method, path) not in known:
            table.route(method, path)(handler)
