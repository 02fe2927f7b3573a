"""Processes ask each other for a scheduler's warning once a second of their slowest, all at the same iterations."""

import signal
from types import SimpleNamespace

import pytest
from mmengine.dist import all_reduce
from mmengine.runner import IterBasedTrainLoop

from mmgcvit.engine import early_end
from mmgcvit.engine.early_end import EndEarlyHook

from ..processes import answers_of

CASES = {
    # Seconds of a step in each process, the iteration at which the second one is warned, and a run's settings.
    'of many steps a second': ((0.01, 0.05), 130, {}),
    'of steps of two seconds': ((2.0, 0.5), 7, {}),
    'of a pace that slackens': ((0.01, 0.01), 250, {'slow_from': 120}),
    'before an epoch ends': ((0.01, 0.01), 85, {'epoch': 90}),
    'before a validation of a run that counts iterations': ((0.01, 0.01), 71, {'val_interval': 75}),
    'within an accumulated step': ((0.05, 0.05), 30, {'accumulated': 7}),
    'never, at the last step': ((0.01, 0.01), 499, {}),
}


def run_warned(seconds, warned, slow_from=500, epoch=500, val_interval=0, accumulated=1):
    """Iterations of one process, on a clock of its own: when it asked, and after which it ended."""
    clock, asked = [0.0], []
    early_end.time = SimpleNamespace(monotonic=lambda: clock[0])
    early_end.save_early = lambda runner: 'iter.pth'
    early_end.all_reduce = lambda *arguments: (asked.append(runner.iter), all_reduce(*arguments))
    loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop) if val_interval else None
    loop and setattr(loop, 'val_interval', val_interval)
    runner = SimpleNamespace(iter=0, max_iters=500, train_loop=loop, train_dataloader=range(epoch))
    runner.logger = SimpleNamespace(warning=lambda text: None)
    runner.optim_wrapper = SimpleNamespace(should_update=lambda: (runner.iter + 1) % accumulated == 0)
    hook = EndEarlyHook()
    for runner.iter in range(500):
        clock[0] += seconds * (100 if runner.iter >= slow_from else 1)
        if runner.iter == warned:
            hook.note(signal.SIGTERM, None)
        try:
            hook.after_train_iter(runner, runner.iter % epoch)
        except SystemExit:
            break
    return asked, runner.iter


def run_all(rank):
    return [run_warned(paces[rank], warned if rank else None, **settings) for paces, warned, settings in CASES.values()]


@pytest.mark.slow
def test_processes_ask_once_a_second_at_the_same_iterations_and_end_together():
    answers = answers_of(run_all, [(0,), (1,)])
    assert answers[0] == answers[1]
    asked = dict(zip(CASES, answers[0], strict=True))
    assert asked['of many steps a second'] == ([0, 20, 40, 60, 80, 100, 120, 140], 140)
    assert asked['of steps of two seconds'] == ([*range(8)], 7)
    # Once late, then at each step of a second.
    assert asked['of a pace that slackens'] == ([0, 100, 200, *range(201, 251)], 250)
    assert asked['before an epoch ends'] == ([0, 89], 89)
    assert asked['before a validation of a run that counts iterations'] == ([0, 74], 74)
    assert asked['within an accumulated step'] == ([0, 20, 40, 41], 41)
    assert asked['never, at the last step'] == ([0, 100, 200, 300, 400, 499], 499)
