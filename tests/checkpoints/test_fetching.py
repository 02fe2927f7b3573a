"""Checkpoints from the network in several processes: fetched once a node, and a failure ends all of them."""

import os
import socket
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch

from mmgcvit.checkpoints import CheckpointError, fetching, read_checkpoint
from mmgcvit.checkpoints.fetching import first_on_each_node, place_in_cache
from mmgcvit.checkpoints.wholeness import beside, sha256

from ..processes import answers_of
from .hostile import RunsACommand


@pytest.fixture
def served(tmp_path):
    """A folder, the address at which this machine serves it, and what was asked for so far."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

    folder = tmp_path / 'served'
    folder.mkdir()
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Handler, directory=str(folder)))
    Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()
    yield folder, f'http://127.0.0.1:{server.server_port}', asked
    server.shutdown()
    server.server_close()


def read(address):
    """What a process has read, or why it has not."""
    try:
        return sorted(read_checkpoint(address))
    except CheckpointError as error:
        return str(error)


def read_in_two_processes(address, local_ranks, caches):
    """The answers of two processes with these ranks on their nodes and caches."""
    environments = [
        {'LOCAL_RANK': str(local_rank), 'TORCH_HOME': str(cache)}
        for local_rank, cache in zip(local_ranks, caches, strict=True)
    ]
    return answers_of(read, [(address,)] * 2, environments)


@pytest.mark.slow
class TestTwoProcesses:
    def test_of_one_node_fetch_once(self, served, tmp_path):
        folder, address, asked = served
        torch.save({'a': torch.zeros(2)}, folder / 'x.pth')
        answers = read_in_two_processes(f'{address}/x.pth', (0, 1), [tmp_path / 'cache'] * 2)
        assert answers == [['a'], ['a']]
        assert asked == ['/x.pth']

    def test_neither_waits_where_the_first_cannot_download(self, served, tmp_path):
        _, address, asked = served
        answers = read_in_two_processes(f'{address}/x.pth', (0, 1), [tmp_path / 'cache'] * 2)
        assert all('x.pth could not be downloaded (HTTP Error 404' in answer for answer in answers)
        assert asked == ['/x.pth']

    def test_of_two_nodes_both_hear_of_the_one_that_cannot_download(self, served, tmp_path, monkeypatch):
        """Node 0 has the file already, node 1 has no folder to put it into."""
        _, address, _ = served
        cache, broken = tmp_path / 'cache', tmp_path / 'broken'
        broken.write_text('a file where a folder belongs')
        monkeypatch.setenv('TORCH_HOME', str(cache))
        path = place_in_cache(f'{address}/x.pth')
        path.parent.mkdir(parents=True)
        torch.save({'a': torch.zeros(2)}, path)
        answers = read_in_two_processes(f'{address}/x.pth', (0, 0), [cache, broken])
        assert all('x.pth could not be downloaded ([Errno' in answer for answer in answers)


class Server:
    """Serves one content at ``/x.pth``, and is told how well.

    Attributes:
        content: What it serves.
        etag: The version of it.
        cut: After how many bytes of it the next answers end, first to last.
        asked: From which byte on it was asked, by each request.
        encodings: Which encodings each request allowed.
    """

    def __init__(self, content):
        self.content, self.etag, self.cut, self.asked, self.encodings = content, '"1"', [], [], []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                start = int(self.headers.get('Range', 'bytes=0-')[6:-1])
                server.asked.append(start)
                server.encodings.append(self.headers['Accept-Encoding'])
                if start and self.headers['If-Range'] != server.etag:
                    start = 0
                if start and start >= len(server.content):
                    self.send_error(416)
                    return
                rest = server.content[start:]
                self.send_response(206 if start else 200)
                if start:
                    self.send_header('Content-Range', f'bytes {start}-{len(server.content) - 1}/{len(server.content)}')
                if server.etag:
                    self.send_header('ETag', server.etag)
                self.send_header('Content-Length', len(rest))
                self.end_headers()
                self.wfile.write(rest[: server.cut.pop(0)] if server.cut else rest)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.address = f'http://127.0.0.1:{self.server.server_port}/x.pth'


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves a checkpoint of 400 KB."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    torch.save({'a': torch.arange(100_000.0)}, tmp_path / 'x.pth')
    served = Server((tmp_path / 'x.pth').read_bytes())
    Thread(target=served.server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()
    yield served
    served.server.shutdown()
    served.server.server_close()


def fetched(address):
    return torch.equal(read_checkpoint(address)['a'], torch.arange(100_000.0))


def cached(address):
    """The names in the cache, without what they begin with."""
    place = place_in_cache(address)
    return sorted(path.name.removeprefix(place.name) for path in place.parent.glob('*') if path.suffix != '.lock')


class TestTransfers:
    def test_a_file_is_fetched_once_and_its_digest_recorded(self, server):
        assert fetched(server.address)
        assert fetched(server.address)
        assert server.asked == [0]
        assert server.encodings == ['identity'], 'what comes is as long as was promised'
        assert cached(server.address) == ['', '.sha256']

    def test_one_that_breaks_off_goes_on_where_it_ended(self, server):
        server.cut = [100_000, 200_000]
        assert fetched(server.address)
        assert server.asked == [0, 100_000, 300_000]

    def test_one_that_was_killed_goes_on_in_the_next_call(self, server):
        server.cut = [100_000, 0]
        with pytest.raises(CheckpointError, match=r'could not be downloaded \(100,000 of 401,\d+ bytes came'):
            fetched(server.address)
        assert cached(server.address) == ['.part', '.part.tag']
        assert fetched(server.address)
        assert server.asked == [0, 100_000, 100_000]

    def test_one_that_was_complete_when_it_was_killed_is_fetched_again(self, server):
        part = place_in_cache(server.address)
        part.parent.mkdir(parents=True)
        part.with_name(f'{part.name}.part').write_bytes(server.content)
        part.with_name(f'{part.name}.part.tag').write_text(server.etag)
        assert fetched(server.address)

    def test_another_version_on_the_server_is_begun_anew(self, server):
        server.cut = [100_000, 0]
        with pytest.raises(CheckpointError):
            fetched(server.address)
        server.etag = '"2"'
        assert fetched(server.address)

    def test_a_server_without_versions_begins_anew(self, server):
        server.etag = ''
        server.cut = [100_000, 200_000]
        assert fetched(server.address)
        assert server.asked == [0, 0, 0]

    @pytest.mark.parametrize('etag', ['"1"', ''], ids=['version', 'no version'])
    def test_a_file_that_is_too_large_is_refused_before_it_comes(self, server, monkeypatch, etag):
        server.etag = etag
        monkeypatch.setattr(fetching, 'LARGEST_FILE', 300_000)
        with pytest.raises(CheckpointError, match='larger than 300,000 bytes'):
            fetched(server.address)
        assert cached(server.address) == []

    def test_a_transfer_that_takes_too_long_is_given_up(self, server, monkeypatch):
        monkeypatch.setattr(fetching, 'SECONDS_IN_ALL', -1)
        with pytest.raises(CheckpointError, match='the next call goes on from there'):
            fetched(server.address)


class TestContents:
    @pytest.mark.parametrize(
        'content', [b'<!DOCTYPE html><html>Please log in</html>', b'', b'{"error": 1}', b'PK\x03\x04x']
    )
    def test_what_is_no_checkpoint_is_thrown_away(self, server, content):
        whole, server.content = server.content, content
        with pytest.raises(CheckpointError, match='gave no whole checkpoint; it was thrown away'):
            fetched(server.address)
        assert cached(server.address) == []
        server.content = whole
        assert fetched(server.address)

    def test_a_checkpoint_that_is_refused_is_kept(self, server, tmp_path):
        """Fetching it again is no help, and its user may trust it."""
        torch.save({'a': RunsACommand(tmp_path / 'ran')}, tmp_path / 'y.pth')
        server.content = (tmp_path / 'y.pth').read_bytes()
        for _ in range(2):
            with pytest.raises(CheckpointError, match='could run code'):
                read_checkpoint(server.address)
        assert server.asked == [0]
        assert not (tmp_path / 'ran').exists()

    def test_a_file_that_changed_in_the_cache_is_fetched_again(self, server):
        assert fetched(server.address)
        place = place_in_cache(server.address)
        os.truncate(place, 1000)
        assert fetched(server.address)

    def test_a_file_that_changed_on_the_server_is_told(self, server, tmp_path):
        assert fetched(server.address)
        place_in_cache(server.address).unlink()
        torch.save({'a': torch.zeros(1)}, tmp_path / 'y.pth')
        server.content = (tmp_path / 'y.pth').read_bytes()
        with pytest.raises(CheckpointError, match=r'gave another file \(SHA-256 .* than the first time .* remove '):
            read_checkpoint(server.address)
        assert cached(server.address) == ['.sha256']

    def test_a_file_in_the_cache_from_before_digests_is_looked_at_and_recorded(self, server):
        place = place_in_cache(server.address)
        place.parent.mkdir(parents=True)
        place.write_bytes(server.content)
        assert fetched(server.address)
        assert server.asked == []
        place.write_bytes(b'a login page')
        beside(place).unlink()
        with pytest.raises(CheckpointError, match='thrown away'):
            fetched(server.address)
        assert fetched(server.address)


class TestDigestInTheAddress:
    def test_the_right_one_is_fetched(self, server, tmp_path):
        digest = sha256(tmp_path / 'x.pth')
        for _ in range(2):
            assert fetched(f'{server.address}#sha256={digest.upper()}')
        assert server.asked == [0]

    def test_another_file_is_thrown_away(self, server):
        with pytest.raises(CheckpointError, match=f'instead of {"0" * 64}'):
            fetched(f'{server.address}#sha256={"0" * 64}')
        assert cached(server.address) == []

    @pytest.mark.parametrize('fragment', ['sha256=12', 'md5=1', 'sha256=' + 'g' * 64])
    def test_what_is_no_digest_is_refused(self, server, fragment):
        with pytest.raises(CheckpointError, match='after # belongs sha256='):
            fetched(f'{server.address}#{fragment}')


def test_a_server_that_says_nothing_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(fetching, 'SECONDS_OF_SILENCE', 0.2)
    with socket.create_server(('127.0.0.1', 0)) as silent:
        address = f'http://127.0.0.1:{silent.getsockname()[1]}/x.pth'
        with pytest.raises(CheckpointError, match=r'could not be downloaded \(.*timed out'):
            read_checkpoint(address)


@pytest.mark.parametrize('address', ['http://', 'http:///x.pth', 'https://no port:x/y.pth', 'http://127.0.0.1:9/..'])
def test_an_address_that_is_none_is_refused_by_a_sentence(address, monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(CheckpointError, match='could not be downloaded'):
        read_checkpoint(address)


class TestTurns:
    """Who calls the function when, with the other processes' answers put in."""

    @pytest.fixture
    def group(self, monkeypatch):
        """Takes this process's local rank, and what the others' errors are in the first and the second turn."""

        def join(local_rank, *others):
            answers = iter(others)
            monkeypatch.setenv('LOCAL_RANK', str(local_rank))
            monkeypatch.setattr(fetching, 'is_distributed', lambda: True)
            monkeypatch.setattr(fetching, 'all_gather_object', lambda error: [error, next(answers)])

        return join

    def test_a_process_that_is_not_the_first_fetches_after_it(self, group):
        group(1, None, None)
        assert first_on_each_node(lambda: 'from the cache') == 'from the cache'

    def test_after_a_failure_of_the_first_the_others_do_not_try(self, group):
        group(1, 'no network')
        with pytest.raises(CheckpointError, match='no network'):
            first_on_each_node(lambda: pytest.fail('it tried'))

    def test_the_first_hears_of_a_failure_of_the_others(self, group):
        group(0, None, 'full disk')
        with pytest.raises(CheckpointError, match='full disk'):
            first_on_each_node(lambda: 'fetched')
