"""With ``--progress`` the terminal has what a person wants to see, and a file everything else."""

import io
import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from mmengine.logging import MMLogger

from mmgcvit.commands.console_log import LINES_OF_A_FAILURE
from mmgcvit.commands.screen import ended_in_a_few_lines, leave_parameter_options_to_the_file, output_to, show_progress
from mmgcvit.engine.progress import Display


def test_a_file_takes_what_python_a_child_and_compiled_code_print_and_the_terminal_the_rest(tmp_path, capfd):
    with output_to(tmp_path / 'log') as terminal:
        sys.stdout.write('of python\n')
        subprocess.run(['echo', 'of a child'], check=True)
        os.write(2, b'of compiled code\n')
        terminal.write('of progress\n')
    sys.stdout.write('afterwards\n')
    assert capfd.readouterr().out == 'of progress\nafterwards\n'
    assert (tmp_path / 'log').read_text() == 'of python\nof a child\nof compiled code\n'


def test_a_failure_says_the_last_lines_of_the_log_and_where_it_is_and_the_log_ends_with_the_traceback(tmp_path):
    log = tmp_path / 'log'

    def fail():
        with ended_in_a_few_lines(log), output_to(log):
            for number in range(100):
                sys.stdout.write(f'line {number}\n')
            raise ValueError('no such thing')

    with pytest.raises(SystemExit, match='no such thing') as error:
        fail()
    said = str(error.value)
    assert str(log) in said
    assert len(said.splitlines()) == LINES_OF_A_FAILURE + 2
    assert 'line 50' not in said
    assert log.read_text().startswith('line 0\n')
    assert log.read_text().endswith('ValueError: no such thing\n')


def test_an_interruption_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as error, ended_in_a_few_lines(tmp_path / 'log'):
        raise KeyboardInterrupt
    assert error.value.code == 130
    assert capsys.readouterr().err == f'interrupted; log: {tmp_path / "log"}\n'


@pytest.fixture
def logger(tmp_path):
    """A logger as runners have it, to the terminal and a file."""
    return MMLogger(f'of {tmp_path}', log_file=str(tmp_path / 'log'))


def test_options_of_single_parameters_are_in_the_log_file_only(logger, tmp_path, capsys):
    logger.handlers[0].setStream(stream := io.StringIO())
    leave_parameter_options_to_the_file(SimpleNamespace(logger=logger))
    logger.info('paramwise_options -- backbone.norm.weight:lr=0.1')
    logger.info('training begins')
    assert 'training begins' in stream.getvalue()
    assert 'paramwise_options' not in stream.getvalue()
    assert 'paramwise_options' in (tmp_path / 'log').read_text()


def test_warnings_and_errors_of_the_log_are_shown_once_but_for_needless_ones(logger, tmp_path):
    shown = io.StringIO()
    logger.handlers[0].setLevel(logging.CRITICAL)
    show_progress(SimpleNamespace(logger=logger, register_hook=lambda hook: None), Display(shown))
    for _ in range(2):
        logger.warning('the batch is small')
    logger.info('nothing new')
    logger.error('the loss is not finite')
    logger.warning('"FileClient" will be deprecated in future.')
    assert shown.getvalue() == 'warning: the batch is small\nerror: the loss is not finite\n'
    assert 'FileClient' in (tmp_path / 'log').read_text()


def test_lines_say_how_far_a_loop_is_every_few_seconds(monkeypatch):
    """Not with every iteration; of an inner loop while it runs; never longer than a screen is wide."""
    shown = io.StringIO()
    lines = Display(shown)
    lines.begin('training', 10, done=2)
    lines.advance(3, 'loss 3.0')
    assert shown.getvalue() == ''
    monkeypatch.setattr('mmgcvit.engine.progress.SECONDS_BETWEEN_LINES', -1.0)
    lines.advance(4, 'loss 2.0')
    lines.begin('validating', 5)
    lines.advance(1)
    lines.end()
    lines.advance(5, 'many losses, ' * 50)
    training, validating, long = shown.getvalue().splitlines()
    assert training.startswith('training: 4 of 10')
    assert training.endswith(', loss 2.0')
    assert validating.startswith('validating: 1 of 5')
    assert long.startswith('training: 5 of 10')
    assert len(long) <= 100
