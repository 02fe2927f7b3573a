"""Figures show the numbers of the pages' tables; the ways repeat numbers of metafiles and tables."""

import json
import re
from itertools import pairwise

import pytest
import torch

from docs.drawings.charts import CHARTS, COLOURS, read_points, read_rows
from docs.drawings.model_zoo import scores_of
from mmgcvit import GCViT

from ..configs.models import ENTRIES, read_docstring
from .pages import find_tables


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
# Its metrics as the metafiles call them.
METRICS = {'top-1': 'Top 1 Accuracy', 'box': 'box AP', 'mask AP': 'mask AP', 'mIoU': 'mIoU'}
METRICS['box AP'] = 'box AP'


@pytest.mark.parametrize(('head', 'row'), CARDS, ids=lambda cells: cells[0])
def test_a_card_has_the_paper_s_scores_and_the_memory_of_the_config_s_head(head, row):
    name = re.match(r'`(\w+)\.py`', row[0])[1]
    scores = scores_of(ENTRIES[name])
    metrics = re.sub(r'\[([^]]+)\]\([^)]*\)', r'\1', head[1]).removeprefix('paper: ').split(' / ')
    expected = [str(scores[METRICS[metric]]) for metric in metrics if scores]
    assert row[1] == (' / '.join(expected) or 'none')
    measured = re.findall(r'([\d.]+) GB in (float32|bf16)', read_docstring(name))
    for number, precision in measured:
        # Of 80 GB, DINO's head names what was computed.
        if 'bf16' in head and '42' not in number and '36' not in number:
            assert row[2 if precision == 'float32' else 3] == number


def test_the_page_that_decides_has_the_numbers_of_the_measurements():
    ours = {row[0]: row[1:] for row in read_rows('does_it_suit_me.md', '', 'GC ViT-T')}
    # Below each row of ours stands Swin-T's of the same step.
    rows = read_rows('performance.md', 'step', 'time, ms')
    pairs = {row[0]: [row[1], swin[1]] for row, swin in pairwise(rows)}
    whole, backbone = ours['training step on an H200, ms'], ours['its backbone alone, ms']
    assert whole[:2] == pairs['mask_rcnn_gcvit_t, 2 x 800x1344, training']
    assert backbone[:2] == pairs['gcvit:tiny@16, 2 x 800x1344, training']
    speeds = {row[0]: row[1:] for row in read_rows('performance.md', 'model')}
    networks = [speeds[name] for name in ('gcvit:tiny', 'swin:tiny', 'convnext:tiny')]
    for column, mode in enumerate(('inference', 'training')):
        cells = [row[column].split()[0] for row in networks]
        assert ours[f'backbone on a CPU, {mode}, speed'] == cells


def test_the_table_of_archs_has_the_channels_and_parameters_of_the_networks():
    for names, channels, parameters, *_ in read_rows('backbone.md', '`arch`'):
        counts = []
        for name in names.split(', '):
            with torch.device('meta'):
                backbone = GCViT(name.strip("'"))
            counts.append(f'{sum(map(torch.numel, backbone.parameters())) / 1e6:.1f}')
            assert channels == ', '.join(map(str, backbone.feature_info.channels()))
        assert parameters == ', '.join(counts)
