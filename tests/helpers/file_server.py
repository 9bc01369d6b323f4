"""An HTTP server on a free port of this machine that serves files."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def file_server(files: Mapping[str, bytes]) -> Iterator[str]:
    """Serve files by name; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            file = files.get(self.path.strip("/"))
            self.send_response(404 if file is None else 200)
            self.send_header("Content-Length", str(len(file or b"")))
            self.end_headers()
            self.wfile.write(file or b"")

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
