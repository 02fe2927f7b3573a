"""One line for own data: what a folder holds is found out, a config for it is made of a template, and trained."""

import re
import sys
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.run_folder import check_free
from ..datasets.layouts import Found, find_layout, write_annotations
from ..errors import UserError, counted, meant, printable
from ..files import counted_up, from_root, write_text
from ..hosts.configs import configs_with
from . import training
from .beginning import Beginning
from .starting import check_work_dir, load_config, look_at_machine

# Parts of the configs' names. The smallest network is that of configs/demo, with its weights; the others start from the
# weights that the authors have released.
MINI = 'mini'
SIZES = {'xxtiny': 'xxt', 'xtiny': 'xt', 'tiny': 't', 'small': 's', 'base': 'b', 'large': 'l'}
RELEASED = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_{}.pth.tar'


@dataclass(frozen=True)
class Kind:
    """How something is learned: by which template, and by which configs in place of what that inherits from."""

    task: str
    network: str
    template: str
    base: str
    demo: str
    # Of the smallest network: the side of its images, and its batch.
    side: int
    batch: int = 8
    sizes: tuple[str, ...] = ('tiny', 'small', 'base')


KINDS = {
    'boxes': Kind(
        'detect', 'Faster R-CNN', 'custom_coco_boxonly', 'mask_rcnn_gcvit_{}', 'mask_rcnn_gcvit_digits', side=192
    ),
    'masks': Kind('segment', 'Mask R-CNN', 'custom_coco', 'mask_rcnn_gcvit_{}', 'mask_rcnn_gcvit_digits', side=192),
    'labels': Kind('segment', 'UPerNet', 'custom_seg', 'upernet_gcvit_{}_win16', 'upernet_gcvit_digits', side=128),
    'classes': Kind(
        'classify', 'a classifier', 'custom_cls', 'gcvit_{}_in1k', 'gcvit_digits_cls', side=64, sizes=tuple(SIZES)
    ),
}
TASKS = tuple(dict.fromkeys(kind.task for kind in KINDS.values()))
# Of the smallest classifier, which the template's rate is too low for.
MINI_RATE = 1e-3
# Images that a training goes through where no number of epochs is asked for, in so many epochs at least.
SEEN, SEEN_BY_MINI, FEWEST_EPOCHS = 6000, 1600, 12
# Of segmentors that are not the smallest.
BATCH = 2
LEAST_SIDE = 32
# The folder in a work dir for what is made for a run; of a later run there made2, as the earlier one's config names the
# files in it. The copy that a run keeps of its config lies beside it.
MADE = 'made'


def train(
    data: str | Path,
    task: str | None = None,
    size: str | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    pretrained: str | Path | None = None,
    work_dir: str | Path | None = None,
    device: str = 'auto',
    overwrite: bool = False,
) -> Path:
    """Train on a folder of own data, as ``mmgcvit train --data`` does.

    Args:
        data: The folder: annotations of COCO, YOLO or Pascal VOC, folders of classes, or images with label files.
        task: ``'detect'``, ``'segment'`` or ``'classify'``; None takes what the folder is made for.
        size: ``'mini'``, ``'tiny'``, ``'small'`` or ``'base'``, of classifiers also ``'xxtiny'``, ``'xtiny'`` and
            ``'large'``; None takes ``'tiny'`` where there is a GPU, else ``'mini'``.
        epochs: Passes over the training images; None lets the network see some thousand.
        image_size: The side that images are brought to, in pixels; None takes the template's.
        pretrained: A file, an address or ``timm://NAME`` with the backbone's weights, or ``'none'`` to start from
            random ones; None takes those released for the size, or the demo's.
        work_dir: The folder of the run; None takes ``work_dirs/`` and the name of the data's.
        device: ``'auto'`` for a GPU where there is one, ``'cpu'``, ``'cuda'`` or ``'cuda:N'``.
        overwrite: Begin anew in a work dir with an earlier run's checkpoints.

    Returns:
        The work dir, which :func:`mmgcvit.load` takes.

    Raises:
        UserError: The folder is of no layout that is known, or something of what is asked for cannot be.
    """
    look_at_machine(None, device)
    found = find_layout(data)
    work_dir = run_of(found, work_dir)[1]
    with Beginning(work_dir) as beginning:
        config, said = make_config(found, work_dir, task, size, epochs, image_size, pretrained, overwrite)
        beginning.files.append(config.parent)
        sys.stdout.write(f'{said}\n')
        cfg = load_config(str(config), work_dir=str(work_dir))
        training.prepare(cfg, overwrite=overwrite)
        with training.within_a_program(cfg):
            training.run(cfg, str(config), beginning, training.settle(cfg))
    return work_dir


def run_of(found: Found, work_dir: str | Path | None) -> tuple[str, Path]:
    """The name of a config for what was found, and the run's folder."""
    name = re.sub(r'\W+', '_', from_root(found.folder).name).strip('_') or 'own_data'
    return name, Path(work_dir or Path('work_dirs') / name)


