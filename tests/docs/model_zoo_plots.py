"""GC ViT's figure 1 for docs/model_zoo.md: scores over parameters and over multiply-adds, beside published rivals.

Ours are the points of the metafiles, the others those of configs/metafiles/rivals.yml. A picture holds the points that
it shows, by which it is known to be up to date.
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from PIL import Image

OURS = 'GC ViT'
# Under which name a picture holds its points.
KEY = 'Points'


@dataclass(frozen=True)
class Point:
    """A model: its size, for example ``'T'``; parameters in millions, multiply-adds in billions, score in percent."""

    name: str
    parameters: float
    macs: float
    score: float


@dataclass(frozen=True)
class Chart:
    """What one row of a picture shows."""

    title: str
    score: str  # its name
    families: dict[str, list[Point]]  # of networks, ours first
    levels: dict[str, float]  # scores of the highest networks whose costs no source here states


class Kind(NamedTuple):
    """Which models a chart is of."""

    title: str
    task: str  # the rivals', in rivals.yml
    collection: str  # ours, in the metafiles
    metric: str  # the score's name in the metafiles
    size: str  # the image size of ours; larger ones are from other training data
    score: str  # the score's name in the chart


COCO = {'metric': 'box AP', 'size': '800x1280', 'score': 'box AP, %'}
CASCADE, MASK_RCNN = 'Cascade Mask R-CNN, COCO', 'Mask R-CNN, COCO'
# File: its charts, from top to bottom.
PICTURES = {
    'zoo_imagenet.png': [
        Kind(
            'ImageNet-1K, trained on it alone, 224x224 px',
            *('Image Classification', 'GC ViT, ImageNet-1K', 'Top 1 Accuracy', '224x224', 'top-1, %'),
        )
    ],
    'zoo_coco.png': [
        Kind('Cascade Mask R-CNN, COCO, 36 epochs, 800x1280 px', CASCADE, CASCADE, **COCO),
        Kind('Mask R-CNN, COCO, 36 epochs, 800x1280 px', MASK_RCNN, MASK_RCNN, **COCO),
    ],
}
# Each family's colour and marker, and where a label stands from its point, in points of a font. Colours that are told
# apart by colour-blind eyes too (Okabe and Ito).
STYLES = {
    OURS: ('#D55E00', 'o', (7, -12)),
    'Swin': ('#0072B2', 's', (6, -10)),
    'ConvNeXt': ('#009E73', '^', (-6, 2)),
    'MaxViT': ('#CC79A7', 'D', (0, 6)),
    'TransNeXt': ('#000000', 'v', (-6, -12)),
    'RMT': ('#E69F00', 'P', (0, 7)),
    'HorNet GF': ('#56B4E9', 'X', (0, 7)),
    'InternImage': ('#882255', 'd', (0, 7)),
}
LEVEL = '#666666'


def charts_of(kinds, metafiles, rivals):
    """The charts of a picture, from what the metafiles and rivals.yml say."""
    charts = []
    for kind in kinds:
        others = {
            group['Family']: [Point(it['Name'], it['Parameters'], it['FLOPs'], it['Score']) for it in group['Models']]
            for group in rivals['Rivals']
            if group['Task'] == kind.task and group['Models']
        }
        drawn = {f'{family}-{point.name}' for family, points in others.items() for point in points}
        levels = {
            f'{entry["Network"]} ({entry["Size"]})': float(entry['Score'].split(' / ')[0])
            for entry in rivals['Highest']
            if entry['Table'].startswith(f'{kind.task},') and entry['Network'] not in drawn
        }
        charts.append(Chart(kind.title, kind.score, {OURS: ours(kind, metafiles), **others}, levels))
    return charts


def ours(kind, metafiles):
    """Our models that have the score: parameters and multiply-adds as counted, scores as published."""
    points = []
    for model in (model for content in metafiles for model in content['Models']):
        metadata, scores = model['Metadata'], scores_of(model)
        of_kind = (model['In Collection'], metadata['FLOPs Input Size']) == (kind.collection, kind.size)
        if of_kind and kind.metric in scores:
            size = re.search(r'gcvit_([a-z0-9]+)', model['Name'])[1].upper()
            costs = round(metadata['Parameters'] / 1e6, 2), round(metadata['FLOPs'] / 1e9, 1)
            points.append(Point(size, *costs, scores[kind.metric]))
    return points


def scores_of(model):
    """The scores of a model by metric, of all its tasks."""
    return {name: value for result in model['Results'] for name, value in result['Metrics'].items()}


def text_of(charts):
    """What a picture of the charts holds."""
    return json.dumps([asdict(chart) for chart in charts])


def text_in(picture):
    """What a picture holds."""
    with Image.open(picture) as image:
        return image.text.get(KEY)


def save(charts, picture):
    """Draw the charts into a PNG file."""
    figure_of(charts).savefig(picture, dpi=100, metadata={KEY: text_of(charts), 'Software': None})


def figure_of(charts):
    """A matplotlib figure with a row for each chart: over parameters on the left, over multiply-adds on the right."""
    figure = Figure(figsize=(12.5, 5.4 * len(charts)), layout='constrained')
    rows = figure.subplots(len(charts), 2, squeeze=False, sharey='row')
    for chart, row in zip(charts, rows, strict=True):
        for axes, cost, label in zip(row, ('parameters', 'macs'), ('parameters, M', 'multiply-adds, G'), strict=True):
            draw(axes, chart, cost)
            axes.set_xlabel(f'{label} (log scale)')
            axes.set_title(chart.title, fontsize=10)
        row[0].set_ylabel(f'{chart.score}, as published')
        row[1].legend(loc='lower right', fontsize=9)
    return figure


def draw(axes, chart, cost):
    """One panel: a line for each family, and each point's size beside it."""
    for family, points in chart.families.items():
        colour, marker, offset = STYLES[family]
        first = family == OURS
        costs, scores = [getattr(point, cost) for point in points], [point.score for point in points]
        width = {'markersize': 8, 'linewidth': 2.5, 'zorder': 3} if first else {'markersize': 6, 'linewidth': 1}
        axes.plot(costs, scores, label=family, color=colour, marker=marker, **width)
        side = {-1: 'right', 0: 'center', 1: 'left'}[(offset[0] > 0) - (offset[0] < 0)]
        text = {'fontsize': 8, 'fontweight': 'bold' if first else 'normal', 'color': colour, 'ha': side}
        for point, place in zip(points, zip(costs, scores, strict=True), strict=True):
            axes.annotate(point.name, place, xytext=offset, textcoords='offset points', **text)
    for name, score in chart.levels.items():
        axes.axhline(score, color=LEVEL, linewidth=1, linestyle=':', zorder=1)
        words, text = f'{name}: {score}, costs not stated', {'fontsize': 8, 'color': LEVEL}
        place = {'xycoords': ('axes fraction', 'data'), 'xytext': (0, 3), 'textcoords': 'offset points'}
        axes.annotate(words, (0.01, score), **place, **text)
    values = [getattr(point, cost) for points in chart.families.values() for point in points]
    axes.set_xscale('log')
    axes.set_xlim(0.85 * min(values), 1.18 * max(values))
    axes.set_xticks(ticks(min(values), max(values)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.08)
    axes.grid(alpha=0.3)


def ticks(least, most):
    """Round numbers between two, closer together where the two are."""
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9) if most < 4 * least else (1, 2, 3, 5)
    return [step * 10**power for power in range(4) for step in steps if 0.85 * least <= step * 10**power <= 1.18 * most]
