"""Downloads: once for all processes of a machine, whole or not at all, without waiting forever for a server."""

import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from threading import Thread

import huggingface_hub
import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.checkpoints import CheckpointError, downloads, read_checkpoint
from mmgcvit.checkpoints.downloads import place_in_cache
from mmgcvit.commands.main import run_command
from mmgcvit.files import sha256

from ..models.contract.backbones import GCVIT

PROCESSES = 4


class Server:
    """Serves one content at every path that ends in ``.pth``.

    Attributes:
        content: What it serves.
        cut: After how many bytes of it an answer ends.
        seconds: How long it takes.
        asked: The paths that were asked for.
    """

    def __init__(self, content):
        self.content, self.cut, self.seconds, self.asked = content, None, 0, []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                if not self.path.endswith('.pth'):
                    self.send_error(404)
                    return
                time.sleep(server.seconds)
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


def refusal(address):
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(address)
    return str(error.value)


def cached(address):
    return sorted(path.name for path in place_in_cache(address).parent.glob('*') if path.suffix != '.lock')


def test_a_file_is_downloaded_once(server):
    for _ in range(2):
        assert torch.equal(read_checkpoint(server.address)['a'], torch.arange(100_000.0))
    assert server.asked == ['/x.pth']
    assert cached(server.address) == [place_in_cache(server.address).name]


def test_two_addresses_with_one_file_name_are_two_files_unless_the_name_has_a_digest(server, tmp_path):
    """As torch.hub names it: a file that torch or mmengine has downloaded is taken."""
    assert place_in_cache('https://a/model.pth') != place_in_cache('https://b/model.pth')
    name = f'x-{sha256(tmp_path / "x.pth")[:8]}.pth'
    place = place_in_cache(server.address.replace('x.pth', name))
    assert place == tmp_path / 'cache' / 'hub' / 'checkpoints' / name
    read_checkpoint(server.address.replace('x.pth', name))
    assert place.is_file()
    assert 'its SHA-256 does not begin with 01234567' in refusal(server.address.replace('x.pth', 'x-01234567.pth'))


def test_what_is_cut_short_or_not_there_or_not_a_checkpoint_leaves_nothing_and_is_told(server):
    whole, server.cut = server.content, 100_000
    assert 'could not be downloaded (100,000 of 40' in refusal(server.address)
    server.cut = None
    for content in (b'<!DOCTYPE html><html>Please log in</html>', b'', b'PK\x03\x04x'):
        server.content = content
        assert 'is not a checkpoint; the download was removed' in refusal(server.address)
    missing = server.address.replace('x.pth', 'y.bin')
    assert 'y.bin could not be downloaded (HTTP Error 404' in refusal(missing)
    assert refusal(missing).endswith('name the file instead')
    assert 'could not be downloaded' in refusal('http:///x.pth')
    assert cached(server.address) == []
    server.content = whole
    assert read_checkpoint(server.address)


def answer(address, timeout, queue):
    """In a process of its own: what it has read, or why it has not."""
    downloads.TIMEOUT_SECONDS = timeout
    try:
        queue.put(sorted(read_checkpoint(address)))
    except CheckpointError as error:
        queue.put(str(error))


