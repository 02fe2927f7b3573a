"""Run the Python blocks of all pages, check their types, and parse their commands with the real
parsers.

Modules: `docs`, `README.md`.
"""

import ast
import re
import shlex
import shutil
import sys
from importlib import import_module
from importlib.util import find_spec
from itertools import dropwhile

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

from mmgcvit import GCViT, registry
from mmgcvit.checkpoints.converting import make_state_dict
from mmgcvit.commands.main import COMMANDS
from mmgcvit.commands.options import parse_args
from mmgcvit.host.config import enter_scope
from mmgcvit.models.gcvit.key_mappings import ORIGINAL

from ..programs import ROOT, run
from .pages import PAGES, SHELLS, find_blocks, find_table, read_page, split_commands

# Programs of other projects.
OTHER_PROGRAMS = (
    r'(\.venv/bin/)?(bash|cat|cd|cp|curl|docker|export|git|kill|ls|mim|mkdir|mv|npm|nvidia-smi|'
    'pip|python3|sbatch|source|srun|tar|tensorboard|torchrun|trtexec|unzip|uv|wget|zip)'
)
# Settings that mmengine reads if present and that none of our configs has.
MMENGINE_SETTINGS = ('compile', 'env_cfg.dist_cfg.timeout')
SHELL = [block for page in PAGES for block in find_blocks(page, *SHELLS)]


@pytest.mark.parametrize('block', SHELL, ids=str)
def test_commands_parse(block, monkeypatch):
    """The options exist, and so do the files, configs and settings that they name."""
    if not block.text.startswith('#!'):
        for command in split_commands(block.text):
            check_command(command, monkeypatch)


def test_every_command_has_an_example_that_parses(monkeypatch):
    rows = find_table('docs/commands.md', 'command')
    assert [name.strip('`') for name, _, _ in rows] == [*COMMANDS]
    for name, _, example in rows:
        assert example.startswith(f'`mmgcvit {name.strip("`")} ')
        check_command(example.strip('`'), monkeypatch)


@pytest.mark.parametrize('name', COMMANDS)
def test_help_ends_with_the_example_and_the_page_of_a_command(name, monkeypatch, capsys):
    command = import_module(f'mmgcvit.commands.{name.replace("-", "_")}')
    examples = {row[0]: row[2] for row in find_table('docs/commands.md', 'command')}
    assert examples[f'`{name}`'] == f'`{command.EXAMPLE}`'
    assert (ROOT / command.PAGE).exists()
    monkeypatch.setattr(sys, 'argv', ['mmgcvit', '--help'])
    with pytest.raises(SystemExit):
        parse_args(command, name)
    words = capsys.readouterr().out.split()
    assert ' '.join(words).endswith(f'Example: {command.EXAMPLE}. More: {command.PAGE}')


def check_command(command, monkeypatch):
    # The reader replaces names of configs.
    command = re.sub(r'configs/(NAME|my_\w+)\.py|\bCONFIG\b', 'configs/custom_coco.py', command)
    # Without environment variables.
    command = re.sub(r'^([A-Z_]+=\S* *)*', '', command)
    program, *arguments = shlex.split(command, comments=True)
    launcher = re.fullmatch(r'tools/(?:dist|slurm)_(train|test)\.sh', program)
    if program == 'make':
        assert re.search(rf'^{re.escape(arguments[0])}:', read_page('Makefile'), re.MULTILINE)
    elif program == 'export':
        for folder in arguments[0].partition('PYTHONPATH=')[2].split(':'):
            monkeypatch.syspath_prepend(ROOT / folder)
    elif program == 'mmgcvit':
        check_options(f'mmgcvit.commands.{arguments[0]}', arguments[1:], monkeypatch)
    elif launcher:
        # Positional arguments such as the number of GPUs stand before the options of the script.
        positional = [word for word in arguments if word.startswith('configs/')]
        options = dropwhile(lambda word: not word.startswith('--'), arguments)
        check_options(f'mmgcvit.commands.{launcher[1]}', [*positional, *options], monkeypatch)
    elif program == 'python' and arguments[0].startswith('tools/'):
        script = re.fullmatch(r'tools/(\w+)\.py', arguments[0])[1]
        package = 'mmgcvit.commands' if script in COMMANDS else 'tools'
        check_options(f'{package}.{script}', arguments[1:], monkeypatch)
    elif program == 'python' and arguments[0] == '-m':
        assert find_spec(arguments[1])
    elif program == 'python':
        assert all((ROOT / word).exists() for word in arguments if word.endswith('.py'))
    else:
        assert re.fullmatch(OTHER_PROGRAMS, program) or (ROOT / program).is_file(), program


def check_options(module, arguments, monkeypatch):
    if '--help' in arguments:
        return
    monkeypatch.setattr(sys, 'argv', [module, *arguments])
    args = parse_args(import_module(module.replace('-', '_')), module.rpartition('.')[2])
    config = str(getattr(args, 'config', ''))
    # The settings of a work dir are unknown here.
    if not config.endswith('.py'):
        return
    for setting in getattr(args, 'cfg_options', None) or ():
        key, _, _ = setting.partition('=')
        value, (*parents, _) = Config.fromfile(ROOT / config), key.split('.')
        if key in MMENGINE_SETTINGS:
            continue
        for part in parents:
            value = value[int(part)] if isinstance(value, list) else value.get(part)
            assert value is not None, key


