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
@pytest.mark.parametrize('resolve', [resolve_by_pip, resolve_by_uv])
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