def answers(address, timeout=30):
    """What several processes say that ask for one address at once."""
    context = get_context('fork')
    queue = context.Queue()
    processes = [context.Process(target=answer, args=(address, timeout, queue)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    found = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    return found


def test_of_several_processes_one_downloads_while_the_others_wait_without_a_collective(server):
    server.seconds = 0.5
    assert answers(server.address) == [['a']] * PROCESSES
    assert server.asked == ['/x.pth']


def test_a_server_that_stalls_is_given_up_by_every_process(monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with socket.create_server(('127.0.0.1', 0)) as silent:
        found = answers(f'http://127.0.0.1:{silent.getsockname()[1]}/x.pth', timeout=0.2)
    assert all('could not be downloaded (' in said and 'timed out' in said for said in found)


def test_a_cache_that_cannot_be_written_serves_what_is_in_it(server, monkeypatch):
    place = place_in_cache(server.address)
    place.parent.mkdir(parents=True)
    place.write_bytes(server.content)
    monkeypatch.setattr(downloads, 'FileLock', None)
    assert read_checkpoint(server.address)
    assert server.asked == []


class TestFetch:
    """``mmgcvit fetch`` downloads ahead what configs name."""

    def test_every_init_cfg_and_load_from_is_fetched_once_and_then_found_without_a_network(
        self, server, tmp_path, capsys
    ):
        config, other, here = tmp_path / 'config.py', server.address.replace('x.pth', 'y.pth'), tmp_path / 'here.pth'
        here.write_bytes(server.content)
        pretrained = f"dict(type='Pretrained', checkpoint={server.address!r})"
        config.write_text(
            f'model = dict(backbone=dict(init_cfg={pretrained}))\n'
            f"model['heads'] = [dict(init_cfg=[dict(type='Normal'), {pretrained}])]\n"
            f"model['neck'] = dict(init_cfg=dict(type='Pretrained', checkpoint={str(here)!r}))\n"
            f'load_from = {other!r}\n'
        )
        run_command('fetch', [config, config])
        places = {other: place_in_cache(other), server.address: place_in_cache(server.address), here: here}
        assert {*capsys.readouterr().out.splitlines()} == {f'{source}: {place}' for source, place in places.items()}
        assert sorted(server.asked) == ['/x.pth', '/y.pth']
        server.asked.clear()
        assert read_checkpoint(server.address)
        assert server.asked == []

    def test_what_is_not_there_is_a_sentence(self, server, tmp_path):
        (tmp_path / 'config.py').write_text(f'load_from = {server.address.replace("x.pth", "none")!r}')
        with pytest.raises(SystemExit, match=r'^fetch: http\S*/none could not be downloaded \(HTTP Error 404'):
            run_command('fetch', [tmp_path / 'config.py'])
        (tmp_path / 'config.py').write_text("load_from = 'nowhere.pth'")
        with pytest.raises(SystemExit, match=r'^fetch: there is no checkpoint nowhere\.pth'):
            run_command('fetch', [tmp_path / 'config.py'])


class TestHub:
    """Folders on the Hugging Face Hub; a stand-in gives what huggingface_hub would, as tests ask no network."""

    @pytest.fixture
    def on_hub(self, tmp_path, monkeypatch):
        """A backbone on the Hub, and what was asked for."""
        built, asked = GCViT(GCVIT, window_size=5), []
        built.save_pretrained(tmp_path / 'snapshot')

        def snapshot_download(repo_id, **options):
            asked.append((repo_id, options))
            return str(tmp_path / 'snapshot')

        monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot_download)
        monkeypatch.chdir(tmp_path)
        return built, asked

    def test_a_name_is_fetched_as_one_commit_and_loaded(self, on_hub):
        built, asked = on_hub
        loaded = GCViT.from_pretrained('someone/gcvit-small', revision='v1.0')
        assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in built.state_dict().items())
        options = {'revision': 'v1.0', 'allow_patterns': ['config.json', 'model.safetensors']}
        assert asked == [('someone/gcvit-small', options)]
        GCViT({**GCVIT, 'embed_dims': 8}).save_pretrained('someone/here')
        assert GCViT.from_pretrained('someone/here').stage_dims[0] == 8, 'a folder goes before the Hub'
        assert len(asked) == 1

    @pytest.mark.parametrize('source', ['work_dirs/epoch_1.pth', '/a/b', 'a/b/c', 'a/b.safetensors', 'b', 'timm://a/b'])
    def test_what_is_not_a_name_on_the_hub_is_not_asked_for(self, source, on_hub):
        with pytest.raises(CheckpointError):
            GCViT.from_pretrained(source)
        with pytest.raises(CheckpointError, match='is not a name on the Hugging Face Hub, OWNER/NAME; leave revision'):
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