def add_released_weights(clone):
    """Save random weights under the file name of the authors' release."""
    tensors = GCViT('xxtiny', out_indices=(3,)).state_dict()
    tensors |= {'head.fc.weight': torch.zeros(10, 512), 'head.fc.bias': torch.zeros(10)}
    state_dict = make_state_dict(tensors, ORIGINAL)
    torch.save({'state_dict': state_dict}, clone / 'gcvit_1k_tiny.pth.tar')


def is_config(block):
    return all(isinstance(node, ast.Assign) for node in ast.parse(block.text).body)


PYTHON = [block for page in PAGES for block in find_blocks(page, 'python')]
CONFIGS = [block for block in PYTHON if is_config(block)]
PROGRAMS = [block for block in PYTHON if not is_config(block)]
# Phrases in Python blocks that other tests run: those of export and inference.
RUN_ELSEWHERE = re.compile(
    r"found = OnnxPredictor\(|mmgcvit\.load\(|Inferencer\(|COCO\('predictions/images\.json'\)"
)
# What a reader has defined before a block, identified by a phrase in it.
BEFORE = {
    "GCViT.from_pretrained('backbone.pth'), out_channels": """
import torch
from mmgcvit import GCViT
torch.save(GCViT('xxtiny').state_dict(), 'backbone.pth')
""",
    'torch.onnx.export(': """
import mmseg
import torch
from mmgcvit import GCViT
model = GCViT(dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), mlp_ratio=2))
""",
}


@pytest.mark.parametrize('block', CONFIGS, ids=str)
def test_a_fragment_of_a_config_builds(block, tmp_path):
    """It parses as a config, its types are registered, and its model or backbone builds."""
    (tmp_path / 'config.py').write_text(block.text)
    cfg = Config.fromfile(tmp_path / 'config.py')
    registries = [each for each in vars(registry).values() if isinstance(each, registry.Registry)]
    for name in re.findall(r"'(mmgcvit\.\w+)'", block.text):
        assert any(known.get(name) for known in registries), name
    if '_base_' in block.text:
        enter_scope(cfg)
        with torch.device('meta'):
            MODELS.build(cfg.model)
    elif 'backbone' in cfg:
        MODELS.build(cfg.backbone)


def test_the_readme_and_the_backbones_page_have_one_config_whose_optimizer_has_two_groups(tmp_path):
    """With weight decay and without it. mmengine's own constructor would make one for each of 519
    parameters.
    """
    texts = [
        block.text
        for block in CONFIGS
        if block.page in ('README.md', 'docs/backbone.md') and 'optim_wrapper' in block.text
    ]
    assert len(texts) == 2
    assert texts[0] == texts[1]
    (tmp_path / 'config.py').write_text(texts[0])
    cfg = Config.fromfile(tmp_path / 'config.py')
    enter_scope(cfg)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    assert sorted(group['weight_decay'] for group in groups) == [0, 0.05]
    assert sum(len(group['params']) for group in groups) == 519


def complete(block):
    """Return a program with what a reader has defined before it."""
    return ''.join(code for words, code in BEFORE.items() if words in block.text) + block.text


@pytest.mark.slow
@pytest.mark.parametrize(
    'block', [block for block in PROGRAMS if not RUN_ELSEWHERE.search(block.text)], ids=str
)
def test_a_program_runs_and_prints_what_its_comments_say(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    add_released_weights(tmp_path)
    exec(compile(complete(block), str(block), 'exec'), {'__name__': '__main__'})
    printed = capsys.readouterr().out.splitlines()
    # The first program creates the logger.
    printed = [line for line in printed if ' - mmengine - INFO - ' not in line]
    comments = re.findall(r'^print\([^#]*\)  # (.*)$', block.text, re.MULTILINE)
    assert len(comments) == len(re.findall(r'^print\(', block.text, re.MULTILINE))
    for line, comment in zip(printed, comments, strict=bool(comments)):
        assert comment in line


@pytest.mark.long
def test_programs_have_no_type_errors(tmp_path):
    """Only errors of the programs are reported: not of the package, or of packages without
    types.
    """
    pytest.importorskip('mypy')
    for number, block in enumerate(PROGRAMS):
        (tmp_path / f'block_{number}.py').write_text(f'# {block}\n{complete(block)}')
    options = ['--follow-imports=silent', '--ignore-missing-imports', '--no-incremental']
    environment = {'MYPYPATH': str(ROOT), 'PYTHONPATH': str(ROOT)}
    ended = run([sys.executable, '-m', 'mypy', *options, tmp_path], environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_first_program_of_the_api_page_finds_digits_and_a_wrong_run_is_a_user_error(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / 'docs' / 'images' / 'digits.jpg', 'photo.jpg')
    load, wrong = [
        block for block in PROGRAMS if 'mmgcvit.load(' in block.text and block.page == 'docs/api.md'
    ]
    names = {}
    exec(compile(load.text, str(load), 'exec'), names)
    assert len(names['sure']) == len(names['records']) > 0
    assert str(names['sure'].class_names[0]) in capsys.readouterr().out
    exec(compile(wrong.text, str(wrong), 'exec'), {})
    assert 'work_dirs/phtos' in capsys.readouterr().out
