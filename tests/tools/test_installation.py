"""The installer skips an up-to-date environment, reinstalls if pins change, keeps torch, and
explains failures.
"""

import json
import os
import re
import shutil
import subprocess
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


@pytest.mark.long
@pytest.mark.parametrize('python', ['3.10', '3.14'])
@pytest.mark.parametrize(
    'system', ['x86_64-manylinux_2_28', 'aarch64-manylinux_2_28', 'aarch64-apple-darwin']
)
def test_no_locked_package_needs_a_compiler(system, python, tmp_path):
    """All have wheels, but for the forks and grad-cam, which are Python alone."""
    pytest.importorskip('uv')
    if run([sys.executable, '-m', 'pip', 'download', '-d', tmp_path, 'packaging']).returncode:
        pytest.skip('there is no package index')
    sources = [name for name in read_versions(MAINTAINED.lock) if name.startswith('onedl-')]
    options = ['--dry-run', '--no-deps', '--target', tmp_path, '--only-binary', ':all:']
    options += ['--python', sys.executable, '--python-version', python, '--python-platform', system]
    for name in [*sources, 'grad-cam']:
        options += ['--no-binary', name]
    environment = {**os.environ, 'MACOSX_DEPLOYMENT_TARGET': '14.0'}
    locked = ['--require-hashes', '--requirement', MAINTAINED.lock]
    for packages in (locked, ['--constraint', MAINTAINED.pins, 'torch', 'torchvision']):
        command = [sys.executable, '-m', 'uv', 'pip', 'install', *options, *packages]
        ended = run(command, environment)
        assert ended.returncode == 0, ended.stderr


def test_unsupported_python_and_full_disk_are_rejected(monkeypatch, tmp_path):
    monkeypatch.setattr(installer.shutil, 'disk_usage', lambda _: SimpleNamespace(free=3e9))
    with pytest.raises(SystemExit, match=r'has 3\.0 GB free, .* takes about 7\. Free space'):
        installer.check_machine(MAINTAINED, tmp_path / 'new')
    # An environment that exists has most of the files.
    installer.check_machine(MAINTAINED, tmp_path)
    newest_versions = ((MAINTAINED, '3.14', (3, 15, 0)), (UPSTREAM, '3.11', (3, 12, 0)))
    for distribution, newest, new in newest_versions:
        monkeypatch.setattr(sys, 'version_info', new)
        message = rf'Python 3\.10 to {newest} is needed; .*install PYTHON=.*uv python install'
        with pytest.raises(SystemExit, match=message):
            installer.check_machine(distribution, tmp_path / 'new')


NETWORK_ERRORS = (
    'NewConnectionError(": Failed to establish")',
    'ConnectTimeoutError(": timed out")',
    'ReadTimeoutError("Read timed out.")',
    'ProxyError("Cannot connect to proxy.")',
    'SSLError(SSLCertVerificationError)',
    'Temporary failure in name resolution',
    '[Errno 101] Network is unreachable',
)


@pytest.mark.parametrize(
    ('system', 'processor', 'library', 'maxsize', 'message'),
    [
        ('Linux', 'x86_64', ('', ''), 2**63, r'a Linux without glibc, .*\. Use .*docker run'),
        ('Linux', 'x86_64', ('glibc', '2.17'), 2**63, r'glibc 2\.17, but .* glibc 2\.28 or later'),
        ('Linux', 'x86_64', ('glibc', '2.36'), 2**31, r'a Python of 32 bits, .* Use one of 64'),
        ('Linux', 'riscv64', ('glibc', '2.41'), 2**63, r'Linux on riscv64, .* Use another machine'),
        ('Darwin', 'x86_64', ('', ''), 2**63, r'Darwin on x86_64, .* macOS 14 .* Apple silicon'),
        ('FreeBSD', 'amd64', ('', ''), 2**63, r'FreeBSD on amd64, .* install a torch of your own'),
        ('Windows', 'AMD64', ('', ''), 2**63, r'On Windows, install it in WSL 2'),
    ],
)
def test_systems_without_a_torch_are_named_before_a_download_and_a_torch_there_is_kept(
    system, processor, library, maxsize, message, environment, monkeypatch
):
    monkeypatch.setattr(installer.platform, 'system', lambda: system)
    monkeypatch.setattr(installer.platform, 'machine', lambda: processor)
    monkeypatch.setattr(installer.platform, 'libc_ver', lambda: library)
    monkeypatch.setattr(sys, 'maxsize', maxsize)
    environment.answer(torch='')
    with pytest.raises(SystemExit, match=message):
        environment.install()
    assert list_installed(environment.read_calls()) == []
    environment.answer(torch='2.13.0')
    if system != 'Windows':
        environment.install()
        assert environment.is_installed


