"""A server of files on this machine that does what real servers do at their worst."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves ``content`` with ranges, or one of several by the last part of the path if it is a dictionary; ``plans`` holds,
    for one request each, what is different this time."""

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag, self.plans = content, '"one"', []
        self.asked, self.sent = [], 0
        self.url = f"http://127.0.0.1:{self.server_port}/weights/dino.pth"
        self.stalled, self.go_on = threading.Event(), threading.Event()

    def handle_error(self, request, client_address):
        """Clients that go away are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, dict(self.headers)))
        plan = server.plans.pop(0) if server.plans else {}
        content = server.content
        if isinstance(content, dict):
            content = content.get(self.path.partition("?")[0].rpartition("/")[2])
            plan = plan if content is not None else {"status": 404, "body": b"no such file"}
        body, status, start = plan.get("body", content), plan.get("status", 200), 0
        headers = {"ETag": server.etag} if server.etag else {}
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if asked and status == 200 and plan.get("ranges", True) and condition in (None, server.etag):
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            if start >= len(body):
                status, body, start = 416, b"", 0
            else:
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        headers["Content-Length"] = str(plan.get("length", len(body) - start))
        self.send_response(status)
        for name, value in (headers | plan.get("headers", {})).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        part = body[start : plan.get("cut")]
        self.wfile.write(part)
        server.sent += len(part)
        if plan.get("stall"):
            self.wfile.flush()
            server.stalled.set()
            server.go_on.wait(20)
            self.wfile.write(body[plan["cut"] :])
        self.close_connection = True
