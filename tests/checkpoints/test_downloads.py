"""A download goes on where its connection broke, with the same version of the content."""

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.checkpoints.downloads import download
from mmgcvit.errors import UserError

CONTENT = np.random.default_rng(0).bytes(5000)


@dataclass
class Server:
    """What a server does, and the first bytes that it was asked for."""

    breaks: list[int]  # after how many bytes of each response it hangs up
    etag: str = '"1"'
    knows_parts: bool = True
    changes: bool = False  # whether the content is another one after the first response
    asked: list[int] = field(default_factory=list)

    def answer(self, handler):
        begin = int(re.sub(r'\D', '', handler.headers.get('Range', '0')))
        self.asked.append(begin)
        content, etag = CONTENT, self.etag
        if self.changes and len(self.asked) > 1:
            content, etag = CONTENT[::-1], '"2"'
        is_same = handler.headers.get('If-Range', etag) == etag
        if not (begin and self.knows_parts and is_same):
            begin = 0
        handler.send_response(206 if begin else 200)
        handler.send_header('Content-Length', str(len(content) - begin))
        if begin:
            last = len(content) - 1
            handler.send_header('Content-Range', f'bytes {begin}-{last}/{len(content)}')
        if etag:
            handler.send_header('ETag', etag)
        handler.end_headers()
        length = self.breaks.pop(0) if self.breaks else len(content)
        handler.wfile.write(content[begin : begin + length])


@contextmanager
def serve(server):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.answer(self)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as http:
        Thread(target=http.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()
        try:
            yield f'http://127.0.0.1:{http.server_port}/x'
        finally:
            http.shutdown()  # else the thread would ask the closed socket without a pause


def fetch(server):
    file = BytesIO()
    with serve(server) as url:
        download(url, file, max_seconds=60, max_bytes=1 << 20)
    return file.getvalue()


@given(
    breaks=st.lists(st.integers(1, 900), max_size=5),
    knows_parts=st.booleans(),
    changes=st.booleans(),
)
def test_what_arrives_is_one_version_whole_wherever_the_connection_breaks(
    breaks, knows_parts, changes
):
    server = Server([*breaks], knows_parts=knows_parts, changes=changes)
    is_changed = changes and bool(breaks)
    assert fetch(server) == (CONTENT[::-1] if is_changed else CONTENT)
    position = 0
    positions = [0]
    for number, length in enumerate(breaks):
        # Each response without parts begins anew, and the first one with a changed content.
        is_anew = not knows_parts or (changes and number == 1)
        position = length if is_anew else position + length
        positions.append(position)
    assert server.asked == positions


@pytest.mark.parametrize('etag', ['', 'W/"1"'])
def test_a_content_without_a_strong_version_is_not_put_together_from_parts(etag):
    server = Server([1000], etag)
    with pytest.raises(UserError, match='the server sent 1000 of 5000 bytes'):
        fetch(server)
    assert server.asked == [0]


def test_a_server_that_sends_nothing_more_ends_the_download():
    server = Server([1000, 0])
    with pytest.raises(UserError, match='the server sent 1000 of 5000 bytes'):
        fetch(server)
    assert server.asked == [0, 1000]
