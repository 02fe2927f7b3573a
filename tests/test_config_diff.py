"""Configs are compared by what they mean, and what a checkpoint holds as text is parsed and never run."""

from collections.abc import Mapping
from math import inf
from pathlib import Path

import pytest
from mmengine.config import Config

from mmgcvit.config_diff import ABSENT, Expression, differences, plain_settings, settings_of_text

CONFIGS = ('custom_coco', 'dino_gcvit_l_fsdp', 'lsa_t_cifar10', 'upernet_gcvit_t')


def changed(value, place, new):
    """A copy of a nested value with another one at a place in it, or with nothing there (:data:`ABSENT`)."""
    if not place:
        return new
    first, *rest = place
    if isinstance(value, Mapping):
        entries = {**value, first: changed(value.get(first), rest, new)}
        return {name: inner for name, inner in entries.items() if inner is not ABSENT}
    items = list(value)
    items[first] = changed(items[first], rest, new)
    return type(value)(items)


@pytest.mark.parametrize('name', CONFIGS)
def test_what_mmengine_writes_out_is_read_back_as_it_was(name):
    cfg = Config.fromfile(f'configs/{name}.py')
    assert not list(differences(settings_of_text(cfg.pretty_text), plain_settings(cfg)))
    assert plain_settings(cfg)['train_cfg'] == cfg.train_cfg.to_dict()


def test_all_kinds_of_values_are_read():
    model = {'type': int, 'a-b': {'c': (1, -2.5)}, 1: [{'d': None}, []], 'clip': inf, 'low': -inf, 'text': 'dict(a=b)'}
    found = plain_settings(Config({'model': model, 'data_preprocessor': {'type': 'P'}, 'my_variable': 1}))
    assert found == {'model': {**model, 'type': 'int', 'data_preprocessor': {'type': 'P'}}}


def test_a_text_runs_nothing_what_is_no_plain_value_stays_text_and_what_is_no_config_counts_as_none(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for text in (
        'open("ran", "w")',
        '(lambda: open("ran", "w"))()',
        '[open("ran", "w") for _ in "a"]',
        'f"{open(chr(97), chr(119))}"',
        'dict(**open("ran", "w"))',
        *('range(3, 4)', 'torch.float32', '{**a}', '-a', 'nan'),
    ):
        found = settings_of_text(f'model = dict(a={text}, b=1)')
        assert isinstance(found['model']['a'], Expression), text
        assert [each.name for each in differences(found, settings_of_text(f'model = dict(a={text}, b=2)'))] == [
            'model.b'
        ]
    for text in (
        'import antigravity',
        'model = dict(a=1)\nopen("ran", "w")',
        'model = {[]: 1}',
        *('model = 1 +', '(', 'model = ' + '(' * 1000, 'model = ' + '-' * 10**5 + '1', 'model = a' + '.a' * 10**5),
        *('model = <odd>', None, b'model = 1', 7),
    ):
        assert settings_of_text(text) is None, text
    assert not list(Path().iterdir())


def test_a_difference_has_its_place_and_a_size_is_one_setting():
    then = {'model': {'a': 1, 'b': {'c': 2}}, 'steps': [{'size': (8, 8), 'same': [1, 2]}, {'x': 1}]}
    now = {'model': {'a': 1, 'd': 3}, 'steps': [{'size': (8, 9), 'same': (1, 2)}, {'x': 1.0}]}
    found = list(differences(then, now))
    assert [str(each) for each in found] == [
        "model.b: {'c': 2} -> (none)",
        'model.d: (none) -> 3',
        'steps.0.size: (8, 8) -> (8, 9)',
    ]
    for each in found:
        now = changed(now, each.place, each.then)
    assert not list(differences(then, now))
    assert found[1].then is ABSENT
    assert [each.name for each in differences({'a': [1, 2]}, {'a': [1, 2, 3]})] == ['a']


def test_steps_that_training_wraps_are_those_that_it_was_given():
    steps = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}]
    wrapped = {'type': 'mmgcvit.SkipUnreadable', 'transforms': steps, 'damaged_images': 20}
    as_given, as_run = (
        Config({'train_dataloader': {'dataset': {'pipeline': [*pipeline, {'type': 'Pack'}]}}})
        for pipeline in (steps, [wrapped])
    )
    assert not list(differences(plain_settings(as_given), plain_settings(as_run)))
