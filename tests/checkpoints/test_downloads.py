"""Checkpoints from the network: fetched once a node, whole, the same every time; a failure ends all processes."""

import errno
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import huggingface_hub
import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.checkpoints import CheckpointError, downloads, read_checkpoint
from mmgcvit.checkpoints.downloads import first_on_each_node, place_in_cache
from mmgcvit.checkpoints.integrity import beside, sha256

from ..models.contract.backbones import GCVIT
from ..processes import answers_of
from .conftest import RunsACommand


class Server:
    """Serves one content at ``/x.pth``, and is told how well.

    Attributes:
        content: What it serves.
        cut: After how many bytes of it an answer ends.
        asked: The paths that were asked for, and which encodings were allowed.
    """

    def __init__(self, content):
        self.content, self.cut, self.asked = content, None, []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append((self.path, self.headers['Accept-Encoding']))
                if self.path != '/x.pth':
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header('Content-Length', len(server.content))
                self.end_headers()
                self.wfile.write(server.content[: server.cut])

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


def refusal(address):
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(address)
    return str(error.value)


def cached(address):
    """The names in the cache, without what they begin with."""
    place = place_in_cache(address)
    return sorted(path.name.removeprefix(place.name) for path in place.parent.glob('*') if path.suffix != '.lock')


def test_a_file_is_fetched_once_and_its_digest_recorded(server):
    assert fetched(server.address)
    assert fetched(server.address)
    assert server.asked == [('/x.pth', 'identity')], 'what comes is as long as was promised'
    assert cached(server.address) == ['', '.sha256']


def test_one_that_breaks_off_or_is_not_there_leaves_nothing_and_is_told(server):
    server.cut = 100_000
    assert 'could not be downloaded (100,000 of 40' in refusal(server.address)
    assert cached(server.address) == []
    missing = server.address.replace('x.pth', 'y.pth')
    assert 'y.pth could not be downloaded (HTTP Error 404' in refusal(missing)
    assert refusal(missing).endswith('name the file instead')
    server.cut = None
    assert fetched(server.address)


def test_what_is_no_checkpoint_is_thrown_away(server):
    whole = server.content
    for content in (b'<!DOCTYPE html><html>Please log in</html>', b'', b'{"error": 1}', b'PK\x03\x04x'):
        server.content = content
        assert 'gave no whole checkpoint; it was thrown away' in refusal(server.address)
        assert cached(server.address) == []
    server.content = whole
    assert fetched(server.address)


def test_a_checkpoint_that_is_refused_is_kept(server, tmp_path):
    """Fetching it again is no help, and its user may trust it."""
    torch.save(RunsACommand(tmp_path / 'ran'), tmp_path / 'y.pth')
    server.content = (tmp_path / 'y.pth').read_bytes()
    for _ in range(2):
        assert 'could run code' in refusal(server.address)
    assert len(server.asked) == 1
    assert not (tmp_path / 'ran').exists()


def test_a_file_that_changed_in_the_cache_is_fetched_again(server):
    assert fetched(server.address)
    place = place_in_cache(server.address)
    os.truncate(place, 1000)
    assert fetched(server.address)
    beside(place).unlink()
    place.write_bytes(b'a login page')
    assert fetched(server.address)
    assert len(server.asked) == 3


def test_what_torch_hub_or_mmengine_has_fetched_is_taken_by_a_digest_or_where_nothing_else_is_to_be_had(
    server, tmp_path
):
    digest = sha256(tmp_path / 'x.pth')
    for name, named_digest in ((f'x-{digest[:8]}.pth', ''), ('x.pth', f'#sha256={digest}')):
        address = server.address.replace('x.pth', name)
        plain = place_in_cache(address).with_name(name)
        plain.parent.mkdir(parents=True, exist_ok=True)
        plain.write_bytes(server.content)
        assert fetched(address + named_digest)
        assert not server.asked
        assert not place_in_cache(address).exists(), 'nothing is written'
    torch.save({'a': torch.zeros(1)}, plain)
    assert fetched(f'{server.address}#sha256={digest}'), 'a file of the same name'
    place_in_cache(server.address).unlink()
    assert fetched(server.address), 'nor is it the one of the first time'
    for path in (place_in_cache(server.address), beside(place_in_cache(server.address))):
        path.unlink()
    assert fetched(server.address), "it may be another address's"
    assert len(server.asked) == 3
    other = server.address.replace('x.pth', 'x-01234567.pth')
    plain.with_name('x-01234567.pth').write_bytes(server.content)
    assert 'HTTP Error 404' in refusal(other)
    missing = server.address.replace('x.pth', 'y.pth')
    plain.with_name('y.pth').write_bytes(server.content[:-9])
    assert 'HTTP Error 404' in refusal(missing), 'a torn one'
    plain.with_name('y.pth').write_bytes(server.content)
    assert fetched(missing), 'no other is to be had'
    assert 'HTTP Error 404' in refusal(f'{missing}#sha256={"0" * 64}')


def test_where_nothing_locks_all_may_fetch_at_once_and_each_reads_a_whole_file(server, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr('fcntl.flock', refuse)
    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(fetched, [server.address] * 8))
        assert cached(server.address) == ['', '.sha256']
        place_in_cache(server.address).unlink()


def test_a_file_that_changed_on_the_server_is_told(server, tmp_path):
    assert fetched(server.address)
    place_in_cache(server.address).unlink()
    torch.save({'a': torch.zeros(1)}, tmp_path / 'y.pth')
    server.content = (tmp_path / 'y.pth').read_bytes()
    message = refusal(server.address)
    assert 'gave another file (SHA-256 ' in message
    assert f'remove {beside(place_in_cache(server.address))}' in message
    assert cached(server.address) == ['.sha256']


