"""Write docs/model_zoo.md from model-index.yml and the files it names: python tools/model_zoo.py.

The numbers live in those files only; ``--check`` fails where the page is not what they say.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT / 'model-index.yml'
PAGE = ROOT / 'docs' / 'model_zoo.md'
HEAD = """# Model zoo

Made by `tools/model_zoo.py` from `configs/metafiles/`, which `mim` reads too; tests count parameters and
multiply-adds again and compare. Multiply-adds (what MM projects call FLOPs) are for one image of the size beside
them, height x width; detectors of two stages with 1000 boxes and 100 masks, UPerNet without its auxiliary head; LSA's
shift attention as it is computed here ([lsa.md](lsa.md)). Scores are the papers', single scale. **None of these
trainings has been run in full by this project**; each config has been put through `tools/dry_run.py`, see
[dry_run.md](dry_run.md). Where a paper has no figure, the cell is empty. Hours of training, and the
GPUs beside them, are the paper's too. Which config is for what: [configs/README.md](../configs/README.md).
"""
RELEASES = """The authors released weights of these models twice. What the configs and
[checkpoints.md](checkpoints.md) name is the second release, of 21 May 2023, with the paper's scores above. timm carries
the first, with scores that timm measured; on ImageNetV2 with matched frequency:
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
    parser.add_argument('--check', action='store_true', help='change nothing; fail where the page is out of date')
    return parser.parse_args()


def metafiles() -> Iterator[dict[str, Any]]:
    """The content of each file that the index names."""
    for path in yaml.safe_load(INDEX.read_text())['Import']:
        yield yaml.safe_load((ROOT / path).read_text())


def render() -> str:
    """The whole page."""
    sections = [section for content in metafiles() for section in render_metafile(content)]
    return '\n'.join([HEAD, *sections])


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
    if not args.check:
        PAGE.write_text(page)
    elif not PAGE.is_file() or PAGE.read_text() != page:
        raise SystemExit(f"{PAGE.relative_to(ROOT)} is out of date: run 'python tools/model_zoo.py'")


if __name__ == '__main__':
    main()
