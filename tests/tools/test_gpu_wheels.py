"""The wheels for a machine without network are those of the lock file, with their hashes.

Modules: `tools/installation/gpu_wheels.py`.
"""

import re
import subprocess
import sys
from pathlib import Path

import gpu_wheels

LOCK = """first==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
other==2.0 \\
    --hash=sha256:cc
second==3.0 ; python_full_version < '3.2' \\
    --hash=sha256:dd
second==4.0 ; python_full_version >= '3.2' \\
    --hash=sha256:ee
"""


def test_requirements_are_those_of_this_python_with_all_hashes(tmp_path, monkeypatch):
    lock = tmp_path / 'lock.txt'
    lock.write_text(LOCK)
    monkeypatch.setattr(gpu_wheels, 'LOCK', lock)
    listed = gpu_wheels.list_locked(['first', 'second'])
    assert [re.sub(r'[\s\\]+', ' ', each) for each in listed] == [
        'first==1.0 --hash=sha256:aa --hash=sha256:bb',
        'second==4.0 --hash=sha256:ee',
    ]


def test_every_package_is_in_the_lock_file():
    """A name that it lacks would be left out without a word."""
    names = {*gpu_wheels.OPENMMLAB, *gpu_wheels.OTHERS.split()}
    locked = re.findall(r'^([\w.-]+)==', gpu_wheels.LOCK.read_text(), re.MULTILINE)
    assert names <= {*locked}


def test_hashes_are_required_and_mmcv_is_built_without_operators(tmp_path, monkeypatch):
    calls = []

    def run(command, env, check):
        requirements = Path(command[command.index('--requirement') + 1]).read_text()
        calls.append(([*map(str, command)], env['MMCV_WITH_OPS'], check, requirements))

    monkeypatch.setattr(subprocess, 'run', run)
    monkeypatch.setattr(sys, 'argv', ['gpu_wheels.py', str(tmp_path / 'wheels')])
    gpu_wheels.main()
    (built, *_, openmmlab), (downloaded, *_, others) = calls
    assert all(call[1:3] == ('0', True) for call in calls)
    assert built[4:7] == ['wheel', '--no-deps', '--require-hashes']
    assert downloaded[4:7] == ['download', '--no-deps', '--require-hashes']
    assert '--only-binary=:all:' in downloaded
    assert openmmlab.count('onedl-') == 5
    assert 'pytest==' in others
    assert 'torch==' not in others
