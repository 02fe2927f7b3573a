"""The download of a picture ends whatever the server does."""

from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Event, Thread

import pytest

from mmgcvit.errors import UserError
from mmgcvit.predict import inputs


def respond(handler, behaviour, ended):
    """Send nothing, little at a time, too much, or less than is announced."""
    if behaviour == 'silent':
        ended.wait(60)
        return
    handler.send_response(200)
    if behaviour == 'short':
        handler.send_header('Content-Length', '1000')
    handler.end_headers()
    size = 1 << 16 if behaviour == 'endless' else 10
    with suppress(OSError):
        for _ in range(1000):  # so a download without limits ends too
            handler.wfile.write(b'x' * size)
            if behaviour == 'short' or ended.wait(0.05 if behaviour == 'slow' else 0):
                return


@pytest.mark.parametrize(
    ('behaviour', 'reason'),
    [
        ('silent', 'timed out'),
        ('slow', 'over 1 MB or 0.5 s|timed out'),
        ('endless', 'over 1 MB or 0.5 s'),
        ('short', 'the server sent 10 of 1000 bytes'),
    ],
)
def test_a_download_ends_whatever_the_server_does(behaviour, reason, monkeypatch):
    monkeypatch.setattr(inputs, 'MAX_SECONDS', 0.5)
    monkeypatch.setattr(inputs, 'MAX_BYTES', 1 << 20)
    ended = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            respond(self, behaviour, ended)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()
        with pytest.raises((UserError, OSError), match=reason):
            inputs.download(f'http://127.0.0.1:{server.server_port}/x.png', BytesIO())
        ended.set()
        server.shutdown()
