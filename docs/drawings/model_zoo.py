"""``python -m docs.drawings.model_zoo`` writes docs/model_zoo.md and its figure from the metafiles.

The numbers live only in the files that model-index.yml names, and those of other networks in
other_networks.yml.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter
from PIL import Image

import mmgcvit  # noqa: F401  before mmdet, which imports mmcv's operators
from tests.configs.models import CONTENTS, ENTRIES
from tests.conftest import ROOT
from tools.benchmark import format_table

OTHER_NETWORKS = yaml.safe_load((ROOT / 'configs' / 'metafiles' / 'other_networks.yml').read_text())
PAGE = ROOT / 'docs' / 'model_zoo.md'
PICTURE = ROOT / 'docs' / 'images' / 'zoo.png'
# Charts of the figure: the collection of our models, their metric and image size, and the task in
# other_networks.yml.
CHARTS = [
    ('GC ViT, ImageNet-1K', 'Top 1 Accuracy', '224x224', 'Image Classification'),
    ('Cascade Mask R-CNN, COCO', 'box AP', '800x1280', 'Cascade Mask R-CNN, COCO'),
    ('Mask R-CNN, COCO', 'box AP', '800x1280', 'Mask R-CNN, COCO'),
]
# The PNG text chunk that stores the plotted points.
KEY = 'Points'


def render() -> str:
    """Render the tables of the page anew; the text before the first and around the last one is
    kept.
    """
    text = PAGE.read_text()
    head = text[: text.index('\n## ')]
    beside_others = text[text.index('## Beside other networks') : text.index('\n| recipe |')]
    sections = [section for content in CONTENTS for section in render_metafile(content)]
    return '\n'.join([head, *sections, beside_others, highest_table()])


def render_metafile(content: dict[str, Any]) -> Iterator[str]:
    """Render the section of one metafile, a table for each collection."""
    for collection in content['Collections']:
        models = [
            model for model in content['Models'] if model['In Collection'] == collection['Name']
        ]
        yield f'## {collection["Name"]}\n'
        yield f'{collection["Paper"]["Title"]}: <{collection["Paper"]["URL"]}>\n'
        yield f'Training: {collection["Metadata"]["Training Resources"]}.\n'
        yield models_table(models)


def models_table(models: list[dict[str, Any]]) -> str:
    """Render the table of one collection, with a column for each score."""
    metrics = list(dict.fromkeys(metric for model in models for metric in scores_of(model)))
    rows = [['config', 'parameters (M)', 'multiply-adds (G)', 'image', 'training', *metrics]]
    for model in models:
        metadata, scores = model['Metadata'], scores_of(model)
        cells = [
            f'[`{model["Name"]}`](../{model["Config"]})',
            f'{metadata["Parameters"] / 1e6:.2f}',
            f'{metadata["FLOPs"] / 1e9:.1f}',
            metadata['FLOPs Input Size'],
            metadata['Training Schedule'],
        ]
        rows.append(cells + [str(scores.get(metric, '')) for metric in metrics])
    return format_table(*rows)


def highest_table() -> str:
    """Render the best other network beside GC ViT of the same size."""
    rows = [['recipe', 'size', 'network', 'published', 'GC ViT, published', 'source']]
    for entry in OTHER_NETWORKS['Highest']:
        scores = scores_of(ENTRIES[entry['Ours']])
        metrics = ('Top 1 Accuracy', 'box AP', 'mask AP', 'mIoU')
        ours = ' / '.join(str(scores[name]) for name in metrics if name in scores)
        source = f'[{entry["Source"]["Title"]}]({entry["Source"]["URL"]})'
        rows.append([entry['Table'], entry['Size'], entry['Network'], entry['Score'], ours, source])
    return format_table(*rows)


def scores_of(model: dict[str, Any]) -> dict[str, float]:
    """Return the scores of a model by metric, over all its tasks."""
    return {name: value for result in model['Results'] for name, value in result['Metrics'].items()}


def find_points(collection: str, metric: str, size: str, task: str) -> dict[str, list[list[Any]]]:
    """Return the families of a chart, ours first: (size, parameters in M, multiply-adds in G,
    score) by network.
    """
    families = {'GC ViT': []}
    for model in ENTRIES.values():
        metadata, scores = model['Metadata'], scores_of(model)
        is_drawn = model['In Collection'] == collection and metadata['FLOPs Input Size'] == size
        if is_drawn and metric in scores:
            name = re.search(r'gcvit_([a-z0-9]+)', model['Name'])[1].upper()
            costs = round(metadata['Parameters'] / 1e6, 2), round(metadata['FLOPs'] / 1e9, 1)
            families['GC ViT'].append([name, *costs, scores[metric]])
    for group in OTHER_NETWORKS['Drawn']:
        if group['Task'] == task:
            keys = ('Name', 'Parameters', 'FLOPs', 'Score')
            points = [[model[key] for key in keys] for model in group['Models']]
            families[group['Family']] = points
    return families


def draw() -> Figure:
    """Draw one row for each chart: scores over parameters on the left, over multiply-adds on the
    right.
    """
    figure = Figure(figsize=(12.5, 5.4 * len(CHARTS)), layout='constrained')
    for chart, row in zip(CHARTS, figure.subplots(len(CHARTS), 2, sharey='row'), strict=True):
        for family, points in find_points(*chart).items():
            width = 3 if family == 'GC ViT' else 1
            names, parameters, macs, scores = zip(*points, strict=True)
            sizes = '-'.join(dict.fromkeys([names[0], names[-1]]))
            style = {'label': f'{family} {sizes}', 'marker': 'o', 'linewidth': width}
            row[0].plot(parameters, scores, **style)
            row[1].plot(macs, scores, **style)
        for axes, label in zip(row, ('parameters, M', 'multiply-adds, G'), strict=True):
            axes.set(xscale='log', xlabel=f'{label} (log scale)', title=chart[0])
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.margins(x=0.08, y=0.08)
            axes.grid(alpha=0.3)
        row[0].set_ylabel(f'{chart[1]}, as published')
        row[1].legend(loc='lower right', fontsize=9)
    return figure


def list_points() -> str:
    """Return the points that the figure should show, as text."""
    return json.dumps([find_points(*chart) for chart in CHARTS])


def read_points() -> str:
    """Return the points stored in the PNG file, as text."""
    with Image.open(PICTURE) as image:
        return image.text.get(KEY)


if __name__ == '__main__':
    PAGE.write_text(render())
    draw().savefig(PICTURE, dpi=100, metadata={KEY: list_points(), 'Software': None})
