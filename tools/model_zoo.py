"""Write docs/model_zoo.md from model-index.yml and the files it names: python tools/model_zoo.py.

The numbers live in those files only; ``--check`` fails where the page or its pictures are not what they say. ``--draw``
draws the pictures too, which needs matplotlib.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from model_zoo_plots import PICTURES, Chart, charts_of, save, text_in, text_of

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT / 'model-index.yml'
RIVALS = ROOT / 'configs' / 'metafiles' / 'rivals.yml'
PAGE = ROOT / 'docs' / 'model_zoo.md'
IMAGES = ROOT / 'docs' / 'images'
HEAD = """# Model zoo

Made by `tools/model_zoo.py` from `configs/metafiles/`, which `mim` reads too; tests count parameters and
multiply-adds again and compare. Multiply-adds (what MM projects call FLOPs) are for one image of the size beside
them, height x width; detectors of two stages with 1000 boxes and 100 masks, UPerNet without its auxiliary head; LSA's
shift attention as it is computed here ([lsa.md](lsa.md)). Scores are the papers', single scale. **None of these
trainings has been run in full by this project**; which of them have been put through `tools/dry_run.py`, see
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
networks; **nothing in these pictures has been measured here** but what GC ViT costs. `python tools/model_zoo.py --draw`
draws them from `configs/metafiles/`.

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
    'Semantic Segmentation': ['mIoU'],
    'Image Classification': ['Top 1 Accuracy'],
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--check', action='store_true', help='change nothing; fail where the page is out of date')
    what.add_argument('--draw', action='store_true', help='draw the pictures too')
    return parser.parse_args()


def metafiles() -> Iterator[dict[str, Any]]:
    """The content of each file that the index names."""
    for path in yaml.safe_load(INDEX.read_text())['Import']:
        yield yaml.safe_load((ROOT / path).read_text())


def rivals() -> dict[str, Any]:
    """Other networks' published figures."""
    return yaml.safe_load(RIVALS.read_text())


def pictures() -> dict[Path, list[Chart]]:
    """The charts of each picture."""
    contents = list(metafiles())
    return {IMAGES / name: charts_of(kinds, contents, rivals()) for name, kinds in PICTURES.items()}


def render() -> str:
    """The whole page."""
    sections = [section for content in metafiles() for section in render_metafile(content)]
    return '\n'.join([HEAD, *sections, BESIDE_OTHERS, points_table(), HIGHEST, highest_table()])


def points_table() -> str:
    """The points of other networks."""
    heads = ['task', 'network', 'size: parameters (M) / multiply-adds (G) / score', 'source']
    return table(heads, [rival_row(group) for group in rivals()['Rivals']])


def rival_row(group: dict[str, Any]) -> list[str]:
    """The cells of one family of networks."""
    points = [
        f'{model["Name"]}: {model["Parameters"]} / {model["FLOPs"]} / {model["Score"]}' for model in group['Models']
    ]
    return [group['Task'], group['Family'], '; '.join(points), source(group)]


def highest_table() -> str:
    """The highest figures of other networks beside those of GC ViT of the same size."""
    heads = ['recipe', 'size', 'network', 'published', 'GC ViT, published', 'source']
    return table(heads, [highest_row(entry) for entry in rivals()['Highest']])


def highest_row(entry: dict[str, Any]) -> list[str]:
    """The cells of one network; GC ViT's are empty where its paper has no figure."""
    (model,) = (model for content in metafiles() for model in content['Models'] if model['Name'] == entry['Ours'])
    scores = {name: value for result in model['Results'] for name, value in result['Metrics'].items()}
    ours = ' / '.join(str(scores[name]) for name in ('box AP', 'mask AP', 'mIoU') if name in scores)
    return [entry['Table'], entry['Size'], entry['Network'], entry['Score'], ours, source(entry)]


def source(entry: dict[str, Any]) -> str:
    """Where a figure is published, as a link."""
    return f'[{entry["Source"]["Title"]}]({entry["Source"]["URL"]})'


def render_metafile(content: dict[str, Any]) -> Iterator[str]:
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


def models_table(models: list[dict[str, Any]]) -> str:
    """The models of one collection."""
    metrics = metrics_of(models)
    heads = ['config', 'parameters (M)', 'multiply-adds (G)', 'image', 'training', *metrics]
    return table(heads, [row(model, metrics) for model in models])


def releases_table(models: list[dict[str, Any]]) -> str:
    """The older weights of those models that have any."""
    heads = ['config', 'weights', 'Top 1 Accuracy', 'ImageNetV2 Top 1 Accuracy']
    rows = [
        [link(model), f'`{older["Weights"]}`', str(older['Top 1 Accuracy']), str(older['ImageNetV2 Top 1 Accuracy'])]
        for model in models
        if (older := model.get('First Release'))
    ]
    return table(heads, rows)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return ''.join(f'| {" | ".join(line)} |\n' for line in [heads, ['---'] * len(heads), *rows])


def metrics_of(models: list[dict[str, Any]]) -> list[str]:
    """The columns of scores."""
    results = [result for model in models for result in model['Results']]
    tasks = [task for task in METRICS if any(result['Task'] == task for result in results)]
    return [
        metric
        for task in tasks
        for metric in METRICS[task]
        if metric == METRICS[task][0] or any(metric in result['Metrics'] for result in results)
    ]


def link(model: dict[str, Any]) -> str:
    """The name of a model, leading to its config."""
    return f'[`{model["Name"]}`](../{model["Config"]})'


def row(model: dict[str, Any], metrics: list[str]) -> list[str]:
    """The cells of one model."""
    metadata = model['Metadata']
    scores = {name: value for result in model['Results'] for name, value in result['Metrics'].items()}
    return [
        link(model),
        f'{metadata["Parameters"] / 1e6:.2f}',
        f'{metadata["FLOPs"] / 1e9:.1f}',
        metadata['FLOPs Input Size'],
        metadata['Training Schedule'],
        *(str(scores.get(metric, '')) for metric in metrics),
    ]


def main() -> None:
    args = parse_args()
    page = render()
    if args.check:
        check(page)
        return
    PAGE.write_text(page)
    if args.draw:
        for path, charts in pictures().items():
            save(charts, path)


def check(page: str) -> None:
    """Compare what there is with what there should be.

    Raises:
        SystemExit: The page, or a picture, is out of date.
    """
    if not PAGE.is_file() or PAGE.read_text() != page:
        raise SystemExit(f"{PAGE.relative_to(ROOT)} is out of date: run 'python tools/model_zoo.py'")
    for path, charts in pictures().items():
        if text_in(path) != text_of(charts):
            raise SystemExit(f"{path} is out of date: run 'python tools/model_zoo.py --draw'")


if __name__ == '__main__':
    main()
