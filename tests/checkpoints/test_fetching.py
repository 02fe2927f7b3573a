"""Checkpoints from the network in several processes: fetched once a node, and a failure ends all of them."""

import socket
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch

from mmgcvit.checkpoints import CheckpointError, fetching, read_checkpoint
from mmgcvit.checkpoints.fetching import download, first_on_each_node, place_in_cache

from ..processes import answers_of


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
    Thread(target=server.serve_forever, daemon=True).start()
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


def test_a_server_that_says_nothing_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(fetching, 'SECONDS_OF_SILENCE', 0.2)
    with socket.create_server(('127.0.0.1', 0)) as silent:
        address = f'http://127.0.0.1:{silent.getsockname()[1]}/x.pth'
        with pytest.raises(CheckpointError, match=r'could not be downloaded \(.*timed out'):
            read_checkpoint(address)
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize('address', ['http://', 'http:///x.pth', 'https://no port:x/y.pth'])
def test_an_address_that_is_none_is_refused_by_a_sentence(address, monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(CheckpointError, match='could not be downloaded'):
        download(address)


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
