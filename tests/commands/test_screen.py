"""The terminal has what a person wants to see, with ``--progress`` no more, and a file everything else."""

import io
import logging
import os
import subprocess
import sys
import warnings
from functools import partial
from types import SimpleNamespace

import pytest
from mmengine.logging import MMLogger

from mmgcvit.commands.screen import (
    LINES_OF_A_FAILURE,
    last_lines,
    new_log,
    newest_log,
    output_to,
    show_progress,
    without_noise,
)
from mmgcvit.engine.progress import Display
from mmgcvit.errors import UserError


def test_a_file_takes_what_python_a_child_and_compiled_code_print_and_the_terminal_the_rest(tmp_path, capfd):
    with output_to(tmp_path / 'log') as terminal:
        sys.stdout.write('of python\n')
        subprocess.run(['echo', 'of a child'], check=True)
        os.write(2, b'of compiled code\n')
        terminal.write('of progress\n')
    sys.stdout.write('afterwards\n')
    assert capfd.readouterr().out == 'of progress\nafterwards\n'
    assert (tmp_path / 'log').read_text() == 'of python\nof a child\nof compiled code\n'


def fail(log, error):
    with output_to(log):
        for number in range(100):
            sys.stdout.write(f'line {number}\n')
        raise error


def test_a_failure_says_the_last_lines_of_the_log_and_where_it_is_and_the_log_ends_with_the_traceback(tmp_path):
    log = tmp_path / 'log'
    with pytest.raises(SystemExit, match='no such thing') as error:
        fail(log, ValueError('no such thing'))
    said = str(error.value)
    assert str(log) in said
    assert len(said.splitlines()) == LINES_OF_A_FAILURE + 2
    assert 'line 50' not in said
    assert log.read_text().startswith('line 0\n')
    assert log.read_text().endswith('ValueError: no such thing\n')


@pytest.mark.parametrize('error', [UserError('take another'), OSError(28, 'No space left')])
def test_what_a_user_can_mend_is_left_to_the_command_and_has_no_traceback(error, tmp_path):
    with pytest.raises(type(error), match=r'take another|No space'):
        fail(tmp_path / 'log', error)
    assert (tmp_path / 'log').read_text().endswith('line 99\n')


def test_an_interruption_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as error, output_to(tmp_path / 'log'):
        raise KeyboardInterrupt
    assert error.value.code == 130
    assert capsys.readouterr().err == f'interrupted; log: {tmp_path / "log"}\n'


def test_each_process_has_a_log_and_the_newest_is_the_latest_runs(tmp_path):
    assert newest_log(tmp_path) is None
    for rank, pattern in ((0, 'console_????????_??????.log'), (3, 'console_*_rank3.log')):
        log = new_log(tmp_path / 'not' / 'there', rank)
        assert log.is_file()
        assert log.match(pattern)
    for time in ('20260101_000000', '20260102_000000'):
        (tmp_path / f'console_{time}.log').write_bytes(time.encode() + b'\xff')
    assert newest_log(tmp_path) == tmp_path / 'console_20260102_000000.log'
    said = last_lines(newest_log(tmp_path))
    assert said == (
        'the last lines of its log:\n  | 20260102_000000\N{REPLACEMENT CHARACTER}\n'
        f'whole log: {tmp_path}/console_20260102_000000.log'
    )


@pytest.fixture
def logger(tmp_path):
    """A logger as runners have it, to the terminal and a file."""
    return MMLogger(f'of {tmp_path}', log_file=str(tmp_path / 'log'))


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


say = partial(print, flush=True)
DUMPED = (
    f'\n{"-" * 60}\nSystem environment:\n    sys.platform: linux',
    'Config:\nmodel = dict()',
    'Hooks will be executed in the following order:\nbefore_run:',
    'paramwise_options -- backbone.norm.weight:lr=0.1',
    'mmcv has no compiled operators',
)


def say_all(log):
    """What hosts say, once with a logger as runners have it; gives what came of it."""
    logger = MMLogger(f'of {log}', log_file=str(log))
    for message in DUMPED:
        logger.info(message)
    logger.warning('"FileClient" will be deprecated in future. Please use io functions')
    logger.warning('Config: not of a dump')
    say('Could not import OneDL. Skipping OneDL datasets.')
    say('between')
    say('Could not import OneDL')
    say()
    warnings.warn('old', DeprecationWarning, stacklevel=1)
    warnings.warn('wrong', UserWarning, stacklevel=1)
    warnings.warn('Default ``avg_non_ignore`` is False, if you', UserWarning, stacklevel=1)
    logger.handlers[1].close()


def test_dumps_needless_warnings_and_deprecations_are_left_out_and_nothing_else_is(tmp_path, monkeypatch):
    for verbose in ('0', '1'):
        monkeypatch.setenv('MMGCVIT_VERBOSE', verbose)
        monkeypatch.setattr(sys, 'stdout', stream := io.StringIO())
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter('always')
            monkeypatch.setattr(sys, 'warnoptions', [])
            with without_noise():
                say_all(tmp_path / verbose)
        assert sys.stdout is stream
        said = stream.getvalue()
        noise = [*DUMPED, 'FileClient', 'OneDL']
        if verbose == '1':
            assert all(words in said for words in noise)
            assert len(warned) == 3
        else:
            first, *rest = said.splitlines()
            assert first.endswith('WARNING - Config: not of a dump')
            assert rest == ['between', '']
            assert [str(warning.message) for warning in warned] == ['wrong']
        logged = (tmp_path / verbose).read_text()
        assert all(words in logged for words in noise[:-1]), 'the file has them'


def test_what_is_no_text_is_the_streams_own(tmp_path):
    with (tmp_path / 'file').open('w') as file:
        stream, sys.stdout = sys.stdout, file
        try:
            with without_noise():
                assert (sys.stdout.fileno(), sys.stdout.isatty()) == (file.fileno(), False)
                os.write(sys.stdout.fileno(), b'below\n')
                say('above')
        finally:
            sys.stdout = stream
    assert (tmp_path / 'file').read_text() == 'below\nabove\n'
