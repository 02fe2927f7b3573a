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
[dry_run.md](dry_run.md). Where a paper has no figure, the cell is empty.
"""
TASKS = {
    'Object Detection': 'box AP',
    'Instance Segmentation': 'mask AP',
    'Semantic Segmentation': 'mIoU',
    'Image Classification': 'Top 1 Accuracy',
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
        yield table(models)


def table(models: list[dict[str, Any]]) -> str:
    """The models of one collection."""
    tasks = [task for task in TASKS if any(task == result['Task'] for model in models for result in model['Results'])]
    heads = ['config', 'parameters (M)', 'multiply-adds (G)', 'image', 'training', *(TASKS[task] for task in tasks)]
    lines = [heads, ['---'] * len(heads), *(row(model, tasks) for model in models)]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def row(model: dict[str, Any], tasks: list[str]) -> list[str]:
    """The cells of one model."""
    metadata = model['Metadata']
    metrics = {result['Task']: result['Metrics'].get(TASKS[result['Task']]) for result in model['Results']}
    return [
        f'[`{model["Name"]}`](../{model["Config"]})',
        f'{metadata["Parameters"] / 1e6:.2f}',
        f'{metadata["FLOPs"] / 1e9:.1f}',
        metadata['FLOPs Input Size'],
        metadata['Training Schedule'],
        *('' if metrics.get(task) is None else str(metrics[task]) for task in tasks),
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