def make_config(
    found: Found,
    work_dir: str | Path | None = None,
    task: str | None = None,
    size: str | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    pretrained: str | Path | None = None,
    overwrite: bool = False,
) -> tuple[Path, str]:
    """Write the config that trains what was found, and the annotation files it needs, into a work dir; say so.

    The arguments are those of :func:`train`. Nothing that is there is replaced.
    """
    kind = next((kind for kind in found.kinds if task in (None, KINDS[kind].task)), None)
    if kind is None:
        possible = ' or '.join(KINDS[kind].task for kind in found.kinds)
        raise UserError(
            f'{found.folder} ({found.layout}) does not say what is needed to {task}; expected --task {possible}'
        )
    size = size or ('tiny' if torch.cuda.is_available() else MINI)
    if size not in (sizes := (MINI, *KINDS[kind].sizes)):
        raise UserError(f'--size {size}: to {KINDS[kind].task} there are {", ".join(sizes)}{meant(size, sizes)}')
    for option, value, least in (('epochs', epochs, 1), ('image-size', image_size, LEAST_SIDE)):
        if value is not None and value < least:
            raise UserError(f'--{option} {value}: expected at least {least}')
    start = None if pretrained is None else start_of(str(pretrained))
    name, work_dir = run_of(found, work_dir)
    if from_root(work_dir).resolve().is_relative_to(from_root(found.folder).resolve()):
        raise UserError(f'{work_dir} would be within the data; start in another folder, or name one by --work-dir')
    check_free(work_dir, is_new=not overwrite)
    found.with_validation()
    check_work_dir(str(work_dir))
    folder = counted_up(work_dir / MADE)
    write_annotations(found, folder)
    template, values = lines_for(found, kind, size, folder, epochs, image_size)
    if pretrained is not None:
        values |= {'pretrained': start, 'load_from': None}
    path = folder / f'{name}.py'
    write_text(path, filled(template, values, from_root(found.folder), from_root(work_dir)))
    length = (values['max_iters'], 'iteration') if kind == 'labels' else (values['max_epochs'], 'epoch')
    said = f"""{found}
trains {KINDS[kind].network}, --size {size}, at {values['image_size']} px, {counted(*length)}, from {in_words(values)}
config: {path}"""
    return path, said


def start_of(pretrained: str) -> str | None:
    """The weights to start from as a config names them; a UserError where there is no such file."""
    if pretrained.lower() == 'none':
        return None
    if '://' in pretrained:
        return pretrained
    path = from_root(Path(pretrained).expanduser())
    if not path.is_file():
        raise UserError(
            f'--pretrained {pretrained}: there is no such file; expected one, an address, timm://NAME or none'
        )
    return str(path)


def lines_for(
    found: Found, kind: str, size: str, folder: Path, epochs: int | None, image_size: int | None
) -> tuple[Path, dict[str, Any]]:
    """A template, and the values of those of its lines that are to be changed."""
    learned, is_mini, count = KINDS[kind], size == MINI, len(found.parts['train'].names)
    name = 'custom_coco_small' if is_mini and kind == 'boxes' else learned.template
    configs = configs_with(f'{name}.py')
    own_side = re.search(r'^image_size = (\d+)$', (configs / f'{name}.py').read_text(encoding='utf-8'), re.MULTILINE)
    base = f'demo/{learned.demo}' if is_mini else learned.base.format(SIZES[size])
    epochs = epochs or max(FEWEST_EPOCHS, ceil((SEEN_BY_MINI if is_mini else SEEN) / count))
    values = {
        '_base_': str(configs / f'{base}.py'),
        **places(found, folder),
        'classes': found.classes,
        'image_size': image_size or (learned.side if is_mini else int(own_side[1])),
        'pretrained': None if is_mini else RELEASED.format(size),
        'load_from': str(configs / 'demo' / 'weights' / f'{learned.demo}.safetensors') if is_mini else None,
    }
    if kind == 'labels':
        values['max_iters'] = epochs * ceil(count / (learned.batch if is_mini else BATCH))
        values['img_suffix'], values['seg_map_suffix'] = found.suffixes
    else:
        values['max_epochs'] = epochs
    if kind == 'classes' and is_mini:
        values['lr'] = MINI_RATE
    return configs / f'{name}.py', values


def places(found: Found, made: Path) -> dict[str, str]:
    """Where a template finds the data: what the names of its lines begin with says of which part."""
    train = found.parts['train']
    root = from_root(made if train.file.parent == made else found.folder)
    kind = 'annotations' if isinstance(train.content, dict) else 'list'
    lines = {'data_root': str(root)}
    for name in ('train', 'val'):
        part = found.parts[name]
        paths = {kind: from_root(part.file), 'images': part.images, 'labels': part.labels}
        for line, path in paths.items():
            if path is not None:
                lines[f'{name}_{line}'] = str(path.relative_to(root) if path.is_relative_to(root) else path)
    return lines


def filled(template: Path, values: dict[str, Any], data: Path, work_dir: Path) -> str:
    """The text of a template with other values in some of its lines, and what it was made of in place of its head."""
    text = template.read_text(encoding='utf-8')
    text = text[text.index('"""', 3) + 3 :]
    for name, value in values.items():
        line = f'{name} = {value!r}'
        text, count = re.subn(rf'^{name} = .*$', lambda _, line=line: line, text, count=1, flags=re.MULTILINE)
        if not count:
            raise KeyError(f'{template} has no line {name}')
    return f"""# Made by mmgcvit train --data of {template.name}, for what is in {printable(str(data))}.
# To change it, edit the lines below, and train it by its name: mmgcvit train THIS_FILE --work-dir ANOTHER_FOLDER
work_dir = {str(work_dir)!r}
{text}"""


def in_words(values: dict[str, Any]) -> str:
    """What a training starts from, and what that means for its scores."""
    if values['load_from']:
        return (
            'a model of digits that comes with mmgcvit: for a first look in minutes. Good scores want a larger '
            '--size, and a GPU'
        )
    if values['pretrained']:
        licence = ', which are not for commercial use' if 'nvidia' in values['pretrained'] else ''
        return f'the weights {values["pretrained"]}{licence}'
    return 'random weights: scores will be low unless there are many thousand images; --pretrained names others'
