"""The page, and one model behind it, to be reached from this machine only."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ..engine.processes import LOOPBACK
from ..errors import UserError
from .model import LONGEST_SIDE, MOST_BYTES, ServedModel

PAGE = Path(__file__).parent / 'page'
INDEX = 'index.html'
# What the page reads first: its mode, its models and its sample pictures.
CATALOGUE = 'models.json'
CONTENT_TYPES = {
    '.html': 'text/html; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
}
PREDICT = 'predict'
# Seconds that a connection may stand still, in the middle of a picture too.
PATIENCE = 30
# Pictures that are in memory as files, one of them at work; the other connections keep theirs.
PICTURES_AT_HAND = 4
# By names of others a page of another place could reach this one (DNS rebinding).
OWN_NAMES = (LOOPBACK, 'localhost')
HEADERS = {
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cache-Control': 'no-store',
}


def page_files() -> dict[str, Path]:
    """The page's own files, as the package brings them, by their names."""
    return {path.name: path for path in sorted(PAGE.iterdir()) if path.suffix in CONTENT_TYPES}


class RequestError(Exception):
    """A request that is not answered: a status of HTTP, and why, for a person."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class PageServer(ThreadingHTTPServer):
    """Serves the page on the loopback interface, at a port that is had or an OSError; 0 for any that is free."""

    daemon_threads = True
    # Connections that the system keeps until they are taken, of pages that send many pictures at once.
    request_queue_size = 128

    def __init__(self, port: int, model: ServedModel) -> None:
        self.model = model
        self.turns = threading.BoundedSemaphore(PICTURES_AT_HAND)
        # One thread for all pictures: each keeps hundreds of megabytes of what it has worked with.
        self.worker = ThreadPoolExecutor(1)
        self.files = {name: path.read_bytes() for name, path in page_files().items()}
        super().__init__((LOOPBACK, port), Handler)

    @property
    def address(self) -> str:
        """What one opens."""
        return f'http://{LOOPBACK}:{self.server_port}/'

    @cached_property
    def hosts(self) -> set[str]:
        """The values of the header Host that mean this server."""
        named = {f'{name}:{self.server_port}' for name in OWN_NAMES}
        # Browsers leave out the port that is the protocol's own.
        return named | set(OWN_NAMES) if self.server_port == 80 else named

    def server_close(self) -> None:
        """Close, without working at what was asked before."""
        super().server_close()
        self.worker.shutdown(wait=False, cancel_futures=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: connections end as browsers like, and other errors are answered."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: PageServer
    server_version = 'mmgcvit'
    sys_version = ''
    protocol_version = 'HTTP/1.1'
    timeout = PATIENCE

    def do_GET(self) -> None:
        self.answered(self.page_file)

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        self.answered(self.prediction)

    def answered(self, work: Any) -> None:
        """Send what the work gives, or why there is nothing."""
        try:
            self.check_origin()
            self.send(HTTPStatus.OK, *work())
            return
        except RequestError as refusal:
            status, sentence = refusal.status, str(refusal)
        # Of the connection: nobody is there to be answered.
        except OSError:
            raise
        # The program goes on serving, and the page says what happened.
        except Exception as error:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            sentence = f'The program failed at this picture: {type(error).__name__}: {error}'
        # What of the request was not read would be taken for the next one.
        self.close_connection = True
        self.send(status, sentence.encode(), 'text/plain; charset=utf-8')

    def check_origin(self) -> None:
        """Refuse a request that is meant for another name, or comes from a page of another place."""
        if self.headers.get('Host') not in self.server.hosts:
            raise RequestError(HTTPStatus.MISDIRECTED_REQUEST, f'This server is {self.server.address} and no other.')
        origin = self.headers.get('Origin')
        if origin is not None and origin.removeprefix('http://') not in self.server.hosts:
            raise RequestError(HTTPStatus.FORBIDDEN, f'Only the page {self.server.address} may ask this server.')

    def page_file(self) -> tuple[bytes, str]:
        """A file of the page, or its catalogue, and its content type."""
        name = self.path.partition('?')[0].removeprefix('/') or INDEX
        if name == CATALOGUE:
            return as_json(self.server.model.catalogue)
        if name not in self.server.files:
            raise RequestError(HTTPStatus.NOT_FOUND, f'There is no such page here; open {self.server.address}')
        return self.server.files[name], CONTENT_TYPES[Path(name).suffix]

    def prediction(self) -> tuple[bytes, str]:
        """What is found in the picture that the request brings, and its content type."""
        if self.path != f'/{PREDICT}':
            raise RequestError(HTTPStatus.NOT_FOUND, f'Pictures go to {self.server.address}{PREDICT}')
        length = self.announced_length()
        try:
            with self.server.turns:
                content = self.rfile.read(length)
                return as_json(self.server.worker.submit(self.server.model.answer, content).result())
        except UserError as error:
            raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None

    def announced_length(self) -> int:
        """How many bytes the picture has."""
        digits = re.fullmatch(r'0*(\d*)', self.headers.get('Content-Length') or 'none', re.ASCII)
        if digits is None:
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, 'The request does not say how many bytes the picture has.')
        # int() raises an error of its own at thousands of digits.
        length = int(digits[1][: len(str(MOST_BYTES)) + 1] or 0)
        if not length:
            raise RequestError(HTTPStatus.BAD_REQUEST, 'The picture is empty: it has 0 bytes.')
        if length > MOST_BYTES:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f'The picture has more than {MOST_BYTES >> 20} MiB; take one of at most {MOST_BYTES >> 20} MiB and '
                f'{LONGEST_SIDE} pixels a side.',
            )
        return length

    def send(self, status: HTTPStatus, content: bytes, content_type: str) -> None:
        """Send an answer; of HEAD requests without the content."""
        self.send_response(status)
        headers = {**HEADERS, 'Content-Type': content_type, 'Content-Length': str(len(content))}
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header('Connection', 'close')
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing: what somebody looks at is nobody else's matter."""


def as_json(value: Any) -> tuple[bytes, str]:
    """A value as JSON, and its content type."""
    return json.dumps(value, allow_nan=False).encode(), 'application/json'
