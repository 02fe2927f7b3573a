"""``python -m docs.drawings.charts`` draws the tables of pages as bars, into docs/images.

The numbers live only in the pages' tables. Each PNG stores those that it shows, so that a test can
compare them.
"""

import json
import re
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from tests.docs.pages import find_table

IMAGES = Path(__file__).parent.parent / 'images'
# The PNG text chunk that stores what is drawn.
KEY = 'Points'
# One colour for each network in all figures, distinct also to the colour-blind (Okabe and Ito).
COLOURS = {
    'GC ViT': '#0072b2',
    'Swin': '#e69f00',
    'ConvNeXt': '#009e73',
    'timm': '#56b4e9',
    'plain': '#999999',
    'MaxViT': '#cc79a7',
    'TransNeXt': '#d55e00',
    'RMT': '#5b3a8e',
    'HorNet': '#7a4a1e',
    'InternImage': '#b8a800',
}
NETWORKS = {
    'gcvit:tiny': 'GC ViT-T',
    'gcvit:tiny@16': 'GC ViT-T',
    'mask_rcnn_gcvit_t': 'GC ViT-T',
    'Swin-T': 'Swin-T',
    'swin:tiny': 'Swin-T',
    'baselines/mask_rcnn_swin_t': 'Swin-T',
    'timm:gcvit_tiny': "timm's GC ViT-T",
    'convnext:tiny': 'ConvNeXt-T',
    'plain': "the paper's formulas",
}
Speeds = dict[str, dict[str, float]]


def read_rows(page: str, *head: str) -> list[list[str]]:
    """Return the rows of the table whose header begins with ``head``, as plain text."""
    rows = find_table(f'docs/{page}', *head)
    return [[re.sub('[`*]', '', cell) for cell in row] for row in rows]


def read_gpu_speeds() -> Speeds:
    """Return the speed of each network relative to GC ViT-T, by training step on the H200.

    A row that names a network's input begins a group; the rows below it are of the same step.
    """
    speeds = {}
    for step, milliseconds, *_ in read_rows('performance.md', 'step', 'time, ms'):
        name, *case = step.split(', ', 1)
        if case:
            model = 'Mask R-CNN' if name.startswith('mask_rcnn') else 'backbone'
            group, own = {}, milliseconds
            speeds[f'{model}, {case[0]}'] = group
        if own.isdigit():
            group[NETWORKS[name]] = round(int(own) / int(milliseconds), 2)
    return {case: group for case, group in speeds.items() if group}


def read_cpu_speeds() -> Speeds:
    """Return the speed of each network relative to GC ViT-T on the CPU, for each mode."""
    speeds = {'training': {}, 'inference': {}}
    for name, inference, training in read_rows('performance.md', 'model'):
        for mode, cell in (('inference', inference), ('training', training)):
            speeds[mode][NETWORKS[name]] = float(cell.split()[0])
    return speeds


def read_mini_scores() -> dict[str, tuple[float, float]]:
    """Return the scores from random weights and from objects, by score and data."""
    scores = {}
    for score, data, *cells in read_rows('custom_dataset.md', 'score'):
        values = [float(re.match(r'[\d.]+', cell)[0]) for cell in cells]
        # The first of a pair is of boxes; mAP is drawn in percent, as the other scores.
        factor, metric = (100, 'box mAP') if 'mAP' in score else (1, score)
        scores[f'{data} images: {metric}'] = tuple(round(factor * value, 1) for value in values)
    return scores


def find_colour(network: str) -> str:
    """Return the colour of the family that a network's name begins with."""
    if network.startswith('timm'):
        return COLOURS['timm']
    return next((COLOURS[family] for family in COLOURS if network.startswith(family)), '#999999')


def draw_bars(axes: Axes, title: str, speeds: dict[str, float], highest: float) -> None:
    """Draw a bar for each network, with its number."""
    names = list(speeds)
    axes.tick_params(labelsize=9)
    bars = axes.barh(names, speeds.values(), color=[find_colour(name) for name in names])
    axes.bar_label(bars, fmt='%.2f', padding=3)
    axes.axvline(1, color='#333333', linewidth=0.8)
    axes.set_title(title, fontsize=10)
    axes.set(xlim=(0, 1.2 * highest))
    axes.invert_yaxis()


def draw_gpu() -> Figure:
    """Draw the speed of training steps on the GPU."""
    speeds = read_gpu_speeds()
    highest = max(speed for group in speeds.values() for speed in group.values())
    return draw_groups('on a GPU: NVIDIA H200, bf16', speeds, highest)


def draw_cpu() -> Figure:
    """Draw the speed of the backbones on the CPU."""
    speeds = {f'backbone, 16 x 224², {mode}': group for mode, group in read_cpu_speeds().items()}
    return draw_groups('on a CPU: two threads of an AMD EPYC, float32', speeds, 1)


def draw_groups(title: str, speeds: Speeds, highest: float) -> Figure:
    """Draw a panel for each group of bars, narrow enough for a phone."""
    figure = Figure(figsize=(4.4, 5.2), layout='constrained')
    figure.suptitle(title, fontsize=10, weight='bold')
    panels = figure.subplots(len(speeds))
    for panel, (case, group) in zip(panels, speeds.items(), strict=True):
        draw_bars(panel, case, group, highest)
    figure.supxlabel('speed relative to GC ViT-T (longer is faster)', fontsize=9)
    return figure


def draw_mini() -> Figure:
    """Draw what size mini reaches from random weights and from this project's weights."""
    scores = read_mini_scores()
    figure = Figure(figsize=(5.6, 5), layout='constrained')
    axes = figure.subplots()
    for offset, (label, colour) in enumerate(
        [('from random weights', '#bbbbbb'), ("from this project's weights", COLOURS['GC ViT'])]
    ):
        heights = [number + 0.4 * offset for number in range(len(scores))]
        values = [pair[offset] for pair in scores.values()]
        bars = axes.barh(heights, values, height=0.38, color=colour, label=label)
        axes.bar_label(bars, fmt='%.1f', padding=3)
    axes.set_yticks([number + 0.2 for number in range(len(scores))], list(scores))
    axes.set(xlabel='score on held-out images, %', xlim=(0, 100))
    axes.invert_yaxis()
    figure.legend(loc='outside upper center', ncols=2)
    return figure


CHARTS = {
    'speed_gpu': (draw_gpu, read_gpu_speeds),
    'speed_cpu': (draw_cpu, read_cpu_speeds),
    'mini': (draw_mini, read_mini_scores),
}


def read_points(name: str) -> str:
    """Return the numbers that a figure was drawn from, as text."""
    with Image.open(IMAGES / f'{name}.png') as image:
        return image.text.get(KEY)


if __name__ == '__main__':
    for name, (draw, read) in CHARTS.items():
        metadata = {KEY: json.dumps(read()), 'Software': None}
        draw().savefig(IMAGES / f'{name}.png', dpi=90, metadata=metadata)
