"""Every block of the pages runs, or table.py says why not; what is not run is understood all the same."""

import ast
import re
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

from mmgcvit import registry
from mmgcvit.commands import benchmark
from mmgcvit.commands.main import COMMANDS
from mmgcvit.commands.options import parse
from mmgcvit.hosts.configs import enter_scope

from .. import fork_server, programs
from ..conftest import ROOT
from ..tools.commands import environment_for, output_of
from .pages import PAGES, blocks, blocks_of
from .table import (
    BEFORE,
    LONG_PROGRAMS,
    OTHER_LANGUAGES,
    PLACEHOLDERS,
    RUN_ELSEWHERE,
    SETTINGS_OF_HOSTS,
    TABLE,
    Elsewhere,
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


def commands_that(kind):
    """Commands of the pages in whose row of the table they are, by the first block that has each."""
    found = {}
    for block, command in SHELL:
        if isinstance(row_of(command), kind):
            found.setdefault(command, block)
    return [(block, command) for command, block in found.items()]


SHELL = [(block, command) for block in blocks('bash', 'console', 'shell', 'sh') for command in commands_in(block)]
PYTHON = blocks('python')
CONFIGS = [block for block in PYTHON if is_config(block)]
PROGRAMS = [
    block for block in PYTHON if not is_config(block) and not any(words in block.text for words in RUN_ELSEWHERE)
]


def test_every_block_is_run_or_listed_with_a_reason():
    """Of the table every row is used, and files of tests that it names are there."""
    missing = [f'{block}: {command}' for block, command in SHELL if row_of(command) is None]
    assert not missing, 'add a row to tests/docs/table.py'
    used = [row_of(command) for _, command in SHELL]
    assert [row.pattern for row in TABLE if row not in used] == []
    assert [words for words in RUN_ELSEWHERE if not any(words in block.text for block in PYTHON)] == []
    known = {'python', 'bash', 'console', 'shell', 'sh', *OTHER_LANGUAGES}
    found = {block.language.split(' ')[0] for page in PAGES for block in blocks_of(page)}
    assert found - known == set(), 'add it to OTHER_LANGUAGES of tests/docs/table.py'
    files = {file for row in TABLE if isinstance(row, Elsewhere) for file in row.files.split(', ')}
    files |= {file for value in RUN_ELSEWHERE.values() for file in value.split(', ')}
    assert [file for file in files if not (ROOT / file).is_file()] == []


@pytest.fixture
def clone(tmp_path):
    """What a reader has: the configs, which may be added to, and the rest by links."""
    folder = tmp_path / 'clone'
    shutil.copytree(ROOT / 'configs', folder / 'configs')
    for name in ('docs', 'tools', 'mmgcvit', 'tests', 'README.md'):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.mark.parametrize(
    'command',
    [
        pytest.param(command, id=f'{block}:{command}', marks=[pytest.mark.slow] if row_of(command).slow else [])
        for block, command in commands_that(Runs)
    ],
)
def test_a_command_runs(command, clone, digits):
    """In a process forked from one that has imported the hosts."""
    row = row_of(command)
    if row.before:
        row.before(clone, digits)
    words = shlex.split(f'{command} {row.options}')
    if words[0] in ('python', 'mmgcvit'):
        program = words[1:] if words[0] == 'python' else ['-m', 'mmgcvit', *words[1:]]
        ended = fork_server.run(*program, environment=environment_for(''), folder=clone)
    else:
        ended = programs.run(words, environment_for(''), cwd=clone)
    output_of(ended, fails=False)


def test_commands_that_are_not_run_are_understood(monkeypatch):
    """What of it is this project's: the options are the command's, the config is there and has the settings."""
    wrong = []
    for block, command in commands_that(Left):
        for name, instead in PLACEHOLDERS.items():
            command = re.sub(rf'(?<![\w./]){re.escape(name)}(?!\w)', instead, command)
        for line in command.replace('\\\n', ' ').splitlines():
            words = [word for word in shlex.split(line, comments=True) if not re.match(r'[A-Z_]+=', word)]
            try:
                understand(words, monkeypatch)
            except (AssertionError, OSError, SystemExit) as error:
                wrong.append(f'{block}: {line}: {error}')
    assert not wrong, '\n'.join(wrong)


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
        parse(benchmark)
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
    args = parse(module)
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


def test_parts_of_configs_are_such(tmp_path):
    """They read as configs, this project's types are registered, backbones build, and whole models do."""
    wrong = []
    for number, block in enumerate(CONFIGS):
        path = tmp_path / f'config_{number}.py'
        path.write_text(block.text)
        try:
            cfg = Config.fromfile(path)
            for name in re.findall(r"'mmgcvit\.(\w+)'", block.text):
                assert any(name in known.module_dict or known.get(name) for known in registries()), name
            if '_base_' in block.text:
                enter_scope(cfg)
                MODELS.build(cfg.model)
            elif 'backbone' in cfg:
                MODELS.build(cfg.backbone)
        # Whatever is wrong with a block, the others are looked at too.
        except Exception as error:
            wrong.append(f'{block}: {error!r}')
    assert not wrong, '\n'.join(wrong)


def registries():
    return [
        value for value in vars(registry).values() if isinstance(value, registry.Registry) and value.scope == 'mmgcvit'
    ]


@pytest.mark.parametrize(
    'block',
    [
        pytest.param(
            block, id=str(block), marks=[pytest.mark.long] * any(words in block.text for words in LONG_PROGRAMS)
        )
        for block in PROGRAMS
    ],
)
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
