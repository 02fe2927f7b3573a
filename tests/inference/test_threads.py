"""Threads share a process and its models: answers are those of one after the other, and nothing global changes."""

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmgcvit.inference import load

from ..programs import run
from .conftest import TASKS, make_work_dir, picture_of

# Loads at once, as the first that a process does; prints what each found and what is left of the process.
FIRST = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from mmgcvit import load

stdout = sys.stdout
picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
with ThreadPoolExecutor(6) as pool:
    found = list(pool.map(lambda folder: vars(load(folder, device='cpu')(picture)), sys.argv[1:] * 2))
for one, other in zip(found[:3], found[3:]):
    for name in one:
        assert np.array_equal(one[name], other[name]), name
assert sys.stdout is stdout
print('done')
"""


def answer_of(model, number):
    """What a model finds in a picture, and the picture with it drawn in: arrays and names."""
    picture = picture_of(90, 120 + 8 * (number % 2), number)
    prediction = model(picture)
    return [*vars(prediction).values(), model.draw(picture, prediction)]


def globals_now():
    """What of a process threads have in common, and hosts change."""
    scope, logger, random = DefaultScope.get_current_instance(), MMLogger.get_current_instance(), np.random.get_state()
    return {
        'stdout': id(sys.stdout),
        'stderr': id(sys.stderr),
        'log': (id(logger), logger.level, len(logger.filters), [(id(each), each.level) for each in logger.handlers]),
        'random numbers': (random[1].tobytes(), *random[2:]),
        'warnings': (id(warnings.filters), len(warnings.filters)),
        'scope': scope and scope.scope_name,
    }


def test_threads_that_load_call_and_draw_get_what_one_gets_and_change_nothing_global(models, work_dirs):
    tasks = [*TASKS] * 4
    expected = [answer_of(models[task], number) for number, task in enumerate(tasks)]

    def answer(number, task):
        threshold = {'score_thr': 0.0} if task == 'detection' else {}
        model = load(work_dirs[task], device='cpu', **threshold) if number < 6 else models[task]
        return answer_of(model, number)

    DefaultScope.get_instance('of a run that goes on', scope_name='mmengine')
    before = globals_now()
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(answer, *each) for each in enumerate(tasks)]
        while wait(asked, timeout=0.01).not_done:
            # While a model is built, by one thread at a time, mmengine's only scope is that of its host.
            assert {**globals_now(), 'scope': None} == {**before, 'scope': None}
    assert globals_now() == before
    for task, each, found in zip(tasks, asked, expected, strict=True):
        for one, other in zip(each.result(), found, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=task)


@pytest.mark.long
def test_models_are_loaded_by_several_threads_first_of_all(tmp_path):
    """Where hosts are imported on the way."""
    folders = [make_work_dir(tmp_path / task, task) for task in TASKS]
    assert run([sys.executable, '-c', FIRST, *folders]).stdout.endswith('done\n')
