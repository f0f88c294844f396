"""A signing service on loopback HTTP, for tests: twenty lines around a key."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec


class Service:
    """A signing service on loopback, as small as the docs say that one may be."""

    def __init__(self, key: Any) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.status, self.body = 200, b""
        self.delay = 0.0
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["content-length"]))
                service.asked.append((self.path, self.headers["authorization"]))
                time.sleep(service.delay)
                signature = service.body or key.sign(data, ec.ECDSA(hashes.SHA256()))
                self.send_response(service.status)
                self.send_header("content-length", str(len(signature)))
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):
                    self.wfile.write(signature)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/sign"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
