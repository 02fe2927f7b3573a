"""``python -m tests.docs.model_zoo`` writes docs/model_zoo.md from the metafiles; with ``--draw`` its pictures too.

The numbers live in the files that model-index.yml names, and those of other networks in rivals.yml, only.
"""

import argparse

import yaml

from mmgcvit.experiments import table

from ..configs.models import CONTENTS, ENTRIES
from ..conftest import ROOT
from .model_zoo_plots import PICTURES, charts_of, save, scores_of

RIVALS = yaml.safe_load((ROOT / 'configs' / 'metafiles' / 'rivals.yml').read_text())
PAGE = ROOT / 'docs' / 'model_zoo.md'
IMAGES = ROOT / 'docs' / 'images'
HEAD = """# Model zoo

Made by `python -m tests.docs.model_zoo` from `configs/metafiles/`, which `mim` reads too; tests count parameters and
multiply-adds again and compare. Multiply-adds (what MM projects call FLOPs) are for one image of the size beside
them, height x width; detectors of two stages with 1000 boxes and 100 masks, UPerNet without its auxiliary head; LSA's
shift attention as it is computed here ([lsa.md](lsa.md)). Scores are the papers', single scale. **None of these
trainings has been run in full by this project**; which of them have been put through `mmgcvit dry-run`, see
[dry_run.md](dry_run.md). Where a paper has no figure, the cell is empty. Hours of training, and the
GPUs beside them, are the paper's too. Which config is for what: [configs/README.md](../configs/README.md).
"""
RELEASES = """The authors released weights of these models twice. What the configs and
[checkpoints.md](checkpoints.md) name is the second release, of 21 May 2023, with the paper's scores above. timm carries
the first, with scores that timm measured; on ImageNetV2 with matched frequency:
"""
BESIDE_OTHERS = """## Beside other networks

GC ViT's figure 1 over again, and the same for detection. The orange lines are the models of the tables above, with
their parameters and multiply-adds as counted here. All scores are published ones, and so are the costs of the other
networks; **nothing in these pictures has been measured here** but what GC ViT costs.
`python -m tests.docs.model_zoo --draw` draws them from `configs/metafiles/`.

![Top-1 on ImageNet-1K over parameters and over multiply-adds: GC ViT, Swin, ConvNeXt, MaxViT, TransNeXt,
RMT](images/zoo_imagenet.png)

![Box AP on COCO over parameters and over multiply-adds, above with Cascade Mask R-CNN, below with Mask R-CNN: GC ViT,
Swin, ConvNeXt, HorNet, InternImage](images/zoo_coco.png)

Dotted lines are RMT's detectors, of which no source here states the costs. Swin's classifiers are the weights in its
repository; in papers they have 81.3 (T) and 83.0 (S). The points of the other networks:
"""
HIGHEST = """The highest published figures of like size in the same recipes, as known in November 2026: box AP and mask
AP, or box AP, or mIoU. None has been measured here.
"""
# The metrics of each task; those after the first are left out where no model of a table has them.
METRICS = {
    'Object Detection': ['box AP', 'box AP50', 'box AP75'],
    'Instance Segmentation': ['mask AP', 'mask AP50', 'mask AP75'],
    'Panoptic Segmentation': ['PQ'],
    'Semantic Segmentation': ['mIoU'],
    'Image Classification': ['Top 1 Accuracy'],
    'Multiple Object Tracking': ['HOTA'],
    'Body 2D Keypoint': ['AP'],
    'Rotated Object Detection': ['mAP'],
}


def pictures():
    """The charts of each picture."""
    return {IMAGES / name: charts_of(kinds, CONTENTS, RIVALS) for name, kinds in PICTURES.items()}


def render():
    """The whole page."""
    sections = [section for content in CONTENTS for section in render_metafile(content)]
    return '\n'.join([HEAD, *sections, BESIDE_OTHERS, points_table(), HIGHEST, highest_table()])


def render_metafile(content):
    """A section for each collection of models."""
    for collection in content['Collections']:
        models = [model for model in content['Models'] if model['In Collection'] == collection['Name']]
        yield f'## {collection["Name"]}\n'
        yield f'{collection["Paper"]["Title"]}: <{collection["Paper"]["URL"]}>\n'
        yield f'Training: {collection["Metadata"]["Training Resources"]}.\n'
        yield models_table(models)
        if any('First Release' in model for model in models):
            yield RELEASES
            yield releases_table(models)


def models_table(models):
    """The models of one collection, with a column for each score; the lesser ones only where a model has them."""
    results = [result for model in models for result in model['Results']]
    metrics = [
        metric
        for task, (first, *others) in METRICS.items()
        if any(result['Task'] == task for result in results)
        for metric in (first, *others)
        if metric == first or any(metric in result['Metrics'] for result in results)
    ]
    rows = []
    for model in models:
        metadata, scores = model['Metadata'], scores_of(model)
        parameters, macs = f'{metadata["Parameters"] / 1e6:.2f}', f'{metadata["FLOPs"] / 1e9:.1f}'
        cells = [link(model), parameters, macs, metadata['FLOPs Input Size'], metadata['Training Schedule']]
        rows.append([*cells, *(str(scores.get(metric, '')) for metric in metrics)])
    return table(['config', 'parameters (M)', 'multiply-adds (G)', 'image', 'training', *metrics], rows)


def releases_table(models):
    """The older weights of those models that have any."""
    heads = ['config', 'weights', 'Top 1 Accuracy', 'ImageNetV2 Top 1 Accuracy']
    olders = [(model, model['First Release']) for model in models if 'First Release' in model]
    return table(
        heads, [[link(model), f'`{it["Weights"]}`', *(str(it[head]) for head in heads[2:])] for model, it in olders]
    )


def link(model):
    """The name of a model, leading to its config."""
    return f'[`{model["Name"]}`](../{model["Config"]})'


def points_table():
    """The points of other networks."""
    rows = []
    for group in RIVALS['Rivals']:
        points = [f'{it["Name"]}: {it["Parameters"]} / {it["FLOPs"]} / {it["Score"]}' for it in group['Models']]
        rows.append([group['Task'], group['Family'], '; '.join(points), source(group)])
    return table(['task', 'network', 'size: parameters (M) / multiply-adds (G) / score', 'source'], rows)


def highest_table():
    """The highest figures of other networks beside those of GC ViT of the same size; empty where its paper has none."""
    rows = []
    for entry in RIVALS['Highest']:
        scores = scores_of(ENTRIES[entry['Ours']])
        ours = ' / '.join(str(scores[name]) for name in ('box AP', 'mask AP', 'mIoU') if name in scores)
        rows.append([entry['Table'], entry['Size'], entry['Network'], entry['Score'], ours, source(entry)])
    return table(['recipe', 'size', 'network', 'published', 'GC ViT, published', 'source'], rows)


def source(entry):
    """Where a figure is published, as a link."""
    return f'[{entry["Source"]["Title"]}]({entry["Source"]["URL"]})'


if __name__ == '__main__':
    parser = argparse.ArgumentParser(prog='python -m tests.docs.model_zoo', description=__doc__.splitlines()[0])
    parser.add_argument('--draw', action='store_true', help='draw the pictures too')
    args = parser.parse_args()
    PAGE.write_text(render())
    if args.draw:
        for path, charts in pictures().items():
            save(charts, path)
