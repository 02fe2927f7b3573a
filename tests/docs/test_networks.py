"""docs/how_*_works.md and their drawings show the shapes that the networks compute."""

import re
import runpy

import pytest
import torch

from mmgcvit import LSA, GCViT
from mmgcvit.models.layers.windows import count_windows, even_window, round_up

from ..conftest import ROOT
from .pages import tables_of

DRAW = ROOT / 'docs' / 'drawings' / 'draw.py'
SIZES = {'224x224 px': ((224, 224), (7, 7, 14, 7)), '800x1333 px': ((800, 1333), 16)}


def table_with(page, *head):
    (table,) = [table for table in tables_of(page) if table[0][: len(head)] == list(head)]
    return table


def shapes_inside(network, modules, size):
    """What the named modules return for one image, without its first dimension; nothing is computed."""
    seen = {}
    for name in modules:

        def note(module, inputs, output, name=name):
            seen[name] = tuple(output.shape)

        network.get_submodule(name).register_forward_hook(note)
    outputs = network(torch.empty(1, 3, *size, device='meta'))
    return seen, outputs


def in_words(*shape):
    return ' x '.join(map(str, shape))


@pytest.mark.parametrize('column', SIZES)
def test_the_steps_of_gcvit_have_the_shapes_of_the_page(column):
    size, windows = SIZES[column]
    table = table_with('docs/how_gcvit_works.md', 'step', '224x224 px', '800x1333 px')
    written = [row[table[0].index(column)] for row in table[1:]]
    with torch.device('meta'):
        network = GCViT('tiny', window_size=windows).eval()
    between = [name for i in range(3) for name in (f'downsamplers.{i}', f'stages.{i + 1}')]
    modules = ['stem.proj', 'stem.downsample', 'stages.0', *between]
    seen, _ = shapes_inside(network, modules, size)
    _, channels, height, width = seen['stem.proj']
    computed = [in_words(3, *size), in_words(height, width, channels)]
    assert written == computed + [in_words(*seen[name][1:]) for name in modules[1:]]
    depths = [int(re.search(r'(\d+) blocks', row[0])[1]) for row in table if 'blocks' in row[0]]
    assert depths == [len(stage.blocks) for stage in network.stages]


@pytest.mark.parametrize(('column', 'size'), [(1, '224x224 px'), (3, '800x1333 px')])
def test_the_windows_and_queries_of_gcvit_are_those_of_the_page(column, size):
    size, windows = SIZES[size]
    table = table_with('docs/how_gcvit_works.md', 'stage', 'windows at 224x224 px')
    with torch.device('meta'):
        network = GCViT('tiny', window_size=windows).eval()
    names = [name for i in range(4) for name in (f'stages.{i}.global_query.extractors', f'stages.{i}.global_query')]
    seen, outputs = shapes_inside(network, names, size)
    for i, (row, output) in enumerate(zip(table[1:], outputs, strict=True)):
        window, side = network.stages[i].window, tuple(output.shape[2:])
        padded = tuple(round_up(length, step) for length, step in zip(side, window, strict=True))
        fit = 'none padded' if padded == side else f'map padded to {in_words(*padded)}'
        assert row[column] == f'{count_windows(side, window)} of {in_words(*window)}, {fit}'
        query = in_words(*seen[f'stages.{i}.global_query'][1:])
        before = seen[f'stages.{i}.global_query.extractors'][2:]
        assert row[column + 1] == (query if before == window else f'{query}, {in_words(*before)}')


def test_the_steps_of_lsa_have_the_shapes_of_the_page():
    table = table_with('docs/how_lsa_works.md', 'step', '224x224 px')
    with torch.device('meta'):
        network = LSA('imagenet-tiny').eval()
    between = [name for i in range(3) for name in (f'downsamplers.{i}', f'stages.{i + 1}')]
    modules = ['stem', 'stages.0.position', 'stages.0', *between]
    seen, _ = shapes_inside(network, modules, (224, 224))
    shapes = [tuple(n for i, n in enumerate(seen[name]) if i != len(seen[name]) - 4) for name in modules]
    written = [row[1] for row in table[1:]]
    assert written == [in_words(3, 224, 224), in_words(10, 3, 224, 224), *(in_words(*shape) for shape in shapes)]


def test_the_windows_of_lsa_are_those_of_the_page():
    table = table_with('docs/how_lsa_works.md', 'stage of `imagenet-small`, `window_size=(16, 16, None)`')
    with torch.device('meta'):
        network = LSA('imagenet-small', window_size=(16, 16, None)).eval()
    for row, output in zip(table[1:], network(torch.empty(1, 3, 800, 1333, device='meta')), strict=True):
        channels, *side = output.shape[1:]
        assert row[1] == in_words(*side, channels)
        window = even_window((16, 16), side)
        windows = f'{count_windows(side, window)} of {in_words(*window)}'
        assert row[2] == (windows if row[0] != '2' else f'one of {in_words(*side)}, the whole map')


@pytest.fixture(scope='module')
def drawings():
    """The drawings as the script makes them now."""
    drawn = runpy.run_path(str(DRAW))['DRAWINGS']
    return {name: draw() for name, draw in drawn.items()}


def test_the_drawings_are_those_that_the_script_makes(drawings):
    images = ROOT / 'docs' / 'images'
    assert {path.stem for path in images.glob('*.svg')} == set(drawings)
    for name, drawn in drawings.items():
        assert (images / f'{name}.svg').read_text() == drawn, 'python docs/drawings/draw.py'


def test_drawings_show_the_outputs_of_the_networks(drawings):
    for name, network, windows in (('gcvit_network', GCViT, (7, 7, 14, 7)), ('lsa_network', LSA, None)):
        with torch.device('meta'):
            outputs = network(window_size=windows).eval()(torch.empty(1, 3, 224, 224))
        drawn = re.findall(r'norm, output \d</text>.*?>([\d x]+)</text>', drawings[name])
        assert drawn == [in_words(*output.shape[1:]) for output in outputs]
