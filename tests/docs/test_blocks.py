"""Run the Python blocks of all pages, and parse their commands with the real parsers."""

import ast
import re
import shlex
import sys
from importlib import import_module

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from packaging.version import Version

from mmgcvit import GCViT, registry
from mmgcvit.checkpoints.converting import make_state_dict
from mmgcvit.checkpoints.weights import Weights
from mmgcvit.commands.options import parse_args
from mmgcvit.config import enter_scope
from mmgcvit.models.gcvit.key_mappings import ORIGINAL

from ..conftest import ROOT
from .pages import PAGES, SHELLS, find_blocks, split_commands

# Programs of other projects.
OTHER_PROGRAMS = (
    r'(\.venv/bin/)?(bash|cat|cd|cp|curl|docker|export|git|kill|ls|mim|mkdir|mv|npm|nvidia-smi|pip|python3|sbatch|source|srun|'
    'tar|tensorboard|torchrun|trtexec|unzip|uv|wget|zip)'
)
# Placeholders that the reader replaces.
PLACEHOLDERS = {
    r'configs/(NAME|my_\w+)\.py|\bCONFIG\b': 'configs/custom_coco.py',
    r'\bCHECKPOINT\b': 'checkpoint.pth',
    r'\bNUMBER_OF_GPUS\b': '8',
}
# Settings that mmengine reads if present and that none of our configs has.
MMENGINE_SETTINGS = ('compile', 'env_cfg.dist_cfg.timeout')
SHELL = [
    block
    for page in PAGES
    for block in find_blocks(page, *SHELLS)
    if not block.text.startswith('#!')
]


@pytest.mark.parametrize('block', SHELL, ids=str)
def test_commands_parse(block, monkeypatch):
    """The options exist, and so do the files, configs and settings that they name."""
    for command in split_commands(block):
        for name, value in PLACEHOLDERS.items():
            command = re.sub(name, value, command)
        words = shlex.split(re.sub(r'^([A-Z_]+=\S* *)*', '', command), comments=True)
        if not words:
            continue
        program, *arguments = words
        if program == 'make':
            assert re.search(
                rf'^{re.escape(arguments[0])}:', (ROOT / 'Makefile').read_text(), re.MULTILINE
            )
        elif program == 'export':
            for folder in arguments[0].partition('PYTHONPATH=')[2].split(':'):
                monkeypatch.syspath_prepend(ROOT / folder)
        elif program == 'mmgcvit':
            check_options(arguments[0].replace('-', '_'), arguments[1:], monkeypatch)
        elif program == '--cfg-options':
            check_options(
                'train', ['configs/mask_rcnn_gcvit_t.py', program, *arguments], monkeypatch
            )
        elif re.fullmatch(r'tools/(dist|slurm)_(train|test)\.sh', program):
            # After the positional arguments, such as the number of GPUs, come the options of the
            # Python script.
            (config,) = [word for word in arguments if word.startswith('configs/')]
            first = next(
                (i for i, word in enumerate(arguments) if word.startswith('--')), len(arguments)
            )
            checkpoint = ['checkpoint.pth'] * ('test' in program)
            check_options(
                re.search('train|test', program)[0],
                [config, *checkpoint, *arguments[first:]],
                monkeypatch,
            )
        elif program == 'python' and arguments[0].startswith('tools/'):
            check_options(
                arguments[0].removeprefix('tools/').removesuffix('.py'), arguments[1:], monkeypatch
            )
        elif program == 'python':
            assert all(
                (ROOT / word).exists()
                for word in arguments
                if word.startswith(('tests/', 'tools/'))
            )
        else:
            assert re.fullmatch(OTHER_PROGRAMS, program) or (ROOT / program).is_file(), program


def check_options(command, arguments, monkeypatch):
    if '--help' in arguments:
        return
    monkeypatch.setattr(sys, 'argv', [command, *arguments])
    is_script = command not in ('train', 'test') and (ROOT / 'tools' / f'{command}.py').is_file()
    args = parse_args(
        import_module(f'tools.{command}' if is_script else f'mmgcvit.commands.{command}')
    )
    # A work dir instead of a config: its settings are unknown here.
    config = (
        ROOT / getattr(args, 'config', '')
        if str(getattr(args, 'config', '')).endswith('.py')
        else None
    )
    for text in getattr(args, 'cfg_options', None) or () if config else ():
        key = text.partition('=')[0]
        value = Config.fromfile(config)
        for part in key.split('.')[:-1] if key not in MMENGINE_SETTINGS else ():
            value = value[int(part)] if isinstance(value, list) else value.get(part)
            assert value is not None, key


