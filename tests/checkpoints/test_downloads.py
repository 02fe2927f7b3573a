"""Download from URLs and the Hugging Face Hub: once for all processes on a machine, and atomically."""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from threading import Thread

import huggingface_hub
import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.checkpoints import downloads
from mmgcvit.checkpoints.downloads import get_cache_path
from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.errors import CheckpointError, MissingPackageError
from mmgcvit.files import compute_sha256

from ..models.contract.backbones import GCVIT

PROCESSES = 4


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve ``content``, a checkpoint of 400 KB, at every path that ends in ``.pth``, after a delay of ``seconds``."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    torch.save({'a': torch.arange(100_000.0)}, tmp_path / 'x.pth')

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            time.sleep(self.server.seconds)
            self.send_response(200 if self.path.endswith('.pth') else 404)
            self.end_headers()
            self.wfile.write(self.server.content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as served:
        served.content, served.seconds, served.asked = (tmp_path / 'x.pth').read_bytes(), 0, []
        served.address = f'http://127.0.0.1:{served.server_port}/x.pth'
        Thread(target=served.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()
        yield served
        served.shutdown()


def cached(address):
    return sorted(path.name for path in get_cache_path(address).parent.glob('*') if path.suffix != '.lock')


def test_a_file_is_downloaded_once_and_then_read_from_a_read_only_cache(server, monkeypatch):
    assert torch.equal(read_checkpoint(server.address)['a'], torch.arange(100_000.0))
    monkeypatch.setattr(downloads, 'FileLock', None)
    assert read_checkpoint(server.address)
    assert server.asked == ['/x.pth']
    assert cached(server.address) == [get_cache_path(server.address).name]


def test_urls_with_equal_file_names_have_separate_cache_files_unless_the_name_has_a_hash(server, tmp_path):
    """File names with a hash are torch.hub's, so that files that torch or mmengine downloaded are found."""
    assert get_cache_path('https://a/model.pth') != get_cache_path('https://b/model.pth')
    name = f'x-{compute_sha256(tmp_path / "x.pth")[:8]}.pth'
    read_checkpoint(server.address.replace('x.pth', name))
    assert (tmp_path / 'cache' / 'hub' / 'checkpoints' / name).is_file()


def test_a_url_with_a_sha256_loads_only_the_file_that_has_it(server, tmp_path, monkeypatch):
    """The log of a download without a hash says the URL with it."""
    digest = compute_sha256(tmp_path / 'x.pth')
    for wrong, message in ((digest[:63] + 'g', 'expected the 64 digits'), (digest[::-1], 'invalid hash value')):
        with pytest.raises(CheckpointError, match=message):
            read_checkpoint(f'{server.address}#sha256={wrong}')
        assert cached(server.address) == []
    logged = []
    monkeypatch.setattr(downloads, 'print_log', lambda message, logger: logged.append(message))
    read_checkpoint(server.address)
    assert logged == [f'To load only this file from now on, use {server.address}#sha256={digest}']
    read_checkpoint(f'{server.address}#sha256={digest}')
    with pytest.raises(CheckpointError, match=r'has another SHA-256 than .*\. Remove the file'):
        read_checkpoint(f'{server.address}#sha256={digest[::-1]}')


@pytest.mark.parametrize(
    ('content', 'name', 'message'),
    [
        (lambda _: b'<html>Please log in</html>', 'x.pth', r'is not a checkpoint, .* downloaded copy was removed'),
        (lambda _: b'', 'x.pth', r'/x\.pth is empty\. .* downloaded copy was removed'),
        (lambda content: content[:100_000], 'x.pth', r'/x\.pth is damaged .* downloaded copy was removed'),
        (lambda content: content, 'x-01234567.pth', r'could not be downloaded \(invalid hash value'),
        (lambda content: content, 'y.bin', r'could not be downloaded \(HTTP Error 404.* instead of the URL'),
    ],
)
def test_a_damaged_or_failed_download_leaves_no_file(content, name, message, server):
    server.content = content(server.content)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(server.address.replace('x.pth', name))
    assert cached(server.address) == []


def answer(address, queue):
    queue.put(sorted(read_checkpoint(address)))


def test_one_process_downloads_while_the_others_wait_without_a_collective(server):
    server.seconds, context = 0.5, get_context('fork')
    queue = context.Queue()
    processes = [context.Process(target=answer, args=(server.address, queue)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    assert [queue.get(timeout=60) for _ in processes] == [['a']] * PROCESSES
    for process in processes:
        process.join()
    assert server.asked == ['/x.pth']


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Replace huggingface_hub's download by one without a network, and return the list of its calls."""
    asked = []

    def snapshot_download(repo_id, **options):
        asked.append((repo_id, options))
        if 'mistyped' in repo_id:
            raise OSError('401 Client Error.\nRepository Not Found for url')
        return str(tmp_path / 'snapshot')

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot_download)
    monkeypatch.chdir(tmp_path)
    return asked


def test_a_hub_repository_is_downloaded_at_its_revision_and_loaded(hub, tmp_path):
    built = GCViT(GCVIT, window_size=5)
    built.save_pretrained(tmp_path / 'snapshot')
    loaded = GCViT.from_pretrained('someone/gcvit-small', revision='v1.0')
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in built.state_dict().items())
    options = {'revision': 'v1.0', 'allow_patterns': ['config.json', 'model.safetensors']}
    assert hub == [('someone/gcvit-small', options)]
    GCViT({**GCVIT, 'embed_dims': 8}).save_pretrained('someone/here')
    assert GCViT.from_pretrained('someone/here').stage_dims[0] == 8, 'a folder goes before the Hub'
    assert len(hub) == 1


@pytest.mark.parametrize('source', ['work_dirs/epoch_1.pth', '/a/b', 'a/b.safetensors', 'timm://a/b'])
def test_paths_and_timm_names_are_not_looked_up_on_the_hub(source, hub):
    with pytest.raises(CheckpointError, match=r'there is no|no pretrained GC ViT'):
        GCViT.from_pretrained(source)
    with pytest.raises(CheckpointError, match='models on the Hugging Face Hub'):
        GCViT.from_pretrained(source, revision='main')
    assert hub == []


def test_errors_of_the_hub_and_a_missing_package_are_one_sentence(hub, monkeypatch):
    with pytest.raises(CheckpointError, match=r'no file or folder work_dirs/mistyped, .*\(401 Client Error'):
        GCViT.from_pretrained('work_dirs/mistyped')
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(MissingPackageError, match=r"no file or folder someone/x\..*pip install 'mmgcvit\[hub\]'"):
        GCViT.from_pretrained('someone/x')
