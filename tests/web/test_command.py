"""``mmgcvit web`` as docs/web.md has it typed, and what it answers to mistakes: one sentence."""

import hashlib
import json
import re
import shlex
import socket
import subprocess

import cv2
import numpy as np
import pytest

import mmgcvit
from mmgcvit.commands.main import run_command
from mmgcvit.visualization.attention import attention
from mmgcvit.web import building
from mmgcvit.web.server import PageServer

from ..conftest import ROOT
from ..inference.conftest import copy_work_dirs

SERVED = re.findall(r'^mmgcvit web (?!.*--build).*$', (ROOT / 'docs' / 'web.md').read_text(), re.MULTILINE)
WORK_DIRS = {'my_detector': ('detection', 'epoch_12.pth'), 'my_segmentor': ('segmentation', 'iter_160000.pth')}


@pytest.fixture
def place(tmp_path, work_dirs, monkeypatch):
    """A folder with the work dirs that the page names."""
    monkeypatch.chdir(tmp_path)
    copy_work_dirs(work_dirs, tmp_path, WORK_DIRS)
    return tmp_path


@pytest.mark.usefixtures('place')
def test_what_the_page_says_to_type_serves(capsys, monkeypatch):
    """On ports that are free here, by servers that somebody interrupts as soon as they are there."""

    def interrupted(server):
        assert server.server_address[0] == '127.0.0.1'
        raise KeyboardInterrupt

    monkeypatch.setattr(PageServer, 'serve_forever', interrupted)
    assert len(SERVED) == 2
    for line in SERVED:
        words = [word for word in shlex.split(line)[2:] if word not in ('--port', '8001')]
        run_command('web', [*words, '--port', 0, '--device', 'cpu'])
        assert re.search(r'^Open http://127\.0\.0\.1:\d+/ in a browser', capsys.readouterr().out, re.MULTILINE), line


def sentence_of(*arguments):
    """What a call ends with: one line."""
    with pytest.raises(SystemExit) as ended:
        run_command('web', arguments)
    assert '\n' not in str(ended.value)
    return str(ended.value)


def test_a_mistake_is_answered_in_a_sentence(work_dirs, tmp_path):
    """And what is there is left alone."""
    assert 'name CONFIG' in sentence_of()
    assert 'name CONFIG' in sentence_of('x.py', '--build', tmp_path / 'out')
    assert '--port 70000' in sentence_of(work_dirs['classification'], '--port', 70000)
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = other.getsockname()[1]
        sentence = sentence_of(work_dirs['classification'], '--port', port, '--device', 'cpu')
    assert f'--port {port} cannot be had' in sentence
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos' / 'a.jpg').touch()
    assert 'was not made by this tool' in sentence_of('--build', tmp_path / 'photos')
    assert [path.name for path in (tmp_path / 'photos').iterdir()] == ['a.jpg']


def test_what_npm_cannot_fetch_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(building.shutil, 'which', lambda name: None)
    assert 'install Node.js' in sentence_of('--build', tmp_path / 'page')
    monkeypatch.setattr(building.shutil, 'which', lambda name: '/usr/bin/npm')
    said = subprocess.CompletedProcess([], 1, '', 'npm error code EINTEGRITY\nnpm error more\n')
    monkeypatch.setattr(building.subprocess, 'run', lambda *_, **__: said)
    sentence = sentence_of('--build', tmp_path / 'page')
    assert f'npm cannot fetch onnxruntime-web {building.runtime_version()}: npm error code EINTEGRITY' in sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_network_of_the_page_names_a_digit_as_the_package_does_and_gives_its_attention(tmp_path, monkeypatch):
    """The page without a browser, and without what npm fetches."""
    onnxruntime = pytest.importorskip('onnxruntime')
    monkeypatch.setattr(building, 'add_runtime', lambda page: None)
    (page_model,) = (model for model in building.digits_models() if model.config.stem == 'lsa_digits_cls')
    *_, last = building.build_page(tmp_path / 'page', [page_model])
    assert str(tmp_path / 'page') in last
    catalogue = json.loads((tmp_path / 'page' / 'models.json').read_text())
    (entry,) = catalogue['models']
    network = (tmp_path / 'page' / entry['file']).read_bytes()
    assert (len(network), hashlib.sha256(network).hexdigest()) == (entry['bytes'], entry['sha256'])
    file = str(tmp_path / 'page' / catalogue['samples'][-1]['file'])
    model = mmgcvit.load(page_model.config, device='cpu')
    resized = cv2.resize(cv2.imread(file), entry['scale'])[..., :: 1 if entry['channel_order'] == 'bgr' else -1]
    inputs = ((resized - np.array(entry['mean'])) / entry['std']).astype(np.float32).transpose(2, 0, 1)[None]
    session = onnxruntime.InferenceSession(network)
    scores, received = session.run(['scores', 'attention'], {session.get_inputs()[0].name: inputs})
    # Float32 in another order of sums; the network is a few layers deep.
    np.testing.assert_allclose(scores[0], model(file).scores, atol=1e-4)
    np.testing.assert_allclose(received[0], attention(model, file).blocks[-1].received, atol=1e-4)
