"""docs/how_*_works.md and their drawings show the shapes that the networks compute."""

import re
import runpy

import pytest
import torch

from mmgcvit import LSA, GCViT

from ..conftest import ROOT
from .pages import find_tables

SIZES = {'224x224 px': ((224, 224), (7, 7, 14, 7)), '800x1333 px': ((800, 1333), 16)}
BETWEEN = [name for i in range(3) for name in (f'downsamplers.{i}', f'stages.{i + 1}')]


def find_table(page, *head):
    (table,) = [table for table in find_tables(page) if table[0][: len(head)] == list(head)]
    return table


def compute_shapes(network, modules, size):
    """Return the shapes of the named modules' outputs for one image on the meta device."""
    shapes = {}
    for name in modules:

        def note(module, inputs, output, name=name):
            shapes[name] = tuple(output.shape)

        network.get_submodule(name).register_forward_hook(note)
    network(torch.empty(1, 3, *size, device='meta'))
    return shapes


def build(network, *arguments, **settings):
    with torch.device('meta'):
        return network(*arguments, **settings).eval()


def join(*shape):
    return ' x '.join(map(str, shape))


@pytest.mark.parametrize('column', SIZES)
def test_the_steps_of_gcvit_have_the_shapes_of_the_page(column):
    size, windows = SIZES[column]
    table = find_table('docs/how_gcvit_works.md', 'step', '224x224 px', '800x1333 px')
    network = build(GCViT, 'tiny', window_size=windows)
    modules = ['stem.proj', 'stem.downsample', 'stages.0', *BETWEEN]
    shapes = compute_shapes(network, modules, size)
    _, channels, height, width = shapes['stem.proj']
    computed = [
        join(3, *size),
        join(height, width, channels),
        *(join(*shapes[name][1:]) for name in modules[1:]),
    ]
    assert [row[table[0].index(column)] for row in table[1:]] == computed
    depths = [int(re.search(r'(\d+) blocks', row[0])[1]) for row in table if 'blocks' in row[0]]
    assert depths == [len(stage.blocks) for stage in network.stages]


def test_the_steps_of_lsa_have_the_shapes_of_the_page():
    steps = find_table('docs/how_lsa_works.md', 'step', '224x224 px')
    modules = ['stem', 'stages.0.position', 'stages.0', *BETWEEN]
    shapes = compute_shapes(build(LSA, 'imagenet-tiny'), modules, (224, 224))
    # Without the batch dimension, which comes after the shifted copies.
    computed = [
        join(*(n for i, n in enumerate(shapes[name]) if i != len(shapes[name]) - 4))
        for name in modules
    ]
    assert [row[1] for row in steps[1:]] == [join(3, 224, 224), join(10, 3, 224, 224), *computed]


def test_the_drawings_are_up_to_date_and_show_the_networks_shapes():
    drawings = runpy.run_path(str(ROOT / 'docs' / 'drawings' / 'draw.py'))['DRAWINGS']
    images = ROOT / 'docs' / 'images'
    assert {path.stem for path in images.glob('*.svg')} == set(drawings)
    for name, draw in drawings.items():
        assert (images / f'{name}.svg').read_text() == draw(), 'python docs/drawings/draw.py'
    for name, network, windows in (
        ('gcvit_network', GCViT, (7, 7, 14, 7)),
        ('lsa_network', LSA, None),
    ):
        outputs = build(network, window_size=windows)(torch.empty(1, 3, 224, 224, device='meta'))
        drawn = re.findall(r'norm, output \d</text>.*?>([\d x]+)</text>', drawings[name]())
        assert drawn == [join(*output.shape[1:]) for output in outputs]
