"""CORS for the pages of browsers, also where the page is public and the server is in a private network."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response


class BrowserCors(CORSMiddleware):
    """Starlette's middleware, which also answers the preflight for a local network.

    Chromium asks with `Access-Control-Request-Private-Network` or, under the other name that drafts of the
    specification give it, with `Access-Control-Request-Local-Network`.
    """

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return the answer to a preflight request."""
        response = super().preflight_response(request_headers)
        if self.allow_private_network and "access-control-request-local-network" in request_headers:
            response.headers["Access-Control-Allow-Local-Network"] = "true"
        return response
