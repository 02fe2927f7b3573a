"""Figures and drawings show the numbers of tables and the shapes of networks; the ways repeat
numbers of metafiles and tables.

Modules: `docs/drawings`, `docs/images`.
"""

import json
import re
from itertools import pairwise

import pytest
import torch

from docs.drawings import draw, house, own_data
from docs.drawings.charts import CHARTS, COLOURS, read_points, read_rows
from docs.drawings.draw import DRAWINGS, IMAGES
from docs.drawings.model_zoo import format_scores
from mmgcvit import LSA, GCViT

from ..configs.models import ENTRIES, read_docstring
from ..programs import ROOT
from .pages import find_table, find_tables


@pytest.mark.parametrize('name', CHARTS)
def test_bars_equal_the_tables(name):
    _, read = CHARTS[name]
    assert read()
    assert read_points(name) == json.dumps(read()), 'python -m docs.drawings.charts'


def test_each_network_has_a_colour_of_its_own():
    assert len({*COLOURS.values()}) == len(COLOURS)


CARDS = [
    (table[0], row)
    for table in find_tables('docs/reproduce.md')
    for row in table[1:]
    if table[0][0] == '`configs/`'
]


@pytest.mark.parametrize(('head', 'row'), CARDS)
def test_a_card_has_the_paper_s_scores_and_the_memory_of_the_config_s_head(head, row):
    name = re.match(r'`(\w+)\.py`', row[0])[1]
    assert row[1] == (format_scores(ENTRIES[name]) or 'none')
    for number, precision in re.findall(r'([\d.]+) GB in (float32|bf16)', read_docstring(name)):
        # Of 80 GB, DINO's head names what was computed.
        if 'bf16' in head and '42' not in number and '36' not in number:
            assert row[2 if precision == 'float32' else 3] == number


def test_the_page_that_decides_has_the_numbers_of_the_measurements():
    ours = {row[0]: row[1:] for row in read_rows('does_it_suit_me.md', '', 'GC ViT-T')}
    # Below each row of ours stands Swin-T's of the same step.
    rows = read_rows('performance.md', 'step', 'time, ms')
    pairs = {row[0]: [row[1], swin[1]] for row, swin in pairwise(rows)}
    for row, case in (
        ('training step on an H200, ms', 'mask_rcnn_gcvit_t, 2 x 800x1344, training'),
        ('its backbone alone, ms', 'gcvit:tiny@16, 2 x 800x1344, training'),
    ):
        assert ours[row][:2] == pairs[case]
    speeds = {row[0]: row[1:] for row in read_rows('performance.md', 'model')}
    networks = [speeds[name] for name in ('gcvit:tiny', 'swin:tiny', 'convnext:tiny')]
    for column, mode in enumerate(('inference', 'training')):
        cells = [row[column].split()[0] for row in networks]
        assert ours[f'backbone on a CPU, {mode}, speed'] == cells


def build(network, *arguments, **settings):
    with torch.device('meta'):
        return network(*arguments, **settings).eval()


def test_the_table_of_archs_has_the_channels_and_parameters_of_the_networks():
    for names, channels, parameters, *_ in read_rows('backbone.md', '`arch`'):
        counts = []
        for name in names.split(', '):
            backbone = build(GCViT, name.strip("'"))
            counts.append(f'{sum(map(torch.numel, backbone.parameters())) / 1e6:.1f}')
            assert channels == ', '.join(map(str, backbone.feature_info.channels()))
        assert parameters == ', '.join(counts)


STAGES = ['stages.0']
for index in range(3):
    STAGES += [f'downsamplers.{index}', f'stages.{index + 1}']


def compute_shapes(network, modules, size):
    """Return the shapes of the named modules' outputs for one image, without the batch, in the
    order of computation.
    """
    shapes = []

    def keep(module, inputs, output):
        # Shifted copies stand before the batch dimension.
        shapes.append(format_shape(output.squeeze(-4)))

    for name in modules:
        network.get_submodule(name).register_forward_hook(keep)
    network(torch.empty(1, 3, *size, device='meta'))
    return shapes


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
    assert [row[1] for row in rows] == ['3 x 224 x 224', '10 x 3 x 224 x 224', *computed]


def test_the_drawings_are_up_to_date():
    functions = draw.DRAWINGS | own_data.DRAWINGS | house.DRAWINGS
    drawings = {name: function() for name, function in functions.items()}
    files = {path.stem: path.read_text() for path in IMAGES.glob('*.svg')}
    assert files == drawings, 'python -m docs.drawings.draw, or of own_data or house beside it'


def test_the_drawing_of_the_house_has_the_rooms_of_the_table():
    page = (ROOT / 'docs' / 'how_it_fits_together.md').read_text()
    listed = re.findall(r'^\| `([a-z]+)` \|', page, re.MULTILINE)
    drawn = [name for rooms in house.LIBRARY for name, _ in rooms]
    assert {*drawn, 'version', 'errors', 'own', 'commands'} == {*listed}


@pytest.mark.parametrize(
    ('name', 'network', 'windows'),
    [('gcvit_network', GCViT, (7, 7, 14, 7)), ('lsa_network', LSA, None)],
)
def test_the_drawings_show_the_networks_shapes(name, network, windows):
    outputs = build(network, window_size=windows)(torch.empty(1, 3, 224, 224, device='meta'))
    drawn = re.findall(r'norm, output \d</text>.*?>([\d x]+)</text>', DRAWINGS[name]())
    assert drawn == [format_shape(output[0]) for output in outputs]
