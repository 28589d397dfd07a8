"""Adds the pack's routes to the host's server."""

from aiohttp import web
from aiohttp.typedefs import Handler
from server import PromptServer

from ..host.gone_folders import forget_gone_folders
from . import routes, routes_compare, routes_dataset

ROUTES = (*routes.ROUTES, *routes_dataset.ROUTES, *routes_compare.ROUTES)
LISTING = ("object_info", "prompt", "models", "embeddings")
"""Of the host's own routes, those that list models."""


def register() -> None:
    """Add the routes, once."""
    table = PromptServer.instance.routes
    known = {(route.method, route.path) for route in table if isinstance(route, web.RouteDef)}
    for method, path, handler in ROUTES:
        if (method, path) not in known:
            table.route(method, path)(handler)
    middlewares = PromptServer.instance.app.middlewares
    if before_listing not in middlewares:
        middlewares.append(before_listing)


@web.middleware
async def before_listing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What the host lists has no folders that are gone."""
    if request.path.removeprefix("/api").strip("/").partition("/")[0] in LISTING:
        forget_gone_folders()
    return await handler(request)