def add_released_weights(clone):
    """Save random weights under the file name of the authors' release."""
    tensors = GCViT('xxtiny', out_indices=(3,)).state_dict()
    tensors |= {'head.fc.weight': torch.zeros(10, 512), 'head.fc.bias': torch.zeros(10)}
    state_dict = make_state_dict(Weights('', GCViT, ORIGINAL, False, tensors), ORIGINAL)
    torch.save({'state_dict': state_dict}, clone / 'gcvit_1k_tiny.pth.tar')


PYTHON = [block for page in PAGES for block in find_blocks(page, 'python')]
CONFIGS = [
    block
    for block in PYTHON
    if all(isinstance(node, ast.Assign) for node in ast.parse(block.text).body)
]
# Python blocks that other tests run, identified by a phrase.
RUN_ELSEWHERE = {
    'found = OnnxPredictor(': 'tests/export/test_files.py',
    'mmgcvit.load(': 'tests/inference/test_docs.py',
    'Inferencer(': 'tests/inference/test_docs.py',
    "COCO('predictions/images.json')": 'tests/inference/test_docs.py',
}
PROGRAMS = [
    block
    for block in PYTHON
    if block not in CONFIGS and not any(words in block.text for words in RUN_ELSEWHERE)
]
# What a reader has defined before a block, identified by a phrase in it.
BEFORE = {
    'model.backbone.compile()': """
import mmseg
import torch
from mmgcvit import GCViT
model = torch.nn.Module()
model.backbone = GCViT('xxtiny')
""",
    "GCViT.from_pretrained('backbone.pth'), out_channels": """
import torch
from mmgcvit import GCViT
torch.save(GCViT('xxtiny').state_dict(), 'backbone.pth')
""",
    'quantize_static': f"""
import shutil
from mmgcvit.commands.main import run_command
run_command('export', ['{ROOT}/configs/demo/gcvit_digits_cls.py', 'model.onnx', '--no-check'])
shutil.copytree('{ROOT}/docs/images', 'images', ignore=shutil.ignore_patterns('*.png', '*.svg'))
""",
    'torch.onnx.export(': """
import mmseg
import torch
from mmgcvit import GCViT
model = GCViT(dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), mlp_ratio=2))
""",
}
LONG_PROGRAMS = r'torch\.onnx\.export\(|quantize_static'


@pytest.mark.parametrize('block', CONFIGS, ids=str)
def test_a_fragment_of_a_config_builds(block, tmp_path):
    """The fragment parses as a config, its types are registered, and its model or backbone builds."""
    (tmp_path / 'config.py').write_text(block.text)
    cfg = Config.fromfile(tmp_path / 'config.py')
    registries = [
        value for value in vars(registry).values() if isinstance(value, registry.Registry)
    ]
    for name in re.findall(r"'mmgcvit\.(\w+)'", block.text):
        assert any(known.get(f'mmgcvit.{name}') for known in registries), name
    if '_base_' in block.text:
        enter_scope(cfg)
        with torch.device('meta'):
            MODELS.build(cfg.model)
    elif 'backbone' in cfg:
        MODELS.build(cfg.backbone)


@pytest.mark.parametrize(
    'block',
    [
        pytest.param(
            b, id=str(b), marks=[pytest.mark.long] * bool(re.search(LONG_PROGRAMS, b.text))
        )
        for b in PROGRAMS
    ],
)
def test_a_program_runs_and_prints_what_its_comments_say(block, tmp_path, monkeypatch, capsys):
    if '.compile()' in block.text and Version(torch.__version__) < Version('2.4'):
        pytest.skip('from torch 2.4 on, as the page says')
    monkeypatch.chdir(tmp_path)
    add_released_weights(tmp_path)
    before = ''.join(code for words, code in BEFORE.items() if words in block.text)
    exec(compile(before + block.text, str(block), 'exec'), {'__name__': '__main__'})
    # Create the logger if none exists yet.
    printed = [
        line for line in capsys.readouterr().out.splitlines() if ' - mmengine - INFO - ' not in line
    ]
    comments = re.findall(r'^print\(.*\)  # (.*)$', block.text, re.MULTILINE)
    assert len(comments) == len(
        [line for line in block.text.splitlines() if line.startswith('print(')]
    )
    for line, comment in zip(printed, comments, strict=bool(comments)):
        assert comment in line
