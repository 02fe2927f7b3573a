"""Threads may load, call and draw at once: they get what one thread gets, and nothing global changes."""

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmgcvit.inference import load

from .conftest import TASKS, picture_of


def answer_of(model, number):
    """What a model finds in a picture, and the picture with it drawn in: arrays and names."""
    picture = picture_of(90, 120 + 8 * (number % 2), number)
    prediction = model(picture)
    return [*vars(prediction).values(), model.draw(picture, prediction)]


def read_globals():
    """State of the process that OpenMMLab packages change."""
    logger, random = MMLogger.get_current_instance(), np.random.get_state()
    return {
        'output': (id(sys.stdout), id(sys.stderr)),
        'log': (id(logger), logger.level, [(id(each), each.level) for each in logger.handlers]),
        'random numbers': (random[1].tobytes(), *random[2:]),
        'warnings': (id(warnings.filters), len(warnings.filters)),
    }


def test_threads_get_what_one_gets_and_change_nothing_global(models, work_dirs):
    tasks = [*TASKS] * 4
    expected = [answer_of(models[task], number) for number, task in enumerate(tasks)]

    def answer(number, task):
        threshold = {'score_thr': 0.0} if task == 'detection' else {}
        model = load(work_dirs[task], device='cpu', **threshold) if number < 6 else models[task]
        return answer_of(model, number)

    DefaultScope.get_instance('of a run that goes on', scope_name='mmengine')
    before = read_globals()
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(answer, *each) for each in enumerate(tasks)]
        while wait(asked, timeout=0.01).not_done:
            assert read_globals() == before
    assert DefaultScope.get_current_instance().scope_name == 'mmengine'
    for task, each, found in zip(tasks, asked, expected, strict=True):
        for one, other in zip(each.result(), found, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=task)
