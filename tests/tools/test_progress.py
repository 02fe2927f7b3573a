"""``--progress``: what training and testing show, and what they leave to the log."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import ROOT
from .commands import CONFIGS, TOOLS, call, call_in_shell, environment_for, evaluate, score, train

MOST_LINES = 10

pytestmark = pytest.mark.slow


def log_of(output):
    (path,) = re.findall(r'^log: (\S+)$', output, re.MULTILINE)
    return Path(path).read_text()


def test_training_and_testing_show_scores_and_name_the_log(digits, tmp_path):
    """In a handful of lines; the log has the hundreds that there are without."""
    output = train(digits, 'segment', tmp_path, '--progress')
    assert len(output.splitlines()) <= MOST_LINES
    assert 'Iter(train) [2/2]' in log_of(output)
    assert 'iteration 2 of 2 validated: ' in output
    tested = evaluate(digits, 'segment', tmp_path, '--progress')
    assert len(tested.splitlines()) <= MOST_LINES
    assert 'Load checkpoint' in log_of(tested)
    assert score(tested, 'mIoU') == pytest.approx(score(output, 'mIoU'), abs=1e-2)


def test_a_terminal_shows_a_bar(digits, tmp_path):
    screen, terminal = pty.openpty()
    command = [sys.executable, ROOT / 'tools' / 'train.py', CONFIGS / 'classify.py', '--work-dir', tmp_path]
    environment = environment_for(digits, TERM='xterm', COLUMNS='80')
    with subprocess.Popen([*command, '--progress'], stdout=terminal, stderr=terminal, cwd=ROOT, env=environment) as run:
        os.close(terminal)
        shown = read_all(screen)
    assert run.returncode == 0, shown
    assert 'training' in shown
    assert '━━━' in shown
    assert '4/4' in shown
    assert 'accuracy/top5' in shown


def read_all(screen):
    """What is written to a terminal until its last writer ends, which Linux tells by an error."""
    content = b''
    try:
        while part := os.read(screen, 4096):
            content += part
    except OSError:
        pass
    finally:
        os.close(screen)
    return content.decode()


def test_a_run_that_fails_shows_the_end_of_its_log(digits, tmp_path):
    command = [TOOLS / 'train.py', CONFIGS / 'classify.py', '--work-dir', tmp_path]
    options = ['--progress', '--cfg-options', 'model.head.type=NoSuch']
    output = call(digits, *command, *options, fails=True)
    assert 'NoSuch' in output
    assert 'Traceback' in log_of(output)
    assert re.search(r'^whole log: ', output, re.MULTILINE)
    assert len(output.splitlines()) <= 20


def test_of_two_processes_the_first_shows_how_they_get_on(digits, tmp_path):
    command = [TOOLS / 'dist_train.sh', CONFIGS / 'classify.py', '2', '--work-dir', tmp_path, '--progress']
    output = call_in_shell(digits, *command)
    assert len(re.findall(r'^epoch 1 of 1: loss \d', output, re.MULTILINE)) == 1
    assert len(re.findall(r'^epoch 1 of 1 validated: accuracy/top1 \d', output, re.MULTILINE)) == 1
    assert 'Epoch(train)' not in output
    assert 'Epoch(train)' in log_of(output)
