"""Every block of the pages runs, or table.py says why not; what is not run is understood all the same."""

import ast
import re
import runpy
import shlex
import shutil
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from packaging.version import Version

from mmgcvit.commands import dry_run
from mmgcvit.commands.main import COMMANDS, run_command
from mmgcvit.hosts import registry
from mmgcvit.hosts.configs import enter_scope

from .. import fork_server, programs
from ..conftest import ROOT
from ..tools.commands import environment_for, output_of
from .pages import PAGES, Block, blocks, blocks_of
from .table import (
    BEFORE,
    OTHER_LANGUAGES,
    PLACEHOLDERS,
    RUN_ELSEWHERE,
    SETTINGS_OF_HOSTS,
    SLOW_PROGRAMS,
    TABLE,
    Left,
    Runs,
    with_released_weights,
)


def commands_in(block):
    """The commands of a shell block, each in one line and without its comment; a whole script is one."""
    if block.text.startswith('#!'):
        return [block.text]
    lines = block.text.replace('\\\n', ' ').splitlines()
    bare = [re.sub(r'(^|\s)#.*$', '', line.removeprefix('$ ')) for line in lines]
    return [' '.join(command.split()) for line in bare for command in line.split(' && ') if command.strip()]


def row_of(command):
    """The first row of the table that has the command."""
    return next((row for row in TABLE if re.search(row.pattern, command)), None)


def is_config(block):
    return all(isinstance(node, ast.Assign) for node in ast.parse(block.text).body)


def cases(found, mark_of=lambda case: ''):
    """Blocks, or commands of them, as a test's parameters."""
    for i, case in enumerate(found):
        marks = [getattr(pytest.mark, mark_of(case))] if mark_of(case) else []
        yield pytest.param(*case, id=f'{case[0].page}:{case[0].line}:{i}', marks=marks)


SHELL = [(block, command) for block in blocks('bash', 'console', 'shell', 'sh') for command in commands_in(block)]
RUN = [(block, command) for block, command in SHELL if isinstance(row_of(command), Runs)]
LEFT = [(block, command) for block, command in SHELL if isinstance(row_of(command), Left)]
PYTHON = blocks('python')
CONFIGS = [block for block in PYTHON if is_config(block)]
PROGRAMS = [
    block for block in PYTHON if not is_config(block) and not any(words in block.text for words in RUN_ELSEWHERE)
]


def test_every_command_of_a_page_is_in_the_table():
    missing = [f'{block}: {command}' for block, command in SHELL if row_of(command) is None]
    assert not missing, 'add a row to tests/docs/table.py'


def test_every_row_of_the_table_has_a_command():
    used = [row_of(command) for _, command in SHELL]
    assert [row.pattern for row in TABLE if row not in used] == []


def test_every_language_is_known():
    known = {'python', 'bash', 'console', 'shell', 'sh', *OTHER_LANGUAGES}
    found = {block.language.split(' ')[0] for page in PAGES for block in blocks_of(page)}
    assert found - known == set(), 'add it to OTHER_LANGUAGES of tests/docs/table.py'


@pytest.fixture
def clone(tmp_path):
    """What a reader has: the configs, which may be added to, and the rest by links."""
    folder = tmp_path / 'clone'
    shutil.copytree(ROOT / 'configs', folder / 'configs')
    for name in ('docs', 'tools', 'mmgcvit', 'tests', 'README.md'):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.mark.parametrize(('block', 'command'), cases(RUN, lambda case: row_of(case[1]).mark))
def test_a_command_runs(block, command, clone, digits, monkeypatch, capfd):
    row = row_of(command)
    if row.before:
        row.before(clone, digits)
    command = f'{command} {row.options}'
    words = shlex.split(command)
    if 'dry-run' in command:
        rehearse(words[2:], clone, monkeypatch, capfd)
    elif words[0] in ('python', 'mmgcvit'):
        program = words[1:] if words[0] == 'python' else ['-m', 'mmgcvit', *words[1:]]
        output_of(fork_server.run(*program, environment=environment_for(''), folder=clone), fails=False)
    else:
        output_of(programs.run(['bash', '-c', command], environment_for(''), cwd=clone), fails=False)


def rehearse(arguments, clone, monkeypatch, capfd):
    """Its steps in forked processes, as tests/experiments/dry_run does."""
    monkeypatch.chdir(clone)
    monkeypatch.setattr(sys, 'argv', ['dry_run.py', *arguments])

    def run(program, log):
        return fork_server.run('-m', *program, log=clone / log.name, folder=clone).returncode

    monkeypatch.setattr(dry_run, 'in_new_process', run)
    run_command('dry-run')
    assert 'all steps OK' in capfd.readouterr().out


@pytest.mark.parametrize(('block', 'command'), cases(LEFT))
def test_a_command_that_is_not_run_is_understood(block, command, monkeypatch):
    """What of it is this project's: the options are the command's, the config is there and has the settings."""
    for name, instead in PLACEHOLDERS.items():
        command = re.sub(rf'(?<![\w./]){re.escape(name)}(?!\w)', instead, command)
    for line in command.replace('\\\n', ' ').splitlines():
        words = [word for word in shlex.split(line, comments=True) if not re.match(r'[A-Z_]+=', word)]
        understand(words, monkeypatch)


