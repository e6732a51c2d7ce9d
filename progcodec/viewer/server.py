"""One page, on this machine only."""

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
PORT = 8000
PATIENCE = 30.0
"""Seconds after which a client that says nothing is dropped, and its thread with it."""
NAMES = (HOST, "localhost")
"""What a browser may call this machine: another name is a site's that points here."""


class PageServer(ThreadingHTTPServer):
    """Serves one HTML page at ``/`` until :meth:`shutdown`, or until ``serve_forever`` is
    interrupted.

    Args:
        page: what is served until :meth:`show` gives another.
        port: 0 takes any that is free. None: :data:`PORT` if it is free, or else any.
    Raises OSError if the port is taken.
    """

    daemon_threads = True

    def __init__(self, page: str, port: int | None = None) -> None:
        self.show(page)
        try:
            super().__init__((HOST, PORT if port is None else port), _Handler)
        except OSError:
            if port is not None:
                raise
            super().__init__((HOST, 0), _Handler)

    def show(self, page: str) -> None:
        """From now on, serve this page."""
        self.page = page.encode()

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    timeout = PATIENCE
    server_version = "progcodec"
    sys_version = ""

    def do_GET(self) -> None:
        if (self.headers.get("Host") or "").partition(":")[0] not in NAMES:
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path.partition("?")[0] != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(self.server.page)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(self.server.page)

    do_HEAD = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """A viewer has no use for a log."""
