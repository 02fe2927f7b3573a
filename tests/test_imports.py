"""Imports run one way: backbone -> stage -> attention -> layers -> torch. Read from the source, not by importing."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / 'mmgcvit'

# Folder or file of the package -> (parts of the package that it may import, packages beside the standard library).
# A folder's files may import each other in the order of FILES_DOWNWARD, or freely where it has none.
ALLOWED = {
    '__init__': ({'checkpoints', 'gcvit', 'inference', 'lsa', 'operators', 'requirements', 'version'}, set()),
    'version': (set(), set()),
    'requirements': (set(), {'packaging'}),
    'operators': (set(), {'torch', 'torchvision', 'mmcv', 'mmengine'}),
    'registry': (set(), {'mmengine'}),
    'layers': (set(), {'torch', 'mmcv'}),
    'pretrained': ({'checkpoints', 'layers', 'registry'}, {'torch', 'mmengine'}),
    'pyramid': ({'layers', 'pretrained'}, {'torch'}),
    'gcvit': ({'checkpoints', 'layers', 'pyramid', 'registry'}, {'torch'}),
    'lsa': ({'checkpoints', 'layers', 'pyramid', 'registry'}, {'torch'}),
    'ablations': ({'gcvit', 'layers', 'lsa', 'registry'}, {'torch'}),
    'checkpoints': (
        {'layers', 'registry', 'version'},
        {'torch', 'mmengine', 'numpy', 'packaging', 'safetensors', 'timm', 'huggingface_hub'},
    ),
    'doors': (
        {'checkpoints', 'layers', 'pyramid', 'registry', 'version'},
        {'torch', 'timm', 'torchvision', 'transformers'},
    ),
    'datasets': ({'registry'}, {'numpy', 'cv2', 'sklearn', 'pycocotools', 'timm', 'mmpretrain'}),
    'detection': ({'engine', 'registry'}, {'torch', 'mmengine', 'mmcv', 'mmdet'}),
    'engine': ({'checkpoints', 'layers', 'registry'}, {'torch', 'numpy', 'mmengine', 'mmpretrain'}),
    'ablation_runs': (set(), {'yaml', 'matplotlib', 'mmengine'}),
    'data_checks': ({'registry'}, {'numpy', 'PIL', 'rich', 'matplotlib', 'mmengine', 'mmcv'}),
    'cli': (
        {'checkpoints', 'data_checks', 'engine', 'layers', 'operators', 'run_logs'},
        {'torch', 'mmengine', 'mmcv', 'mmdet', 'rich'},
    ),
    'run_logs': (set(), {'matplotlib'}),
    'inference': (
        {'checkpoints', 'cli', 'data_checks', 'datasets'},
        {'torch', 'numpy', 'cv2', 'PIL', 'mmcv', 'mmengine', 'mmdet', 'mmseg', 'mmpretrain', 'pycocotools'},
    ),
    'browsing': ({'data_checks', 'inference'}, {'torch', 'numpy', 'cv2', 'PIL', 'mmengine'}),
    'measuring': (set(), {'torch', 'numpy'}),
    'speed': ({'data_checks', 'inference', 'measuring'}, {'torch', 'numpy', 'mmengine', 'mmdet'}),
    'mistakes': (
        {'cli', 'data_checks', 'inference'},
        {'numpy', 'cv2', 'PIL', 'matplotlib', 'mmengine', 'mmdet', 'mmseg'},
    ),
    # The runner imports nothing of the package, so that it can be copied (tests/export/test_runner.py).
    'export': (
        {'checkpoints', 'inference', 'layers', 'version'},
        {
            *('torch', 'torchvision', 'numpy', 'cv2', 'PIL', 'onnx', 'onnxruntime'),
            *('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain'),
        },
    ),
    'visualization': (
        {'data_checks', 'inference', 'layers', 'pyramid'},
        {'torch', 'numpy', 'matplotlib', 'pytorch_grad_cam'},
    ),
    'web': (
        {'cli', 'data_checks', 'datasets', 'export', 'inference', 'layers', 'version', 'visualization'},
        {'torch', 'numpy', 'cv2', 'PIL'},
    ),
    'dry_run': ({'datasets', 'cli', 'data_checks', 'layers', 'registry'}, {'torch', 'mmengine'}),
    'commands': (
        {
            *('ablation_runs', 'browsing', 'checkpoints', 'cli', 'data_checks', 'datasets', 'dry_run', 'engine'),
            *('export', 'inference', 'mistakes', 'registry', 'run_logs', 'speed', 'version', 'visualization', 'web'),
            'GCViT',
        },
        {'torch', 'mmengine', 'rich', 'safetensors'},
    ),
}
FILES_DOWNWARD = {
    'gcvit': ['__init__', 'backbone', 'stage', 'attention', 'global_query', 'convs', 'archs', 'layouts'],
    'lsa': ['__init__', 'backbone', 'stage', 'attention', 'shifted_patches', 'archs', 'layouts'],
    'layers': [
        *('__init__', 'attention', 'trained_bias', 'blocks', 'onednn', 'chunked', 'hooks', 'norm', 'init'),
        *(
            'position',
            'position_embedding',
            'grid_values',
            'resizing',
            'constants',
            'windows',
            'channels',
            'tracing',
            'variants',
            'arguments',
        ),
    ],
}
# What may be taken away as a whole (tests/models/rivals/test_removal.py).
REMOVABLE = {'ablations'}
FILES = sorted(PACKAGE.rglob('*.py'))


def imports_of(file):
    """What a file imports, as dotted names; those of the package begin with 'mmgcvit'."""
    package = ('mmgcvit', *file.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = [*base, *filter(None, [node.module])]
            if node.level and node.module is None:
                yield from ('.'.join([*module, alias.name]) for alias in node.names)
            else:
                yield '.'.join(module)


def place_of(file):
    """The folder or file of the package that a file belongs to."""
    return file.relative_to(PACKAGE).with_suffix('').parts[0]


@pytest.mark.parametrize('file', FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_file_imports_only_what_lies_below_it(file):
    place = place_of(file)
    parts, packages = ALLOWED[place]
    for name in imports_of(file):
        first, *rest = name.split('.')
        if first == 'mmgcvit':
            assert rest[0] in parts | {place}, f'{place} must not import {name}'
            if rest[0] == place and place in FILES_DOWNWARD and len(rest) > 1:
                order = FILES_DOWNWARD[place]
                assert order.index(file.stem) < order.index(rest[1]), f'{file.stem} must not import {rest[1]}'
        elif first not in sys.stdlib_module_names:
            assert first in packages, f'{place} must not import {name}'


def test_the_table_names_every_part_of_the_package():
    assert {place_of(file) for file in FILES} | REMOVABLE == set(ALLOWED)


def test_only_a_networks_layouts_and_pyramid_know_checkpoints():
    """So that a network's own files need nothing but layers."""
    for place in ('gcvit', 'lsa'):
        for file in sorted((PACKAGE / place).glob('*.py')):
            knows = any(name.startswith('mmgcvit.checkpoints') for name in imports_of(file))
            assert knows == (file.stem == 'layouts')


def test_a_third_network_is_its_folder_and_one_registration():
    """Outside of their own folders, their rivals', and the package's front, no file imports a network."""
    for file in FILES:
        if place_of(file) not in ('gcvit', 'lsa', 'ablations', '__init__'):
            assert not any(
                name.startswith(('mmgcvit.models.gcvit', 'mmgcvit.models.lsa')) for name in imports_of(file)
            ), file


def test_one_file_calls_attention_kernels():
    """``layers/attention.py``, and the CPU's operator behind it."""
    words = ('scaled_dot_product', 'sdpa_kernel')
    callers = {file.name for file in FILES if any(word in node_names(file) for word in words)}
    assert callers == {'attention.py', 'trained_bias.py'}


def node_names(file):
    """All names and attributes that a file's code uses, as one text."""
    nodes = ast.walk(ast.parse(file.read_text()))
    return ' '.join(getattr(node, 'attr', '') or getattr(node, 'id', '') for node in nodes)
