"""The terminal hides startup messages and needless warnings; the log file of a run has them."""

import sys
import warnings

import pytest
from mmengine.logging import MMLogger

from mmgcvit.commands.main import hide_noise

DUMPED = (
    f'\n{"-" * 60}\nSystem environment:\n    sys.platform: linux',
    'Config:\nmodel = dict()',
    'Hooks will be executed in the following order:\nbefore_run:',
    'paramwise_options -- backbone.norm.weight:lr=0.1',
    'mmcv has no compiled operators',
)


@pytest.mark.parametrize('verbose', [False, True])
def test_startup_messages_and_needless_warnings_are_hidden_and_others_are_kept(verbose, tmp_path, monkeypatch, capsys):
    """Print, log and warn as the OpenMMLab packages do, with a logger like a Runner's."""
    monkeypatch.setenv('MMGCVIT_VERBOSE', str(int(verbose)))
    monkeypatch.setattr(sys, 'warnoptions', [])
    with warnings.catch_warnings(record=True) as warned, hide_noise():
        if verbose:
            warnings.simplefilter('always')
        logger = MMLogger(str(tmp_path), log_file=str(tmp_path / 'log'))
        for message in DUMPED:
            logger.info(message)
        logger.warning('Config: not of a dump')
        print('Could not import OneDL. Skipping OneDL datasets.')  # noqa: T201
        print('between\n')  # noqa: T201
        warnings.warn('old', DeprecationWarning, stacklevel=1)
        warnings.warn('wrong', UserWarning, stacklevel=1)
        warnings.warn('Default ``avg_non_ignore`` is False, if you', UserWarning, stacklevel=1)
        logger.handlers[1].close()
    logged, printed = (tmp_path / 'log').read_text(), capsys.readouterr().out
    assert all(message in logged for message in DUMPED)
    if verbose:
        assert all(message in printed for message in (*DUMPED, 'OneDL'))
        assert len(warned) == 3
    else:
        first, *rest = printed.splitlines()
        assert first.endswith('WARNING - Config: not of a dump')
        assert rest == ['between', '']
        assert [str(warning.message) for warning in warned] == ['wrong']
