"""The installer skips an up-to-date environment, reinstalls if pins change, keeps torch, and explains failures."""

import re
import sys
from importlib import metadata
from types import SimpleNamespace

import install as installer
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ..programs import ROOT


class RecordingPip(installer.Pip):
    """A pip that records its arguments and installs nothing."""

    calls: list

    def install(self, what, show_progress=False):
        type(self).calls.append((what, self.pins.read_text()))

    def uninstall(self, *what):
        pass


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a state whose ``call`` runs the installer with its own pins, but without pip, checks or network."""
    RecordingPip.calls = []
    state = SimpleNamespace(
        venv=tmp_path / '.venv',
        torch='2.13.0',
        torch_before=None,
        matching_nvcc=False,
        compiled=[],
        calls=RecordingPip.calls,
    )
    own = {
        name: distribution._replace(pins=tmp_path / distribution.pins.name)
        for name, distribution in installer.DISTRIBUTIONS.items()
    }
    for name, distribution in own.items():
        distribution.pins.write_text(installer.DISTRIBUTIONS[name].pins.read_text())
    state.pins = own['maintained'].pins

    def get_version(python, package):
        """Return the torch of the environment before and after the first call of pip."""
        return state.torch if state.calls else state.torch_before

    def compile_recorded(pip, requirement, log):
        state.compiled.append(requirement)

    def call(*options):
        monkeypatch.setattr(sys, 'argv', ['install.py', str(state.venv), *options])
        installer.main()

    state.call = call
    replaced = {'DISTRIBUTIONS': own, 'Pip': RecordingPip, 'get_version': get_version, 'compile_mmcv': compile_recorded}
    for name in (
        'check_machine',
        'check_imports',
        'compile_bytecode',
        'ensure_opencv_imports',
        'find_missing_compiler',
    ):
        replaced[name] = lambda *_: None
    replaced['has_matching_nvcc'] = lambda python: state.matching_nvcc
    replaced['create_venv'] = lambda venv: venv.mkdir(exist_ok=True) or venv / 'bin' / 'python'
    for name, value in replaced.items():
        monkeypatch.setattr(installer, name, value)
    return state


def steps(install):
    return [what for what, _ in install.calls]


LOCKED = ['--no-deps', '--require-hashes', '--requirement', str(ROOT / 'locks' / 'maintained.txt')]
STEPS = [LOCKED, ['torch', 'torchvision'], ['--no-deps', '--editable', str(ROOT)]]


def test_installation_is_repeated_only_after_changed_pins_or_an_interruption(install, monkeypatch):
    install.call()
    install.call()
    assert steps(install) == STEPS
    install.pins.write_text(install.pins.read_text() + 'something==1\n')
    install.call()
    assert steps(install) == STEPS * 2

    def stop(*_):
        raise KeyboardInterrupt

    install.pins.write_text(install.pins.read_text() + 'other==1\n')
    with monkeypatch.context() as patch:
        patch.setattr(installer, 'ensure_opencv_imports', stop)
        with pytest.raises(KeyboardInterrupt):
            install.call()
    install.call()
    assert steps(install) == STEPS * 4


@pytest.mark.parametrize(
    ('options', 'matching_nvcc', 'compiled'),
    [
        ([], False, []),
        ([], True, ['onedl-mmcv==2.3.6']),
        (['--operators', 'torchvision'], True, []),
        (['--operators', 'compiled'], False, ['onedl-mmcv==2.3.6']),
        (['--operators', 'compiled', '--openmmlab', 'upstream'], False, ['mmcv==2.1.0']),
    ],
)
def test_operators_are_compiled_on_request_or_with_a_gpu_and_matching_nvcc(options, matching_nvcc, compiled, install):
    install.matching_nvcc = matching_nvcc
    install.torch = '2.1.2' if 'upstream' in options else '2.13.0'
    install.call(*options)
    assert install.compiled == compiled


def read_lock(distribution):
    """Return the requirements of a lock file by package; a package has one for each range of Python versions."""
    entries = {}
    for entry in re.split(r'(?m)^(?=\S)', installer.DISTRIBUTIONS[distribution].lock.read_text())[1:]:
        requirement, *hashes = entry.split('\\\n')
        assert hashes
        assert all(re.fullmatch(r'\s+--hash=sha256:[0-9a-f]{64}\s*', each) for each in hashes), entry
        requirement = Requirement(requirement)
        entries.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return entries


@pytest.mark.parametrize('distribution', installer.DISTRIBUTIONS)
def test_lock_files_have_the_pinned_versions(distribution):
    entries = read_lock(distribution)
    lines = [
        line for line in installer.DISTRIBUTIONS[distribution].pins.read_text().splitlines() if line and line[0] != '#'
    ]
    for pin in map(Requirement, lines):
        for requirement in entries.get(canonicalize_name(pin.name), []):
            marks = [requirement.marker, pin.marker]
            assert requirement.specifier == pin.specifier or (all(marks) and marks[0] != marks[1])


@pytest.mark.parametrize(('distribution', 'extra'), [('maintained', 'openmmlab'), ('upstream', 'openmmlab-upstream')])
def test_lock_files_have_all_requirements_except_torch(distribution, extra):
    entries = read_lock(distribution)
    for requirement in map(Requirement, metadata.requires('mmgcvit')):
        wanted = [{'extra': name} for name in (extra, 'digits', 'checkpoints', 'export', 'benchmark', 'test', 'lint')]
        if requirement.marker is None or any(map(requirement.marker.evaluate, wanted)):
            assert (canonicalize_name(requirement.name) in entries) != requirement.name.startswith('torch')


def test_installed_torch_is_kept(install, capsys):
    install.torch_before = install.torch = '2.9.1+cu126'
    install.call()
    assert '2.7 GB' not in capsys.readouterr().out
    for _, pins in install.calls:
        lines = pins.splitlines()
        assert 'torch===2.9.1+cu126' in lines
        assert not any(line.startswith(('torch===2.13', 'torchvision=')) for line in lines)
        assert 'onedl-mmcv==2.3.6' in lines


def test_unsupported_torch_is_rejected_before_installing(install):
    for distribution, torch, words in (
        ('maintained', '2.0.1', 'torch 2.0.1; these packages need 2.1 or later'),
        ('upstream', '2.9.0', 'torch 2.9.0; these packages need 2.1 or later, and before 2.6'),
    ):
        install.torch_before = torch
        with pytest.raises(SystemExit, match=words):
            install.call('--openmmlab', distribution)
        assert not install.calls


def test_unsupported_python_and_full_disk_are_rejected_before_installing(monkeypatch, tmp_path):
    distribution = installer.DISTRIBUTIONS['maintained']
    monkeypatch.setattr(installer.shutil, 'disk_usage', lambda _: SimpleNamespace(free=3e9))
    with pytest.raises(SystemExit, match=r'has 3\.0 GB free, and a new environment takes about 8\. Free space'):
        installer.check_machine(distribution, tmp_path / 'new')
    monkeypatch.setattr(sys, 'version_info', (3, 14, 0))
    with pytest.raises(SystemExit, match=r'Python 3\.10 to 3\.13 is needed; .*make install PYTHON='):
        installer.check_machine(distribution, tmp_path / 'new')


PIP_FAILURES = {
    'OSError: [Errno 28] No space left on device': 'the disk is full',
    'Retrying ... NewConnectionError(": Failed to establish a new connection")': 'cannot be reached; check the network',
    'ERROR: something else': 'see above',
}


def test_failures_of_pip_are_explained(tmp_path, capfd):
    python = tmp_path / 'python'
    for failure, words in PIP_FAILURES.items():
        python.write_text(f"#!/bin/sh\necho '{failure}' >&2\nexit 1\n")
        python.chmod(0o755)
        with pytest.raises(SystemExit, match=words):
            installer.Pip(python, tmp_path / 'pins.txt').install(['torch'])
        assert failure in capfd.readouterr().err
