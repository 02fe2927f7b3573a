"""``mmgcvit web`` as docs/web.md has it typed, and what it answers to mistakes: one sentence."""

import re
import shlex
import shutil
import socket
import subprocess
import sys

import pytest

from mmgcvit.commands.main import run_command
from mmgcvit.web import runtime
from mmgcvit.web.server import PageServer

from ..conftest import ROOT

DOCS = (ROOT / 'docs' / 'web.md').read_text()
SERVED = re.findall(r'^mmgcvit web (?!.*--build).*$', DOCS, re.MULTILINE)
WORK_DIRS = {
    'my_detector': ('detection', 'epoch_12.pth'),
    'my_segmentor': ('segmentation', 'iter_160000.pth'),
}


@pytest.fixture
def call(monkeypatch):
    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['mmgcvit web', *map(str, arguments)])
        run_command('web')

    return call


@pytest.fixture
def ended_at_once(monkeypatch):
    """Servers that somebody interrupts as soon as they are there."""

    def interrupted(server):
        assert server.server_address[0] == '127.0.0.1'
        raise KeyboardInterrupt

    monkeypatch.setattr(PageServer, 'serve_forever', interrupted)


@pytest.fixture
def place(tmp_path, work_dirs, monkeypatch):
    """A folder with the work dirs that the page names."""
    monkeypatch.chdir(tmp_path)
    for name, (task, checkpoint) in WORK_DIRS.items():
        folder = tmp_path / 'work_dirs' / name
        folder.mkdir(parents=True)
        (config,) = work_dirs[task].glob('*.py')
        shutil.copy(config, folder / f'{name}.py')
        shutil.copy(work_dirs[task] / 'epoch_1.pth', folder / checkpoint)
    return tmp_path


@pytest.mark.usefixtures('place', 'ended_at_once')
@pytest.mark.parametrize('line', SERVED)
def test_what_the_page_says_to_type_serves(line, call, capsys, monkeypatch):
    """On ports that are free here, whatever else runs."""
    words = [word for word in shlex.split(line)[2:] if word not in ('--port', '8001')]
    call(*words, '--port', 0, '--device', 'cpu')
    assert re.search(r'^Open http://127\.0\.0\.1:\d+/ in a browser', capsys.readouterr().out, re.MULTILINE)


def sentence_of(call, *arguments):
    """What a call ends with: one line."""
    with pytest.raises(SystemExit) as ended:
        call(*arguments)
    assert '\n' not in str(ended.value)
    return str(ended.value)


def test_a_mistake_is_answered_in_a_sentence(call, work_dirs, tmp_path):
    assert 'name CONFIG' in sentence_of(call)
    assert 'name CONFIG' in sentence_of(call, 'x.py', '--build', tmp_path / 'out')
    assert 'there is no config nowhere.py' in sentence_of(call, 'nowhere.py')
    assert '--port 70000' in sentence_of(call, work_dirs['classification'], '--port', 70000)


def test_a_port_that_another_program_has_is_named(call, work_dirs):
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = other.getsockname()[1]
        sentence = sentence_of(call, work_dirs['classification'], '--port', port, '--device', 'cpu')
    assert f'--port {port} cannot be had' in sentence


def test_a_folder_that_holds_something_else_is_left_alone(call, tmp_path):
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos' / 'a.jpg').touch()
    assert 'was not made by this tool' in sentence_of(call, '--build', tmp_path / 'photos')
    assert [path.name for path in (tmp_path / 'photos').iterdir()] == ['a.jpg']


def test_a_missing_npm_is_named(call, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime.shutil, 'which', lambda name: None)
    assert 'install Node.js' in sentence_of(call, '--build', tmp_path / 'page')
    assert list(tmp_path.iterdir()) == []


def test_what_npm_cannot_fetch_is_named_and_nothing_is_left(call, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime.shutil, 'which', lambda name: '/usr/bin/npm')
    said = subprocess.CompletedProcess([], 1, '', 'npm error code EINTEGRITY\nnpm error more\n')
    monkeypatch.setattr(runtime.subprocess, 'run', lambda *_, **__: said)
    sentence = sentence_of(call, '--build', tmp_path / 'page')
    assert f'npm cannot fetch onnxruntime-web {runtime.runtime_version()}: npm error code EINTEGRITY' in sentence
    assert list(tmp_path.iterdir()) == []
