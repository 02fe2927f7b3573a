"""The installer skips an up-to-date environment, reinstalls if pins change, keeps torch, and
explains failures.
"""

import json
import re
import sys
from collections import defaultdict
from importlib import metadata
from types import SimpleNamespace

import install as installer
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ..programs import ROOT, run

MAINTAINED, UPSTREAM = installer.DISTRIBUTIONS.values()
each_distribution = pytest.mark.parametrize(
    ('distribution', 'extra'), [(MAINTAINED, 'openmmlab'), (UPSTREAM, 'openmmlab-upstream')]
)


def test_installed_torch_is_kept_if_the_packages_work_with_it(tmp_path):
    versions = read_versions(installer.write_constraints('2.9.1+cu126', MAINTAINED, tmp_path))
    assert versions['torch'] == {'===2.9.1+cu126'}
    assert 'onedl-mmcv' in versions
    assert 'torchvision' not in versions
    with pytest.raises(SystemExit, match=r'torch 2\.0\.1; these packages need 2\.1 or later'):
        installer.write_constraints('2.0.1', MAINTAINED, tmp_path)
    with pytest.raises(SystemExit, match=r'torch 2\.9\.0; .* need 2\.1 or later, and before 2\.6'):
        installer.write_constraints('2.9.0', UPSTREAM, tmp_path)


def read_versions(path):
    """Read the versions of each package in a file for pip. Hashes are on indented lines."""
    versions = defaultdict(set)
    for name, specifier in re.findall(r'^([\w.-]+)(=[^\s;]+)', path.read_text(), re.MULTILINE):
        versions[canonicalize_name(name)].add(specifier)
    return versions


@each_distribution
def test_lock_files_have_the_pinned_versions_and_all_requirements_except_torch(distribution, extra):
    """A package may have a version for each range of Python versions."""
    locked = read_versions(distribution.lock)
    pinned = read_versions(distribution.pins)
    for name in locked.keys() & pinned.keys():
        assert locked[name] == pinned[name]
    extras = [extra, 'digits', 'checkpoints', 'export', 'benchmark', 'test', 'lint']
    for requirement in map(Requirement, metadata.requires('mmgcvit')):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({'extra': name}) for name in extras):
            is_locked = canonicalize_name(requirement.name) in locked
            assert is_locked != requirement.name.startswith('torch')


def resolve_by_pip(extra, folder):
    """Return the versions that pip would install for this Python."""
    report = folder / 'report.json'
    options = ['--dry-run', '--ignore-installed', '--quiet', '--report', report]
    ended = run([sys.executable, '-m', 'pip', 'install', *options, f'{ROOT}[{extra}]'])
    assert ended.returncode == 0, ended.stderr
    found = [item['metadata'] for item in json.loads(report.read_text())['install']]
    return {canonicalize_name(item['name']): item['version'] for item in found}


def resolve_by_uv(extra, folder):
    """Return the versions that uv would install for the oldest Python."""
    pytest.importorskip('uv')
    options = ['--quiet', '--python-version', '3.10', '--extra', extra]
    ended = run([sys.executable, '-m', 'uv', 'pip', 'compile', *options, 'setup.py'])
    assert ended.returncode == 0, ended.stderr
    return dict(re.findall(r'^([\w.-]+)==(\S+)', ended.stdout, re.MULTILINE))


@pytest.mark.long
@pytest.mark.parametrize(
    'resolve', [resolve_by_pip, pytest.param(resolve_by_uv, marks=pytest.mark.release)]
)
@each_distribution
def test_an_extra_resolves_to_the_pinned_openmmlab_packages(distribution, extra, resolve, tmp_path):
    """Resolved afresh, without the pins: to another patch version at most."""
    if run([sys.executable, '-m', 'pip', 'download', '-d', tmp_path, 'packaging']).returncode:
        pytest.skip('there is no package index')
    if resolve is resolve_by_pip and distribution is UPSTREAM and sys.version_info >= (3, 12):
        pytest.skip('the original packages run on Python 3.10 and 3.11')
    resolved = resolve(extra, tmp_path)
    pinned = read_versions(distribution.pins)
    packages = [name for name in resolved.keys() & pinned if re.match('onedl-|mm', name)]
    assert len(packages) == 5
    for name in packages:
        (specifier,) = pinned[name]
        major_and_minor = Version(resolved[name]).release[:2]
        assert major_and_minor == Version(specifier.removeprefix('==')).release[:2], name
    assert Version(resolved['torch']) >= Version('2.1')


