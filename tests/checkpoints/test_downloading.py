"""Download from URLs: once for all processes on a machine, and atomically."""

import re
from concurrent.futures import ProcessPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from threading import Thread
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import constants

from mmgcvit.checkpoints import downloading, released
from mmgcvit.checkpoints.downloading import check_digest, get_cache_path
from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.errors import CheckpointError, MissingPackageError
from mmgcvit.host.files import compute_sha256
from mmgcvit.ops import requirements

from ..programs import ROOT

PROCESSES = 4
FORK = get_context('fork')
TOGETHER = FORK.Barrier(PROCESSES)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve ``file``, a checkpoint of 400 KB, at every path that ends in ``.pth`` or ``.tar``."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    file = tmp_path / 'x.pth'
    asked = []
    torch.save({'a': torch.arange(100_000.0)}, file)

    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path):
            asked.append(path)
            return str(file if path.endswith(('.pth', '.tar')) else tmp_path / 'missing')

        def end_headers(self):
            """Add what the hub sends: the revision, and the SHA-256 of a large file."""
            self.send_header('X-Repo-Commit', released.REVISION)
            self.send_header('ETag', f'"{compute_sha256(file)}"')
            super().end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()
        address = f'http://127.0.0.1:{server.server_port}/x.pth'
        yield SimpleNamespace(address=address, file=file, asked=asked)
        server.shutdown()


def cached(address):
    return sorted(
        path.name for path in get_cache_path(address).parent.glob('*') if path.suffix != '.lock'
    )


def test_a_file_is_downloaded_once_and_then_read_from_a_read_only_cache(server, monkeypatch):
    assert torch.equal(read_checkpoint(server.address)['a'], torch.arange(100_000.0))
    monkeypatch.setattr(downloading, 'lock_file', None)
    assert read_checkpoint(server.address)
    assert server.asked == ['/x.pth']
    assert cached(server.address) == [get_cache_path(server.address).name]


def test_urls_with_equal_file_names_without_a_hash_have_separate_cache_files(server):
    """File names with a hash are torch.hub's, so that files that torch or mmengine downloaded are
    found.
    """
    assert get_cache_path('https://a/model.pth') != get_cache_path('https://b/model.pth')
    name = f'x-{compute_sha256(server.file)[:8]}.pth'
    read_checkpoint(server.address.replace('x.pth', name))
    assert (server.file.parent / 'cache' / 'hub' / 'checkpoints' / name).is_file()


@pytest.mark.parametrize(
    ('change', 'name', 'message'),
    [
        (lambda _: b'<html>Please log in</html>', 'x.pth', 'is not a checkpoint'),
        (lambda content: content[:100_000], 'x.pth', 'is damaged'),
        (bytes, 'x-01234567.pth', 'invalid hash value'),
        (bytes, 'y.bin', 'HTTP Error 404'),
    ],
)
def test_a_damaged_or_failed_download_leaves_no_file(change, name, message, server):
    server.file.write_bytes(change(server.file.read_bytes()))
    words = rf'could not be downloaded \(.*{message}.* instead of the URL'
    with pytest.raises(CheckpointError, match=words):
        read_checkpoint(server.address.replace('x.pth', name))
    assert cached(server.address) == []


def test_a_hash_is_compared_from_its_beginning(server):
    digest = compute_sha256(server.file)
    check_digest(server.file, digest[:8])
    check_digest(server.file, '')  # not known
    with pytest.raises(CheckpointError, match=f'expected {digest[1:9]}, got {digest}'):
        check_digest(server.file, digest[1:9])


def read_keys(address):
    return sorted(read_checkpoint(address))


def read_keys_together(address):
    """Begin when all processes do."""
    TOGETHER.wait()
    return read_keys(address)


def test_one_process_downloads_while_the_others_wait_without_a_collective(server):
    with ProcessPoolExecutor(PROCESSES, FORK) as pool:
        read = pool.map(read_keys_together, [server.address] * PROCESSES, timeout=60)
        assert list(read) == [['a']] * PROCESSES
    assert server.asked == ['/x.pth']


