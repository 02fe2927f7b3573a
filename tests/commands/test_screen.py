"""The terminal hides startup messages and needless warnings; the log file of a run has them."""

import io
import sys
import warnings
from functools import partial

from mmengine.logging import MMLogger

from mmgcvit.commands.screen import hide_noise

say = partial(print, flush=True)
DUMPED = (
    f'\n{"-" * 60}\nSystem environment:\n    sys.platform: linux',
    'Config:\nmodel = dict()',
    'Hooks will be executed in the following order:\nbefore_run:',
    'paramwise_options -- backbone.norm.weight:lr=0.1',
    'mmcv has no compiled operators',
)


def say_all(log):
    """Print, log and warn as the OpenMMLab packages do, with a logger like a Runner's."""
    logger = MMLogger(f'of {log}', log_file=str(log))
    for message in DUMPED:
        logger.info(message)
    logger.warning('Config: not of a dump')
    say('Could not import OneDL. Skipping OneDL datasets.')
    say('between')
    say('Could not import OneDL')
    say()
    warnings.warn('old', DeprecationWarning, stacklevel=1)
    warnings.warn('wrong', UserWarning, stacklevel=1)
    warnings.warn('Default ``avg_non_ignore`` is False, if you', UserWarning, stacklevel=1)
    logger.handlers[1].close()


def test_startup_messages_and_needless_warnings_are_hidden_and_others_are_kept(tmp_path, monkeypatch):
    for verbose in ('0', '1'):
        monkeypatch.setenv('MMGCVIT_VERBOSE', verbose)
        monkeypatch.setattr(sys, 'stdout', stream := io.StringIO())
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter('always')
            monkeypatch.setattr(sys, 'warnoptions', [])
            with hide_noise():
                say_all(tmp_path / verbose)
        assert sys.stdout is stream
        said = stream.getvalue()
        noise = [*DUMPED, 'OneDL']
        if verbose == '1':
            assert all(words in said for words in noise)
            assert len(warned) == 3
        else:
            first, *rest = said.splitlines()
            assert first.endswith('WARNING - Config: not of a dump')
            assert rest == ['between', '']
            assert [str(warning.message) for warning in warned] == ['wrong']
        logged = (tmp_path / verbose).read_text()
        assert all(words in logged for words in noise[:-1]), 'the log file has them'
