"""Each option of ``train --data`` stands once: the command line, make_config, templates, resumed runs
and the docs agree about its name, values and default.
"""

import dataclasses
import re
from argparse import ArgumentParser

import pytest

from docs.drawings import option_table
from mmgcvit import check_choices
from mmgcvit.commands import train
from mmgcvit.errors import UserError
from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.training.config import make_config
from mmgcvit.own.training.options import OPTIONS, Options, format_option, list_changed, make_options
from mmgcvit.own.training.template import read_head
from mmgcvit.own.training.templates import MIN_EPOCHS, MINI, NUM_SEEN, TEMPLATES

from ...conftest import ROOT
from ..data.formats.made import write_example

INVALID = {
    'task': 'segments',
    'size': 'huge',
    'epochs': 0,
    'image_size': 31,
    'tiles': 31,
    'batch_size': 0,
    'lr': float('nan'),
    'workers': -1,
    'augment': 'stong',
    'fine_tune': 'lara',
}


def parse(*arguments):
    parser = ArgumentParser()
    train.add_options(parser)
    return train.read_data_options(parser.parse_args(['--data', 'photos', *arguments]))


@pytest.mark.parametrize('name', OPTIONS)
def test_the_command_line_has_each_option_with_its_help(name, capsys):
    assert getattr(parse(), name) is None
    with pytest.raises(SystemExit):
        parse('--help')
    words = ' '.join(capsys.readouterr().out.split())
    assert ' '.join(OPTIONS[name].full_help.split()).replace('- ', '-') in words.replace('- ', '-')


@pytest.mark.parametrize('name', INVALID)
def test_values_that_are_not_allowed_are_rejected_from_python_too(name):
    with pytest.raises(UserError, match=rf'^{format_option(name)} \S+: expected '):
        make_options(**{name: INVALID[name]})


def test_a_misspelt_option_of_make_config_is_rejected_with_the_one_that_is_meant(tmp_path):
    write_example(tmp_path / 'photos', 'classes')
    dataset = read_folder(tmp_path / 'photos')
    with pytest.raises(UserError, match=r"no option 'fine_tun'; did you mean fine_tune\?"):
        make_config(dataset, tmp_path / 'run', fine_tun='head')
    assert not (tmp_path / 'run').exists()


def test_tiles_may_be_without_a_side():
    assert [parse('--tiles').tiles, parse('--tiles', '64').tiles] == [0, 64]


def test_options_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options().epochs = 3


@pytest.mark.parametrize('template', TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize('name', ['fine_tune', 'augment'])
def test_templates_have_the_choices_of_the_options_and_allow_no_others(name, template):
    path = ROOT / 'configs' / template.config
    assert read_head(path)[name] in OPTIONS[name].choices
    assert f'{name}={name}' in re.search(r'check_choices\((.*)\)', path.read_text())[1]
    with pytest.raises(UserError, match=f"^{name} = 'x': expected "):
        check_choices(**{name: 'x'})
    for choice in OPTIONS[name].choices:
        check_choices(**{name: choice})


@pytest.mark.parametrize('template', TEMPLATES.values(), ids=TEMPLATES)
def test_the_head_of_a_template_has_the_variables_that_it_speaks_of(template):
    head = read_head(ROOT / 'configs' / template.config)
    assert template.has_objects == ('max_objects' in head)
    assert template.can_tile == ('tiles' in head)
    assert {*template.list_defaults('tiny'), *template.list_defaults(MINI)} <= head.keys()


def list_defaults(name, size):
    """Return the values of a variable in the templates, neighbours that are equal once."""
    values = []
    for template in TEMPLATES.values():
        head = read_head(ROOT / 'configs' / template.config) | template.list_defaults(size)
        if head[name] is not None and head[name] not in values[-1:]:
            values.append(head[name])
    return values


@pytest.mark.parametrize('name', ['image_size', 'batch_size', 'lr', 'workers', 'epochs'])
def test_help_has_the_defaults_of_the_templates_as_numbers(name):
    if name == 'epochs':
        seen = dict.fromkeys(template.num_seen for template in TEMPLATES.values())
        expected = [MIN_EPOCHS, NUM_SEEN, *seen]
    else:
        expected = [*list_defaults(name, 'tiny'), *list_defaults(name, MINI)]
    if name == 'lr':
        expected += [
            *list_defaults('lr_batch_size', 'tiny'),
            *list_defaults('lr_batch_size', MINI),
        ]
    numbers = re.findall(r'\d[\d.e-]*\b', OPTIONS[name].default)
    assert [float(number) for number in numbers] == expected


@pytest.mark.parametrize('name', OPTIONS)
def test_a_resumed_run_may_change_an_option_only_if_it_says_so(name):
    option = OPTIONS[name]
    value = {str: (option.choices or ['a'])[0], int: 64, float: 0.5, bool: True}[option.type]
    given = make_options(**{name: value})
    assert list_changed(given, {name: value}) == []
    assert list_changed(given, {}) == ([] if option.may_change else [name])


def test_the_docs_have_the_table_of_all_options():
    advice = 'run: python -m docs.drawings.option_table'
    assert option_table.PAGE.read_text() == option_table.render_page(), advice
    for name in OPTIONS:
        assert f'| `{format_option(name)}' in option_table.PAGE.read_text()
