"""Settings are stored in checkpoints as JSON, and compared with those of a resumed run."""

from mmengine.config import Config

from mmgcvit.engine.settings import compare_settings, get_plain_settings


def test_differences_have_dotted_names_and_a_size_is_one_setting():
    steps = [{'size': (8, 8), 'same': [1, 2]}, {'x': 1}]
    then = {'model': {'a': 1, 'b': {'c': 2}}, 'train_cfg': {'steps': steps, 'n': [1]}}
    steps = [{'size': (8, 9), 'same': (1, 2)}, {'x': 1.0}]
    now = {'model': {'a': 1, 'd': 3}, 'train_cfg': {'steps': steps, 'n': [1, 2]}}
    then, now = (get_plain_settings(Config(settings)) for settings in (then, now))
    assert list(compare_settings(then, now).values()) == [
        'model.b.c: 2 -> (none)',
        'train_cfg.steps.0.size: [8, 8] -> [8, 9]',
        'train_cfg.n: [1] -> [1, 2]',
        'model.d: (none) -> 3',
    ]
