"""A server of the tests, running."""

import contextlib
import threading


@contextlib.contextmanager
def serving(server):
    """Let a server answer in a thread of its own while the block runs; answers it holds back go on at the end."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join()