@pytest.mark.parametrize(
    ('system', 'processor', 'library'),
    [
        ('Linux', 'x86_64', ('glibc', '2.28')),
        ('Linux', 'aarch64', ('glibc', '2.41')),
        ('Darwin', 'arm64', ('', '')),
    ],
)
def test_systems_with_a_torch_are_installed(system, processor, library, monkeypatch, tmp_path):
    monkeypatch.setattr(installer.platform, 'system', lambda: system)
    monkeypatch.setattr(installer.platform, 'machine', lambda: processor)
    monkeypatch.setattr(installer.platform, 'libc_ver', lambda: library)
    installer.check_machine(MAINTAINED, tmp_path)
    installer.check_wheels(MAINTAINED, tmp_path)


@pytest.mark.parametrize(
    ('error', 'explanation'),
    [
        ('OSError: [Errno 28] No space left on device', 'the disk is full'),
        ('ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM', 'SHA-256 of a file differs from'),
        *((error, 'cannot be reached; check the network') for error in NETWORK_ERRORS),
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
FAKE = """#!{python} -IS
import json, os, sys
from pathlib import Path
folder = Path(__file__).parent
answers = json.loads((folder / 'answers.json').read_text())
words = sys.argv[1:]
names = ('MMCV_WITH_OPS', 'FORCE_CUDA', 'MAX_JOBS')
settings = [f'{{name}}={{os.environ[name]}}' for name in names if name in os.environ]
if os.environ['PATH'].startswith(f'{{folder}}:'):
    settings.append('finds_ninja')
with (folder / 'calls.txt').open('a') as file:
    file.write(' '.join([*settings, *words]) + '\\n')
code = words[3] if words[:3] == ['-W', 'ignore', '-c'] else ''
if "version('torch')" in code:
    print(answers['torch'])
if 'torch.version.cuda' in code:
    print(answers['cuda'])
    sys.exit(not answers['cuda'])
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
        self.root = folder / 'clone'
        self.root.mkdir()
        # What an installation depends on
        self.files = {name: self.root / name for name in ('pins', 'lock', 'setup.py', 'install.py')}
        originals = (MAINTAINED.pins, MAINTAINED.lock, ROOT / 'setup.py', installer.__file__)
        for file, original in zip(self.files.values(), originals, strict=True):
            shutil.copy(original, file)
        self.distribution = MAINTAINED._replace(pins=self.files['pins'], lock=self.files['lock'])
        monkeypatch.setitem(installer.DISTRIBUTIONS, 'maintained', self.distribution)
        monkeypatch.setattr(installer, 'ROOT', self.root)
        monkeypatch.setattr(installer, '__file__', str(self.files['install.py']))
        self.monkeypatch = monkeypatch
        self.answer()

    def answer(self, torch='2.13.0', cuda='', fails=()):
        """Decide the version of torch, its CUDA version if it finds a GPU, and the exit codes of
        commands by a part of their text.
        """
        text = json.dumps({'torch': torch, 'cuda': cuda, 'fails': dict(fails)})
        (self.bin / 'answers.json').write_text(text)

    def install(self, *options):
        """Install, and return the calls of the environment's Python."""
        calls = self.bin / 'calls.txt'
        calls.unlink(missing_ok=True)
        words = ['install.py', str(self.venv), '--operators', 'torchvision', *options]
        self.monkeypatch.setattr(sys, 'argv', words)
        installer.main()
        return self.read_calls()

    def read_calls(self):
        calls = self.bin / 'calls.txt'
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
    arguments = [step.format(lock=lock, root=environment.root).split() for step in STEPS]
    assert [sorted(found.split()) for found in list_installed(calls)] == [
        sorted({*words, '--quiet'}) for words in arguments
    ]
    assert sum(f'-c {pins} ' in call for call in calls if 'torch torchvision' in call) == 1
    assert any('-m compileall' in call for call in calls)
    assert environment.is_installed
    assert environment.install() == []


@pytest.mark.parametrize('name', ['pins', 'lock', 'setup.py', 'install.py'])
def test_changed_pins_requirements_and_steps_are_installed(name, environment):
    environment.install()
    with environment.files[name].open('a') as file:
        file.write('# changed\n')
    assert len(list_installed(environment.install())) == len(STEPS)


def test_the_original_packages_are_installed_beside_the_same_files(environment, monkeypatch):
    monkeypatch.setitem(installer.DISTRIBUTIONS, 'upstream', environment.distribution)
    environment.install()
    assert len(list_installed(environment.install('--openmmlab', 'upstream'))) == len(STEPS)


def test_another_torch_that_is_installed_is_kept(environment, capsys):
    """The pins would replace it."""
    environment.answer(torch='2.9.1+cu126')
    calls = environment.install()
    assert 'keeping torch 2.9.1+cu126' in capsys.readouterr().out
    assert not [call for call in calls if f'-c {environment.distribution.pins} ' in call]


def test_an_environment_that_does_not_work_is_made_anew(environment, monkeypatch):
    """Files of another Python in it would be found."""
    commands = []

    def fail(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(installer.subprocess, 'run', fail)
    with pytest.raises(SystemExit, match=f'{environment.venv} could not be created: see above'):
        environment.install()
    assert commands[-1] == [sys.executable, '-m', 'venv', '--clear', str(environment.venv)]
    assert not environment.is_installed


def test_a_python_that_is_too_new_installs_nothing(environment):
    environment.monkeypatch.setattr(sys, 'version_info', (3, 15, 0))
    with pytest.raises(SystemExit, match=r'Python 3\.10 to 3\.14 is needed'):
        environment.install()
    assert not (environment.bin / 'calls.txt').exists()


def test_other_operators_are_installed(environment):
    environment.install()
    assert len(list_installed(environment.install('--operators', 'auto'))) == len(STEPS)


IMPORTS_FAIL = 'The installed packages cannot be imported'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('failing', 'message'),
    [
        ('--require-hashes', 'pip could not install .*Call again to continue'),
        ('torch torchvision', 'pip could not install torch torchvision'),
        ('--editable', 'pip could not install'),
        *(
            (f'import {package}' if package == 'mmgcvit' else f', {package}', IMPORTS_FAIL)
            for package in ('mmgcvit', 'mmcv.ops', 'mmdet', 'mmseg', 'mmpretrain')
        ),
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
    assert f'FORCE_CUDA={cuda} MAX_JOBS=3 finds_ninja ' in build
    assert any('pip uninstall' in call and 'mmcv-lite' in call for call in calls)
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


def test_compiled_operators_are_not_built_again(environment, monkeypatch):
    """It takes many minutes. The environment has them if they are found."""
    monkeypatch.setattr(installer, 'find_missing_compiler', lambda: None)
    calls = environment.install('--operators', 'compiled')
    assert not [call for call in calls if 'MMCV_WITH_OPS' in call]
    assert environment.is_installed


def test_operators_that_do_not_compile_are_not_taken_for_complete(environment, monkeypatch):
    monkeypatch.setattr(installer, 'find_missing_compiler', lambda: None)
    environment.answer(fails={'find_spec': 1, '--force-reinstall': 1})
    log = environment.venv / 'mmcv-build.log'
    message = f'mmcv could not be compiled: see above, or the full log in {log}'
    with pytest.raises(SystemExit, match=message):
        environment.install('--operators', 'compiled')
    assert log.is_file()
    assert not environment.is_installed


@pytest.mark.parametrize(
    ('cuda', 'nvcc', 'has_compiler', 'is_built'),
    [
        ('12.6', 'Cuda compilation tools, release 12.4, V12.4.131', True, True),
        ('12.6', 'Cuda compilation tools, release 11.8, V11.8.89', True, False),
        ('12.6', 'Cuda compilation tools, release 12.4, V12.4.131', False, False),
        ('12.6', '', True, False),
        ('', 'Cuda compilation tools, release 12.4, V12.4.131', True, False),
    ],
)
def test_operators_are_built_by_themselves_only_where_gpu_nvcc_and_compiler_fit(
    cuda, nvcc, has_compiler, is_built, environment, monkeypatch, capsys
):
    programs = environment.root / 'programs'
    programs.mkdir()
    if nvcc:
        (programs / 'nvcc').write_text(f'#!/bin/sh\necho "{nvcc}"\n')
        (programs / 'nvcc').chmod(0o755)
    monkeypatch.setenv('PATH', str(programs))
    missing = None if has_compiler else 'no compiler is installed'
    monkeypatch.setattr(installer, 'find_missing_compiler', lambda: missing)
    environment.answer(cuda=cuda, fails={'find_spec': 1})
    calls = environment.install('--operators', 'auto')
    built = [call.split()[:2] for call in calls if call.startswith('MMCV_WITH_OPS')]
    assert built == [['MMCV_WITH_OPS=1', 'FORCE_CUDA=1']] * is_built
    assert ('no compiler is installed' in capsys.readouterr().out) == (not has_compiler)


def test_a_compiler_without_pythons_headers_is_not_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(installer.shutil, 'which', lambda name: name)
    monkeypatch.setattr(installer.sysconfig, 'get_paths', lambda: {'include': str(tmp_path)})
    assert "need Python's headers (Python.h)" in installer.find_missing_compiler()
    (tmp_path / 'Python.h').touch()
    assert installer.find_missing_compiler() is None


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='only Linux tells its memory so')
def test_as_many_files_are_compiled_at_once_as_cores_and_memory_allow(monkeypatch):
    monkeypatch.setattr(installer.os, 'sched_getaffinity', lambda _: range(64), raising=False)
    for gigabytes, number in ((1e-6, 64), (1e6, 1)):
        monkeypatch.setattr(installer, 'GIGABYTES_PER_COMPILER', gigabytes)
        assert installer.count_compilers() == number