TINY = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    """Let huggingface_hub ask the server, as HF_ENDPOINT and HF_HOME say when it is imported."""
    address = server.address.removesuffix('/x.pth')
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)
    monkeypatch.setattr(constants, 'ENDPOINT', address)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    return tmp_path / 'hub'


def list_files(server):
    """List the paths of files for which the server was asked: huggingface_hub asks more."""
    return {path for path in server.asked if '/resolve/' in path}


def test_the_authors_files_are_those_of_one_revision_with_their_sha256(server, hub, monkeypatch):
    """Other bytes are not kept."""
    with pytest.raises(CheckpointError, match=r'expected 30ac1c31.*, got '):
        read_checkpoint(TINY)
    pinned = f'/nvidia/GCViT/resolve/{released.REVISION}/gcvit_1k_tiny.pth.tar'
    assert list_files(server) == {pinned}
    assert not any(path.is_file() for path in hub.rglob('*.tar'))
    digest = compute_sha256(server.file)
    monkeypatch.setitem(released.SHA256, 'gcvit_1k_tiny.pth.tar', digest)
    assert read_keys(TINY) == ['a']
    server.asked.clear()
    assert read_keys(TINY) == read_keys(TINY.replace('/main/', f'/{released.REVISION}/')) == ['a']
    assert list_files(server) == set(), (
        'a file of a revision is read from the cache, without a network too'
    )


def test_other_files_of_the_hub_are_read_from_their_branch(server, hub):
    address = 'https://HuggingFace.co/me/photos/resolve/dev/a%20b/best.pth?download=true'
    assert read_keys(address) == ['a']
    assert list_files(server) == {'/me/photos/resolve/dev/a%20b/best.pth'}


def test_without_a_network_an_address_of_the_hub_is_one_sentence(hub, monkeypatch):
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    with pytest.raises(
        CheckpointError, match=r'tiny\.pth\.tar could not be downloaded .* instead of'
    ):
        read_checkpoint(TINY)


def test_without_huggingface_hub_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(requirements, 'find_spec', lambda _: None)
    with pytest.raises(MissingPackageError, match='needs'):
        read_checkpoint(TINY)


def test_configs_load_weights_from_the_hosts_that_the_page_names():
    """Not from a domain that has expired, nor by names that OpenMMLab's packages look up."""
    hosts = set()
    for path in (ROOT / 'configs').rglob('*.py'):
        text = path.read_text()
        hosts |= set(
            re.findall(r"""['"]https?://([^/'"]+)/[^'"]+\.(?:pth|tar|safetensors)\b""", text)
        )
        assert not re.search(r"""['"](open-mmlab|mmcls|mmpretrain|torchvision|modelzoo)://""", text)
    assert hosts == {'huggingface.co', 'github.com', 'mmassets.onedl.ai'}
    page = (ROOT / 'docs' / 'checkpoints.md').read_text()
    assert all(f'`{host}`' in page for host in hosts)


def test_each_released_file_that_a_config_names_has_a_sha256_but_two():
    """Those of ``xxtiny`` and ``small`` are not known; docs/checkpoints.md says so."""
    files = [*(ROOT / 'configs').rglob('*.py'), *(ROOT / 'configs').rglob('*.yml')]
    text = ''.join(path.read_text() for path in files)
    branch = f'https://huggingface.co/{released.REPOSITORY}/resolve/main/'
    names = set(re.findall(rf'{branch}([^\s\'"]+)', text))
    unknown = {'gcvit_1k_small.pth.tar', 'gcvit_1k_xxtiny.pth.tar'}
    assert {name for name in names if not released.SHA256[name]} == unknown
    page = (ROOT / 'docs' / 'checkpoints.md').read_text()
    for name, digest in released.SHA256.items():
        assert name in unknown or f'| `{name}` | `{digest}` |' in page
    assert all(f'`{name}`' in page for name in released.TIMM_SHA256)
