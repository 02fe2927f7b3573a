"""Download files from URLs, and go on where a connection broke."""

import time
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from string import punctuation
from typing import IO

from ..errors import UserError

MAX_SILENCE = 60  # in seconds, of a server
MAX_RESUMES = 20  # of a download; each needs at least a byte more than the one before


@dataclass(frozen=True)
class Limits:
    """Limits of a download."""

    max_seconds: float
    max_bytes: int
    deadline: float  # of ``time.monotonic``

    def check(self, num_bytes: int) -> None:
        """Raise a UserError if a download has more bytes or takes longer."""
        if num_bytes > self.max_bytes or time.monotonic() > self.deadline:
            raise UserError(
                f'over {self.max_bytes >> 20} MB or {self.max_seconds} s. Download it, and pass its '
                'path'
            )


def download(url: str, file: IO[bytes], *, max_seconds: float, max_bytes: int) -> None:
    """Download a URL into an open, empty file.

    Where the connection breaks, the download goes on from there, if the server names a version of
    its content (by an ETag or a time), so that the parts are of one version.

    Raise a UserError if it takes longer, has more bytes, or ends early, and the errors of
    ``urlopen`` for others, also if the server does not answer for :data:`MAX_SILENCE` seconds.
    """
    # Imported here, because most commands download nothing.
    from urllib.parse import quote
    from urllib.request import Request, urlopen

    limits = Limits(max_seconds, max_bytes, time.monotonic() + max_seconds)
    timeout = min(MAX_SILENCE, max_seconds)
    request = Request(quote(url, safe=punctuation), headers={'User-Agent': 'mmgcvit'})
    num_resumes = 0
    while True:
        begin = file.tell()
        broken = None
        with urlopen(request, timeout=timeout) as response:
            begin = seek_begin(file, begin, response)
            try:
                copy_response(response, file, limits)
            except (OSError, HTTPException) as error:
                broken = error
        length = response.headers.get('Content-Length')
        expected = begin + int(length) if length else None
        if broken is None and expected in {None, file.tell()}:
            file.flush()
            return

        version = get_version(response.headers)
        can_resume = version and file.tell() > begin and num_resumes < MAX_RESUMES
        if not can_resume:
            raise broken or UserError(f'the server sent {file.tell()} of {expected} bytes')
        num_resumes += 1
        request.add_header('Range', f'bytes={file.tell()}-')
        request.add_header('If-Range', version)


def seek_begin(file: IO[bytes], begin: int, response: HTTPResponse) -> int:
    """Return the position at which a response begins, and let the file go on there.

    A server that has another version by now, or cannot send parts, sends all.
    """
    if begin and response.status != 206:
        file.seek(0)
        file.truncate()
        return 0
    part = response.headers.get('Content-Range', '')
    if begin and not part.startswith(f'bytes {begin}-'):
        raise UserError(f'the server sent another part ({part}) than that from byte {begin} on')
    return begin


def copy_response(response: HTTPResponse, file: IO[bytes], limits: Limits) -> None:
    """Copy what a server sends until it ends, breaks, or is beyond a limit."""
    while chunk := response.read1(1 << 16):
        file.write(chunk)
        limits.check(file.tell())


def get_version(headers: Message) -> str:
    """Return what names the version of a server's content in ``If-Range``, or ''.

    A weak ETag names contents that are not equal byte by byte.
    """
    etag = headers.get('ETag', '')
    if etag and not etag.startswith('W/'):
        return etag
    return headers.get('Last-Modified', '')
