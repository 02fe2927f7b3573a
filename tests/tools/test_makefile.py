"""The Makefile passes its variables on, installs only what is locked, and removes only its own files.

Modules: `Makefile`.
"""

import os

import pytest

from .. import programs


def make(*words, **environment):
    """Return what make prints, without settings of the environment."""
    environment['PATH'] = os.environ['PATH']
    ended = programs.run(['make', *words], environment)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.replace('\\\n', '')


def dry_run(*words):
    """Return the commands that make would run."""
    return make('--dry-run', '--always-make', *words)


def test_the_installer_gets_the_variables():
    settings = ['VENV=env', 'PYTHON=mine', 'OPENMMLAB=upstream', 'OPERATORS=compiled']
    call = 'mine tools/installation/install.py env --openmmlab upstream --operators compiled\n'
    assert dry_run('install', *settings) == call
    call = 'python3 tools/installation/install.py .venv --openmmlab maintained --operators auto\n'
    assert dry_run('install') == call


@pytest.mark.parametrize(
    ('target', 'lock'),
    [
        ('docs', 'locks/docs.txt'),
        ('build/rotated/installed', 'locks/rotated.txt'),
        ('build/transformers5/installed', 'locks/transformers5.txt'),
        ('build/keypoints/installed', 'build/keypoints-00'),
        ('build/keypoints/installed', 'build/keypoints-01'),
    ],
)
def test_further_packages_are_those_of_the_lock_files(target, lock):
    """With their hashes, and without dependencies that no lock file names."""
    commands = dry_run(target).splitlines()
    (call,) = [each for each in commands if f'--requirement {lock}' in each]
    assert ' -m pip install ' in call
    assert ' --no-deps --require-hashes ' in call


@pytest.mark.parametrize(
    ('target', 'removed'),
    [
        ('clean', 'rm -rf work_dirs/demo data/digits build/docs build/doctrees build/links'),
        (
            'distclean',
            'rm -rf .venv .venv-upstream build/rotated build/keypoints build/transformers5',
        ),
    ],
)
def test_only_own_files_are_removed(target, removed):
    assert dry_run(target).splitlines()[-1] == removed


@pytest.mark.parametrize(
    ('target', 'config'),
    [
        ('demo', 'configs/demo/mask_rcnn_gcvit_digits.py --work-dir work_dirs/demo/detector'),
        ('demo-seg', 'configs/demo/upernet_gcvit_digits.py --work-dir work_dirs/demo/segmentor'),
    ],
)
def test_a_demo_begins_anew(target, config):
    call = f'.venv/bin/python -m mmgcvit train --overwrite --progress {config}'
    assert dry_run(target).splitlines()[-1] == call


def test_bytecode_is_written_also_in_containers():
    """They often forbid it, and each process would compile torch again."""
    rule = 'show: ; @echo "[$$PYTHONDONTWRITEBYTECODE]"'
    assert make(f'--eval={rule}', 'show', PYTHONDONTWRITEBYTECODE='1') == '[]\n'
