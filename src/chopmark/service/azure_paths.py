"""Azure's addresses of OpenAI's routes: a deployment is a name of the model, and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["AzurePaths"]

_DEPLOYMENT: Final = re.compile(r"/openai/deployments/[^/]{1,200}(/.+)")
_V1: Final = re.compile(r"/openai(/v1/.+)")


class AzurePaths:
    """ASGI middleware that leads Azure's paths to OpenAI's.

    ``/openai/deployments/NAME/images/generations`` becomes ``/v1/images/generations``, and
    ``/openai/v1/...`` becomes ``/v1/...``. The ``api-version`` of the query is not looked at; the
    model is that of the body, in which Azure's clients write the deployment.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, perhaps under another path."""
        if scope["type"] == "http" and scope["path"].startswith("/openai/"):
            path = scope["path"]
            if (match := _DEPLOYMENT.fullmatch(path)) is not None:
                path = f"/v1{match[1]}"
            elif (match := _V1.fullmatch(path)) is not None:
                path = match[1]
            # In place: whoever bounds, counts and logs the request goes by the route that it has.
            scope["path"] = path
            scope["raw_path"] = path.encode()
        await self.app(scope, receive, send)
