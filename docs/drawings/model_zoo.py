"""``python -m docs.drawings.model_zoo`` writes docs/model_zoo.md and its figure from the metafiles.

The numbers live only in the files that model-index.yml names, and those of other networks in
other_networks.yml. The score is the second column, so that a phone shows it beside the name.
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

from .charts import KEY, find_colour

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
# What the page calls the metrics of the metafiles. Those at IoU thresholds are only there.
SHORT_NAMES = {'Top 1 Accuracy': 'top-1', 'box AP': 'box AP', 'mask AP': 'mask AP', 'mIoU': 'mIoU'}


def render() -> str:
    """Render the tables of the page anew; the text before the first and around the last one is
    kept.
    """
    text = PAGE.read_text()
    head = text[: text.index('\n## ')]
    beside_others = text[text.index('## Beside other networks') : text.index('\n| recipe |')]
    sections = [section for content in CONTENTS for section in render_metafile(content)]
    return '\n'.join([head, *sections, unscored_table(), beside_others, highest_table()])


def list_models(content: dict[str, Any], collection: dict[str, Any]) -> list[dict[str, Any]]:
    return [model for model in content['Models'] if model['In Collection'] == collection['Name']]


def render_metafile(content: dict[str, Any]) -> Iterator[str]:
    """Render a table for each collection of a metafile that has published scores."""
    for collection in content['Collections']:
        models = list_models(content, collection)
        if not any(map(scores_of, models)):
            continue
        resources = collection['Metadata']['Training Resources'].partition(' (not run')[0]
        usual = find_usual(models)
        yield f'## {collection["Name"]}\n'
        yield f'{"; ".join([*usual.values(), resources])}.\n'
        yield models_table(models)
        for model in models:
            others = [model['Metadata'][key] for key in usual]
            others = [value for value in others if value not in usual.values()]
            if others:
                yield f'`{model["Name"]}`: {", ".join(others)}.\n'


def unscored_table() -> str:
    """Render the models without a published score."""
    rows = [['config', 'model', 'parameters, M', 'multiply-adds, G', 'training']]
    for content in CONTENTS:
        for collection in content['Collections']:
            models = list_models(content, collection)
            link = '[{Name}]({Paper[URL]})'.format(**collection)
            if not any(map(scores_of, models)):
                for model in models:
                    metadata = model['Metadata']
                    name, parameters, multiply_adds = model_cells(model)
                    multiply_adds += f' at {metadata["FLOPs Input Size"]}'
                    training = metadata['Training Schedule']
                    rows.append([name, link, parameters, multiply_adds, training])
    return f'## Without a published score\n\n{format_table(rows)}'


def model_cells(model: dict[str, Any]) -> list[str]:
    """Return the cells of a model's name, parameters and multiply-adds."""
    metadata = model['Metadata']
    return [
        f'[`{model["Name"]}`](../{model["Config"]})',
        f'{metadata["Parameters"] / 1e6:.2f}',
        f'{metadata["FLOPs"] / 1e9:.1f}',
    ]


def find_usual(models: list[dict[str, Any]]) -> dict[str, str]:
    """Return the image size and the training length that most models of a table have."""
    usual = {}
    for key in ('FLOPs Input Size', 'Training Schedule'):
        values = [model['Metadata'][key] for model in models]
        usual[key] = max(values, key=values.count)
    return usual


def models_table(models: list[dict[str, Any]]) -> str:
    """Render the table of one collection; what most rows share stands above it."""
    metrics = [name for name in SHORT_NAMES if any(name in scores_of(model) for model in models)]
    title = f'paper: {" / ".join(SHORT_NAMES[name] for name in metrics)}'
    rows = [['config', title, 'parameters, M', 'multiply-adds, G']]
    for model in models:
        name, *costs = model_cells(model)
        rows.append([name, format_scores(model), *costs])
    return format_table(rows)


def highest_table() -> str:
    """Render the best other networks beside GC ViT of the same sizes, a row for each recipe."""
    recipes = {}
    for entry in OTHER_NETWORKS['Highest']:
        recipes.setdefault((entry['Table'], entry['Source']['URL']), []).append(entry)
    rows = [['recipe', 'published', 'GC ViT', 'network, source']]
    for (recipe, address), entries in recipes.items():
        ours = []
        for entry in entries:
            ours.append(format_scores(ENTRIES[entry['Ours']]) or '-')
        networks = ', '.join(entry['Network'] for entry in entries)
        sizes = ', '.join(entry['Size'] for entry in entries)
        source = f'{networks}, [{entries[0]["Source"]["Title"]}]({address})'
        published = '; '.join(str(entry['Score']) for entry in entries)
        rows.append([f'{recipe}: {sizes}', published, '; '.join(ours), source])
    return format_table(rows)


def format_table(rows: list[list[str]]) -> str:
    """Format a Markdown table. The first row is its header."""
    lines = [f'| {" | ".join(row)} |' for row in rows]
    lines.insert(1, '|---' * len(rows[0]) + '|')
    return '\n'.join(lines) + '\n'


def scores_of(model: dict[str, Any]) -> dict[str, float]:
    """Return the scores of a model by metric, over all its tasks."""
    return {name: value for result in model['Results'] for name, value in result['Metrics'].items()}


def format_scores(model: dict[str, Any]) -> str:
    """Return the scores of a model as the pages show them, such as '47.9 / 43.2'."""
    scores = scores_of(model)
    return ' / '.join(str(scores[metric]) for metric in SHORT_NAMES if metric in scores)


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
            style['color'] = find_colour(family)
            row[0].plot(parameters, scores, **style)
            row[1].plot(macs, scores, **style)
        for axes, label in zip(row, ('parameters, M', 'multiply-adds, G'), strict=True):
            axes.set(xscale='log', xlabel=f'{label} (log scale)', title=chart[0])
            lowest, highest = axes.dataLim.intervalx
            steps = (1, 2, 5) if highest > 8 * lowest else range(1, 10)
            axes.xaxis.set_major_locator(LogLocator(subs=steps))
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
