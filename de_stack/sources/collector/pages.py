"""The pages for people: the API's description, and Swagger UI from the package, with no network.

Belongs here: routes that only show. Does not belong here: what the description says (`openapi.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from de_stack.sources.collector.api_schemas import as_3_0

if TYPE_CHECKING:
    from starlette.requests import Request

FILES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
# The package holds Swagger UI 4, which reads OpenAPI 3.0.
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>de_stack collector</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon-32x32.png"></head>
<body><div id="ui"></div><script src="docs/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "openapi.json?version=3.0", dom_id: "#ui", validatorUrl: null})
</script></body></html>
"""


def routes(document: Callable[[], dict[str, Any]]) -> list[Route]:
    """`/openapi.json`, `/docs` and what that page needs."""

    async def description(request: Request) -> Response:
        found = document()
        if request.query_params.get("version") == "3.0":
            found = as_3_0(found)
        return Response(msgspec.json.encode(found), media_type="application/json")

    async def page(_request: Request) -> Response:
        return HTMLResponse(_PAGE)

    def file(name: str, kind: str) -> Route:
        async def send(_request: Request) -> Response:
            return FileResponse(_folder() / name, media_type=kind)

        return Route(f"/docs/{name}", send)

    files = [file(name, kind) for name, kind in FILES.items()]
    return [Route("/openapi.json", description), Route("/docs", page), *files]


def _folder() -> Path:
    from swagger_ui_bundle import swagger_ui_path

    return swagger_ui_path
