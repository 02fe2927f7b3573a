"""docs/how_*_works.md and their drawings show the shapes that the networks compute."""

import re

import pytest
import torch

from docs.drawings import own_data
from docs.drawings.draw import DRAWINGS, IMAGES
from mmgcvit import LSA, GCViT

from .pages import find_table

STAGES = ['stages.0']
for index in range(3):
    STAGES += [f'downsamplers.{index}', f'stages.{index + 1}']


def build(network, *arguments, **settings):
    with torch.device('meta'):
        return network(*arguments, **settings).eval()


def compute_shapes(network, modules, size):
    """Return the shapes of the named modules' outputs for one image, without the batch."""
    outputs = {}

    def keep(module, inputs, output):
        outputs[module] = output

    modules = [network.get_submodule(name) for name in modules]
    for module in modules:
        module.register_forward_hook(keep)
    network(torch.empty(1, 3, *size, device='meta'))
    # Shifted copies stand before the batch dimension.
    return [format_shape(outputs[module].squeeze(-4)) for module in modules]


def format_shape(tensor):
    return ' x '.join(map(str, tensor.shape))


@pytest.mark.parametrize(
    ('column', 'size', 'windows'), [(1, (224, 224), (7, 7, 14, 7)), (2, (800, 1333), 16)]
)
def test_the_steps_of_gcvit_have_the_shapes_of_the_page(column, size, windows):
    rows = find_table('docs/how_gcvit_works.md', 'step', '224x224 px', '800x1333 px')
    network = build(GCViT, 'tiny', window_size=windows)
    computed = compute_shapes(network, ['stem.proj', 'stem.downsample', *STAGES], size)
    # A convolution's map has its channels first.
    channels, height, width = computed[0].split(' x ')
    computed[0] = f'{height} x {width} x {channels}'
    assert [row[column] for row in rows] == [f'3 x {size[0]} x {size[1]}', *computed]
    depths = re.findall(r'(\d+) blocks', ' '.join(row[0] for row in rows))
    assert depths == [str(len(stage.blocks)) for stage in network.stages]


def test_the_steps_of_lsa_have_the_shapes_of_the_page():
    rows = find_table('docs/how_lsa_works.md', 'step', '224x224 px')
    modules = ['stem', 'stages.0.position', *STAGES]
    computed = compute_shapes(build(LSA, 'imagenet-tiny'), modules, (224, 224))
    expected = ['3 x 224 x 224', '10 x 3 x 224 x 224', *computed]
    assert [row[1] for row in rows] == expected


def test_the_drawings_are_up_to_date():
    drawings = DRAWINGS | own_data.DRAWINGS
    assert {path.stem for path in IMAGES.glob('*.svg')} == drawings.keys()
    for name, draw in drawings.items():
        wanted = 'python -m docs.drawings.draw, or of docs.drawings.own_data'
        assert (IMAGES / f'{name}.svg').read_text() == draw(), wanted


@pytest.mark.parametrize(
    ('name', 'network', 'windows'),
    [('gcvit_network', GCViT, (7, 7, 14, 7)), ('lsa_network', LSA, None)],
)
def test_the_drawings_show_the_networks_shapes(name, network, windows):
    outputs = build(network, window_size=windows)(torch.empty(1, 3, 224, 224, device='meta'))
    drawn = re.findall(r'norm, output \d</text>.*?>([\d x]+)</text>', DRAWINGS[name]())
    assert drawn == [format_shape(output[0]) for output in outputs]