def understand(words, monkeypatch):
    if not words:
        return
    program, *arguments = words
    script = arguments[0] if program == 'python' else program
    if program == 'make':
        assert re.search(rf'^{re.escape(arguments[0])}:', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    elif words[:3] == ['python', '-m', 'pytest']:
        assert all((ROOT / word).exists() for word in words if word.startswith('tests/'))
    elif words[:2] == ['python', '-m']:
        assert find_spec(words[2])
    elif words[:2] == ['mmgcvit', 'benchmark']:
        monkeypatch.setattr(sys, 'argv', arguments)
        runpy.run_path(str(ROOT / 'tools' / 'benchmark.py'))['parse_args']()
    elif program == '--cfg-options':
        check_arguments('train', ['configs/mask_rcnn_gcvit_t.py', *words], monkeypatch)
    elif re.fullmatch(r'tools/dist_\w+\.sh', program):
        config, processes, *options = arguments if program.endswith('train.sh') else [arguments[0], *arguments[2:]]
        assert int(processes) > 0
        more = [] if program.endswith('train.sh') else [arguments[1]]
        check_arguments(program[11:-3], [config, *more, *options], monkeypatch)
    elif re.fullmatch(r'tools/slurm_\w+\.sh', program):
        _, _, config, third, *options = arguments
        task = program[12:-3]
        given = ['--work-dir', third] if task == 'train' else [third]
        check_arguments(task, [config, *given, *options], monkeypatch)
    elif program == 'mmgcvit':
        check_arguments(COMMANDS[arguments[0]][0], arguments[1:], monkeypatch)
    elif program == 'python':
        assert (ROOT / script).is_file()
        check_arguments(script.removeprefix('tools/').removesuffix('.py'), arguments[1:], monkeypatch)


def check_arguments(command, arguments, monkeypatch):
    """The command's own parser takes them; the config is there, and has what is set."""
    module = import_module(f'mmgcvit.commands.{command}')
    monkeypatch.setattr(sys, 'argv', [command, *arguments])
    args = module.parse_args()
    cfg = Config.fromfile(ROOT / args.config)
    for key in getattr(args, 'cfg_options', None) or {}:
        parent = key.rpartition('.')[0]
        assert key in SETTINGS_OF_HOSTS or isinstance(cfg.get(parent.split('.')[0]), dict), key
        assert key in SETTINGS_OF_HOSTS or is_there(cfg, parent), key


def is_there(cfg, key):
    for part in key.split('.'):
        cfg = cfg.get(part)
        if cfg is None:
            return False
    return True


@pytest.mark.parametrize('block', CONFIGS, ids=str)
def test_a_part_of_a_config_is_one(block, tmp_path):
    """It reads as a config, this project's types in it are registered, its backbone builds, and a whole model does."""
    path = tmp_path / 'config.py'
    path.write_text(block.text)
    cfg = Config.fromfile(path)
    for name in re.findall(r"'mmgcvit\.(\w+)'", block.text):
        assert any(name in known.module_dict or known.get(name) for known in registries()), name
    if '_base_' in block.text:
        enter_scope(cfg)
        MODELS.build(cfg.model)
    elif 'backbone' in cfg:
        MODELS.build(cfg.backbone)


def registries():
    return [
        value for value in vars(registry).values() if isinstance(value, registry.Registry) and value.scope == 'mmgcvit'
    ]


def mark_of_program(case):
    return 'slow' if any(words in case[0].text for words in SLOW_PROGRAMS) else ''


@pytest.mark.parametrize('block', cases([(block,) for block in PROGRAMS], mark_of_program))
def test_a_program_runs_and_prints_what_its_comments_say(block, tmp_path, monkeypatch, capsys):
    if '.compile()' in block.text and Version(torch.__version__) < Version('2.4'):
        pytest.skip('from torch 2.4 on, as the page says')
    monkeypatch.chdir(tmp_path)
    with_released_weights(tmp_path, None)
    before = ''.join(code for words, code in BEFORE.items() if words in block.text)
    exec(compile(before + block.text, str(block), 'exec'), {'__name__': '__main__'})
    # Where nothing has logged before, the log begins here.
    printed = [line for line in capsys.readouterr().out.splitlines() if ' - mmengine - INFO - ' not in line]
    said = re.findall(r'^print\(.*\)  # (.*)$', block.text, re.MULTILINE)
    assert len(said) == len([line for line in block.text.splitlines() if line.startswith('print(')])
    for line, comment in zip(printed, said, strict=bool(said)):
        assert comment in line


@pytest.mark.parametrize(
    ('text', 'commands'),
    [
        ('make x   # why\n', ['make x']),
        ('# only words\n', []),
        ('a --b \\\n    c\nd && e\n', ['a --b c', 'd', 'e']),
        ('#!/bin/sh\na\nb\n', ['#!/bin/sh\na\nb\n']),
    ],
)
def test_commands_are_told_from_comments(text, commands):
    assert commands_in(Block('page', 1, 'bash', text)) == commands
