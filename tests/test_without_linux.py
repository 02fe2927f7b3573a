"""Without what macOS lacks, a command predicts, and trains with a spawned data worker, on the CPU.

Modules: `mmgcvit/host/device.py`, `mmgcvit/engine/interrupts.py`, `mmgcvit/engine/runner.py`.
"""

import sys

import cv2
import numpy as np
import pytest

from .programs import ROOT, run

pytestmark = pytest.mark.long


def run_without_linux(*arguments):
    ended = run([sys.executable, '-m', 'tests.without_linux', *arguments])
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    return ended.stdout


def test_what_is_taken_away_is_missed():
    code = 'import tests.without_linux, os; os.sched_getaffinity(0)'
    assert 'AttributeError' in run([sys.executable, '-c', code]).stderr
    code = 'import tests.without_linux; open("/proc/self/status")'
    assert 'FileNotFoundError' in run([sys.executable, '-c', code]).stderr


def test_the_first_command_of_the_readme_finds_the_coins(tmp_path):
    config = 'configs/demo/mask_rcnn_gcvit_objects.py'
    picture = ROOT / 'docs' / 'images' / 'coins.jpg'
    output = run_without_linux('predict', config, picture, '--out-dir', tmp_path / 'out')
    assert '24 × object' in output


def test_a_training_with_a_spawned_data_worker_ends_and_is_resumed(tmp_path):
    random = np.random.default_rng(0)
    for name, level in {'dark': 60, 'light': 190}.items():
        folder = tmp_path / 'photos' / name
        folder.mkdir(parents=True)
        for letter in 'abcdefghij':
            pixels = level + random.integers(0, 40, (48, 48, 3))
            cv2.imwrite(str(folder / f'{name}{letter}.png'), pixels)
    options = ['--data', tmp_path / 'photos', '--size', 'mini', '--workers', '1']
    options += ['--work-dir', tmp_path / 'run']
    run_without_linux('train', *options, '--epochs', '1')
    run_without_linux('train', *options, '--epochs', '2', '--resume')
    assert (tmp_path / 'run' / 'last_checkpoint').read_text().endswith('epoch_2.pth')