def test_unsupported_python_and_full_disk_are_rejected(monkeypatch, tmp_path):
    monkeypatch.setattr(installer.shutil, 'disk_usage', lambda _: SimpleNamespace(free=3e9))
    with pytest.raises(SystemExit, match=r'has 3\.0 GB free, .* takes about 7\. Free space'):
        installer.check_machine(MAINTAINED, tmp_path / 'new')
    monkeypatch.setattr(sys, 'version_info', (3, 15, 0))
    with pytest.raises(
        SystemExit, match=r'Python 3\.10 to 3\.14 is needed; .*install PYTHON=.*uv python install'
    ):
        installer.check_machine(MAINTAINED, tmp_path / 'new')


@pytest.mark.parametrize(
    ('error', 'explanation'),
    [
        ('OSError: [Errno 28] No space left on device', 'the disk is full'),
        ('NewConnectionError(": Failed to establish")', 'cannot be reached; check the network'),
        ('ERROR: something else', 'see above'),
    ],
)
def test_failures_of_pip_are_explained(error, explanation, tmp_path, capfd):
    python = tmp_path / 'python'
    python.write_text(f"#!/bin/sh\necho '{error}' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(SystemExit, match=explanation):
        installer.Pip(python, tmp_path / 'pins.txt').install(['torch'])
    assert error in capfd.readouterr().err


# The Python of an environment: it writes its arguments and a few settings down, and answers as
# answers.json says.
FAKE = """#!{python}
import json, os, sys
from pathlib import Path
folder = Path(__file__).parent
answers = json.loads((folder / 'answers.json').read_text())
words = sys.argv[1:]
names = ('MMCV_WITH_OPS', 'FORCE_CUDA', 'MAX_JOBS')
settings = [f'{{name}}={{os.environ[name]}}' for name in names if name in os.environ]
with (folder / 'calls.txt').open('a') as file:
    file.write(' '.join([*settings, *words]) + '\\n')
code = words[3] if words[:3] == ['-W', 'ignore', '-c'] else ''
if "version('torch')" in code:
    print(answers['torch'])
for text, status in answers['fails'].items():
    if text in ' '.join(words):
        sys.exit(status)
"""
STEPS = [
    '--quiet --no-deps --require-hashes --requirement {lock}',
    'torch torchvision',
    '--no-deps --editable {root}',
]


class Environment:
    """An environment whose Python is fake."""

    def __init__(self, folder, monkeypatch):
        self.venv, self.bin = folder / 'venv', folder / 'venv' / 'bin'
        self.bin.mkdir(parents=True)
        python = self.bin / 'python'
        python.write_text(FAKE.format(python=sys.executable))
        python.chmod(0o755)
        pins = folder / 'pins.txt'
        lock = folder / 'lock.txt'
        pins.write_text(MAINTAINED.pins.read_text())
        lock.write_text(MAINTAINED.lock.read_text())
        self.distribution = MAINTAINED._replace(pins=pins, lock=lock)
        monkeypatch.setitem(installer.DISTRIBUTIONS, 'maintained', self.distribution)
        self.monkeypatch = monkeypatch
        self.answer()

    def answer(self, torch='2.13.0', fails=()):
        """Decide the version of torch, and the exit codes of commands by a part of their text."""
        text = json.dumps({'torch': torch, 'fails': dict(fails)})
        (self.bin / 'answers.json').write_text(text)

    def install(self, *options):
        """Install, and return the calls of the environment's Python."""
        calls = self.bin / 'calls.txt'
        calls.unlink(missing_ok=True)
        words = ['install.py', str(self.venv), '--operators', 'torchvision', *options]
        self.monkeypatch.setattr(sys, 'argv', words)
        installer.main()
        return calls.read_text().splitlines() if calls.exists() else []

    @property
    def is_installed(self):
        return (self.venv / 'installed').is_file()


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.delenv('FORCE_CUDA', raising=False)
    return Environment(tmp_path, monkeypatch)


def list_installed(calls):
    """Return the arguments of pip install in each call, without those that all have."""
    return [call.split('--no-compile ')[1] for call in calls if ' pip install ' in call]


def test_an_environment_gets_the_locked_packages_torch_and_this_project_once(environment):
    """The lock's hashes are required, and dependencies come from it alone; torch follows the pins.
    A second call does nothing.
    """
    calls = environment.install()
    lock = environment.distribution.lock
    pins = environment.distribution.pins
    arguments = [step.format(lock=lock, root=ROOT).split() for step in STEPS]
    assert [sorted(found.split()) for found in list_installed(calls)] == [
        sorted({*words, '--quiet'}) for words in arguments
    ]
    assert sum(f'-c {pins} ' in call for call in calls if 'torch torchvision' in call) == 1
    assert any('-m compileall' in call for call in calls)
    assert environment.is_installed
    assert environment.install() == []


@pytest.mark.parametrize('name', ['pins', 'lock'])
def test_changed_pins_are_installed(name, environment):
    environment.install()
    with getattr(environment.distribution, name).open('a') as file:
        file.write('# changed\n')
    assert len(list_installed(environment.install())) == len(STEPS)


def test_other_operators_are_installed(environment):
    environment.install()
    assert len(list_installed(environment.install('--operators', 'auto'))) == len(STEPS)


@pytest.mark.parametrize(
    ('failing', 'message'),
    [
        ('--require-hashes', 'pip could not install .*Call again to continue'),
        ('torch torchvision', 'pip could not install torch torchvision'),
        ('--editable', 'pip could not install'),
        ('import mmgcvit', 'The installed packages cannot be imported'),
    ],
)
def test_an_installation_that_failed_is_not_taken_for_complete(failing, message, environment):
    """Nor is the one that was there before. The next call installs again."""
    environment.install()
    environment.distribution.pins.write_text('# other pins')
    environment.answer(fails={failing: 1})
    with pytest.raises(SystemExit, match=message):
        environment.install()
    assert not environment.is_installed
    environment.answer()
    assert len(list_installed(environment.install())) == len(STEPS)


@pytest.mark.parametrize('torch', ['2.0.1', '3.0.0'])
def test_a_torch_that_does_not_work_with_the_packages_is_named(torch, environment):
    environment.answer(torch=torch)
    with pytest.raises(SystemExit, match=f'has torch {torch}; these packages need'):
        environment.install()
    assert not environment.is_installed


def test_without_graphics_libraries_opencv_is_the_headless_one(environment):
    environment.answer(fails={'import cv2': 1})
    calls = environment.install()
    removed = next(number for number, call in enumerate(calls) if 'pip uninstall' in call)
    assert calls[removed].endswith('opencv-python opencv-python-headless')
    assert '--no-deps opencv-python-headless' in calls[removed + 1]


@pytest.mark.parametrize('cuda', ['0', '1'])
def test_compiled_operators_are_built_for_this_torch(cuda, environment, monkeypatch):
    """Not from pip's cache, nor in an environment with another torch."""
    monkeypatch.setattr(installer, 'find_missing_compiler', lambda: None)
    monkeypatch.setenv('FORCE_CUDA', cuda)
    monkeypatch.setenv('MAX_JOBS', '3')
    environment.answer(fails={'find_spec': 1})
    calls = environment.install('--operators', 'compiled')
    (build,) = [call for call in calls if call.startswith('MMCV_WITH_OPS=1')]
    assert f'FORCE_CUDA={cuda} MAX_JOBS=3 ' in build
    options = ('--no-build-isolation', '--no-cache-dir', '--force-reinstall', '--no-deps')
    assert all(option in build for option in options)
    assert build.split()[-1].startswith('onedl-mmcv==')
    environment.answer(torch='2.14.0')
    environment.distribution.pins.write_text('# other pins')
    with pytest.raises(SystemExit, match=r'mmcv does not compile with torch 2\.14\.0'):
        environment.install('--operators', 'compiled')


def test_compiled_operators_need_a_compiler_before_anything_is_installed(environment, monkeypatch):
    monkeypatch.setattr(installer.shutil, 'which', lambda _: None)
    with pytest.raises(SystemExit, match=r'needs? a C\+\+ compiler.*apt-get install g\+\+'):
        environment.install('--operators', 'compiled')
    assert not (environment.bin / 'calls.txt').exists()
