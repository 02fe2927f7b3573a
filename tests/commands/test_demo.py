"""The demo's own part: what has been done is not done again, and whoever ends it ends the step it waits for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmgcvit.commands.demo import CLASSIFIER, TRAINED, check_digits, is_trained, note_trained
from mmgcvit.commands.steps import killed
from mmgcvit.hosts.configs import configs_with
from mmgcvit.visualization.curves import latest_entry

from ..conftest import ROOT

CONFIG = ROOT / 'configs' / 'demo' / CLASSIFIER


@pytest.fixture
def trained(tmp_path):
    """A work dir as a finished training leaves it."""
    note_trained(tmp_path, CONFIG)
    (tmp_path / 'epoch_9.pth').touch()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_9.pth'))
    return tmp_path


def test_a_finished_training_of_the_same_config_is_taken(trained):
    assert is_trained(trained, CONFIG)


def test_it_is_trained_again_where_its_config_or_one_below_has_changed(trained, tmp_path):
    changed = tmp_path / 'changed' / CLASSIFIER
    changed.parent.mkdir()
    changed.write_text(f'_base_ = {str(CONFIG)!r}\nlr = 1.0\noptim_wrapper = dict(optimizer=dict(lr=lr))\n')
    assert not is_trained(trained, changed)


@pytest.mark.parametrize('name', ['epoch_9.pth', 'last_checkpoint', TRAINED])
def test_it_is_trained_again_where_a_file_of_it_is_missing(name, trained):
    (trained / name).unlink()
    assert not is_trained(trained, CONFIG)


def test_without_the_packages_that_make_its_data_it_says_how_to_get_them(monkeypatch):
    monkeypatch.setattr('mmgcvit.commands.demo.DIGITS_NEED', ('json', 'no_such_package'))
    with pytest.raises(SystemExit, match=r'with no_such_package, .*mmgcvit\[digits\]'):
        check_digits()


def test_its_configs_are_found_in_a_checkout_and_in_an_installed_wheel(monkeypatch, tmp_path):
    checkout, wheel = tmp_path / 'configs', tmp_path / 'mmgcvit' / '.mim' / 'configs'
    monkeypatch.setattr('mmgcvit.hosts.configs.PLACES', (checkout, wheel))
    with pytest.raises(SystemExit, match='install the package again'):
        configs_with(f'demo/{CLASSIFIER}')
    for place in (wheel, checkout):
        (place / 'demo').mkdir(parents=True)
        (place / 'demo' / CLASSIFIER).touch()
        assert configs_with(f'demo/{CLASSIFIER}') == place


def test_the_latest_score_is_taken_of_training_and_testing(tmp_path):
    """mmengine logs validation as lines beside the losses, and a test as a file of its own."""
    validated, tested = tmp_path / '20260101_000000', tmp_path / '20260102_000000'
    for folder in (validated, tested):
        (folder / 'vis_data').mkdir(parents=True)
    (validated / 'vis_data' / 'scalars.json').write_text('{"loss": 1.0}\n{"mIoU": 40.0}\n{"mIoU": 50.0}\n')
    assert latest_entry(tmp_path, 'mIoU')['mIoU'] == 50
    (tested / f'{tested.name}.json').write_text('{"mIoU": 60.0}')
    assert latest_entry(tmp_path, 'mIoU')['mIoU'] == 60


def test_of_a_step_that_was_killed_the_end_of_its_log_is_said(tmp_path):
    (tmp_path / 'console_20260101_000000.log').write_text('of an earlier run')
    (tmp_path / 'console_20260102_000000.log').write_text('first line\n' + 'line\n' * 20 + 'last line\n')
    said = killed(signal.SIGKILL, 'train', ('a.py', '--work-dir', tmp_path, '--progress'))
    assert 'SIGKILL' in said
    assert 'last line' in said
    assert 'first line' not in said
    assert said.endswith('console_20260102_000000.log')


def steps_of(pid):
    """The demo's steps that run; what its imports start is none."""
    children = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    return [child for child in children if b'mmgcvit.commands.make_digits' in command_line(child)]


def command_line(pid):
    try:
        return Path(f'/proc/{pid}/cmdline').read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b''


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(('number', 'code'), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_ending_the_demo_ends_its_step(number, code, tmp_path):
    """As Ctrl-C does, which the terminal sends to both, and whoever ends the demo alone."""
    command = [sys.executable, '-m', 'mmgcvit.commands.demo', '--work-dir', str(tmp_path / 'work')]
    environment = os.environ | {'PYTHONPATH': str(ROOT)}
    demo = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        # Shells have what they run in the background ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_for(lambda: steps_of(demo.pid))
        (step,) = steps_of(demo.pid)
        demo.send_signal(number)
        assert demo.wait(30) == code
        wait_for(lambda: not Path(f'/proc/{step}').exists(), seconds=10)
    finally:
        demo.kill()


@pytest.mark.slow
def test_a_step_that_fails_ends_the_demo_with_its_reason(tmp_path):
    (tmp_path / 'data' / 'digits').mkdir(parents=True)
    (tmp_path / 'data' / 'digits' / 'of someone else').touch()
    command = [sys.executable, '-m', 'mmgcvit.commands.demo']
    environment = os.environ | {'PYTHONPATH': str(ROOT)}
    demo = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert demo.returncode == 1
    assert 'was not made by this tool' in demo.stderr
    assert '2 of 4' not in demo.stdout