def test_a_digest_in_the_address_is_that_of_the_file(server, tmp_path):
    digest = sha256(tmp_path / 'x.pth')
    for _ in range(2):
        assert fetched(f'{server.address}#sha256={digest.upper()}')
    assert len(server.asked) == 1
    assert f'instead of {"0" * 64}' in refusal(f'{server.address}#sha256={"0" * 64}')
    for fragment in ('sha256=12', 'md5=1', 'sha256=' + 'g' * 64):
        assert 'after # belongs sha256=' in refusal(f'{server.address}#{fragment}')


def test_a_server_that_says_nothing_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(downloads, 'SECONDS_OF_SILENCE', 0.2)
    with socket.create_server(('127.0.0.1', 0)) as silent:
        message = refusal(f'http://127.0.0.1:{silent.getsockname()[1]}/x.pth')
    assert 'could not be downloaded (' in message
    assert 'timed out' in message


def test_an_address_that_is_none_is_refused_by_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    for address in ('http://', 'http:///x.pth', 'https://no port:x/y.pth', 'http://127.0.0.1:9/..'):
        assert 'could not be downloaded' in refusal(address)


def answer(address):
    """What a process has read, or why it has not."""
    try:
        return sorted(read_checkpoint(address))
    except CheckpointError as error:
        return str(error)


@pytest.mark.long
def test_two_processes_of_one_node_fetch_once_and_of_two_both_hear_of_a_failure(server, tmp_path):
    cache, broken = str(tmp_path / 'cache'), str(tmp_path / 'broken')
    (tmp_path / 'broken').write_text('a file where a folder belongs')
    of_one_node = [{'LOCAL_RANK': rank, 'TORCH_HOME': cache} for rank in '01']
    assert answers_of(answer, [(server.address,)] * 2, of_one_node) == [['a'], ['a']]
    assert len(server.asked) == 1
    of_two_nodes = [{'LOCAL_RANK': '0', 'TORCH_HOME': place} for place in (cache, broken)]
    answers = answers_of(answer, [(server.address,)] * 2, of_two_nodes)
    assert all('x.pth could not be downloaded ([Errno' in answer for answer in answers)


def test_a_process_that_is_not_the_first_of_its_node_fetches_after_it_and_all_hear_of_a_failure(monkeypatch):
    """With the others' errors of the first and the second turn put in."""
    monkeypatch.setattr(downloads, 'is_distributed', lambda: True)
    for rank, others, fetches, said in (
        ('1', (None, None), 1, None),
        ('1', ('no network',), 0, 'no network'),
        ('0', (None, 'full disk'), 1, 'full disk'),
    ):
        answers, fetched = iter([text and CheckpointError(text) for text in others]), []
        monkeypatch.setenv('LOCAL_RANK', rank)
        gathered = 'mmgcvit.hosts.mmengine.all_gather_object'
        monkeypatch.setattr(gathered, lambda error, answers=answers: [error, next(answers)])
        with nullcontext() if said is None else pytest.raises(CheckpointError, match=said):
            first_on_each_node(lambda fetched=fetched: fetched.append(1))
        assert len(fetched) == fetches


class TestHub:
    """Folders on the Hugging Face Hub; a stand-in gives what huggingface_hub would, as tests ask no network."""

    @pytest.fixture
    def on_hub(self, tmp_path, monkeypatch):
        """A backbone on the Hub, and what was asked for."""
        built = GCViT(GCVIT, window_size=5)
        built.save_pretrained(tmp_path / 'snapshot')
        asked = []

        def snapshot_download(repo_id, **options):
            asked.append((repo_id, options))
            return str(tmp_path / 'snapshot')

        monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot_download)
        monkeypatch.chdir(tmp_path)
        return built, asked

    def test_a_name_is_fetched_as_one_commit_and_loaded(self, on_hub):
        built, asked = on_hub
        patterns = ['config.json', 'model.safetensors', 'model.safetensors.sha256']
        for revision in (None, 'v1.0'):
            loaded = GCViT.from_pretrained('someone/gcvit-small', revision=revision)
            assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in built.state_dict().items())
            assert loaded.constructor_arguments() == built.constructor_arguments()
            assert asked.pop() == ('someone/gcvit-small', {'revision': revision, 'allow_patterns': patterns})

    def test_a_folder_that_is_here_goes_before_the_hub(self, on_hub):
        GCViT({**GCVIT, 'embed_dims': 8}).save_pretrained('someone/here')
        assert GCViT.from_pretrained('someone/here').stage_dims[0] == 8
        assert on_hub[1] == []

    def test_what_is_no_name_on_the_hub_is_not_asked_for(self, on_hub):
        for source in ('work_dirs/epoch_1.pth', '/a/b', 'a/b/c', 'a/b.safetensors', 'b', 'timm://a/b'):
            with pytest.raises(CheckpointError):
                GCViT.from_pretrained(source)
            with pytest.raises(CheckpointError, match='is no name on the Hugging Face Hub, OWNER/NAME; leave revision'):
                GCViT.from_pretrained(source, revision='main')
        assert on_hub[1] == []

    def test_what_the_hub_refuses_or_is_missing_is_a_sentence(self, monkeypatch):
        def snapshot_download(*args, **options):
            raise OSError('401 Client Error.\nRepository Not Found for url')

        monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot_download)
        with pytest.raises(CheckpointError) as refusal:
            GCViT.from_pretrained('work_dirs/mistyped')
        assert str(refusal.value) == (
            'there is no file or folder work_dirs/mistyped, and the Hugging Face Hub gave none: 401 Client Error.'
        )
        monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
        with pytest.raises(CheckpointError, match=r"pip install huggingface_hub', or mmgcvit\[hub\]"):
            GCViT.from_pretrained('someone/gcvit-small')
