"""A rehearsal runs the commands of a real run in order, says what came of each, and ends at the first that fails."""

import json

import pytest

from mmgcvit.experiments.dry_run.observer import FILE
from mmgcvit.experiments.dry_run.steps import rehearse

from .test_checks import RESUMED, TESTED, TRAINED, config

OBSERVED = [TRAINED, RESUMED, TESTED]


@pytest.fixture
def rehearsed(tmp_path):
    """Rehearses with programs that only leave what was observed; what they were, what was said, and the verdict."""
    (tmp_path / 'run').mkdir()

    def rehearsed(observed, exit_codes=(0, 0, 0), cfg=None):
        programs, said = [], []

        def run(program, log):
            number = len(programs)
            programs.append(program)
            log.write(''.join(f'line {line} of {number}\n' for line in range(30)))
            (tmp_path / 'run' / 'last_checkpoint').write_text('epoch_1.pth\n')
            if observed[number] is not None:
                (tmp_path / 'run' / FILE).write_text(json.dumps(observed[number]))
            return exit_codes[number]

        passed = rehearse(cfg or whole(), tmp_path, said.append, run)
        return programs, said, passed

    return rehearsed


def whole(**settings):
    return config(**{'test_cfg': {}, 'train_cfg': {'by_epoch': False, 'max_iters': 2}, **settings})


def test_a_run_is_trained_resumed_and_tested(rehearsed, tmp_path):
    programs, said, passed = rehearsed(OBSERVED)
    assert passed
    assert [sentence.split(':')[0] for sentence in said] == ['train', 'resume', 'test']
    assert all(': OK (' in sentence for sentence in said)
    train, resume, test = programs
    assert train == ['mmgcvit', 'train', f'{tmp_path}/config.py']
    assert resume[:5] == [*train, '--resume', '--cfg-options']
    assert test == ['mmgcvit', 'test', f'{tmp_path}/config.py', 'epoch_1.pth']


def test_a_config_that_tests_nothing_is_not_tested(rehearsed):
    programs, _, passed = rehearsed(OBSERVED, cfg=whole(test_cfg=None))
    assert passed
    assert len(programs) == 2


def test_a_program_that_fails_ends_the_rehearsal_and_its_last_lines_are_said(rehearsed, tmp_path):
    programs, said, passed = rehearsed(OBSERVED, exit_codes=(0, 3))
    assert not passed
    assert len(programs) == 2
    assert said[-1].startswith('resume: FAILED after ')
    assert 'exit code 3\n  | line 5 of 1\n' in said[-1]
    assert said[-1].endswith(f'  | line 29 of 1\n  whole log: {tmp_path}/resume.log')


def test_a_program_that_fails_before_anything_is_observed_has_not_built_the_run(rehearsed):
    _, said, _ = rehearsed([None], exit_codes=(1,))
    assert said[-1].startswith('build: FAILED after ')


def test_a_program_that_ends_well_and_has_done_nothing_is_a_failure(rehearsed):
    """What the step before has observed is not taken for its own."""
    _, said, passed = rehearsed([TRAINED, None])
    assert not passed
    assert 'resume: FAILED' in said[-1]
    assert 'it ended without having trained or tested' in said[-1]


def test_what_a_check_refuses_is_said(rehearsed):
    _, said, passed = rehearsed([{**TRAINED, 'num_moved': 0}])
    assert not passed
    assert 'train: FAILED' in said[-1]
    assert 'did not change the weights of the model' in said[-1]
