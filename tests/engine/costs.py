"""What single protections cost where a demo's epoch (``tests.engine.protections``) does not tell it: at full size.

Run:  python -m tests.engine.costs checkpoint    # or: warnings, resuming, annotations, images

Seconds of the clock for what waits for the disk (of TMPDIR) and for other processes, of the processor for the rest;
medians of repeats.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import DefaultSampler
from mmengine.runner.checkpoint import save_checkpoint
from PIL import Image
from rich.console import Console
from torch.utils.data import BatchSampler

from mmgcvit import GCViT
from mmgcvit.checkpoints import add_digest
from mmgcvit.datasets.checks.images import Loader, Picture, look_at
from mmgcvit.datasets.checks.loading import check_files
from mmgcvit.engine.early_end import EndEarlyHook
from mmgcvit.engine.exact_resume import gather_gradients
from mmgcvit.engine.loops import WHOLE_BATCH, NumberedBatches, Passes, seed_generators
from mmgcvit.files import flush_to_disk

from ..datasets.checks.made import look
from ..memory import grown_by
from ..processes import answers_of

MB = 1 << 20
PHOTOGRAPH = (640, 480)
# Of ADE20K's training images, in the order of a run of 160,000 iterations of two.
ADE20K, ITERATIONS, BATCH = 20_210, 160_000, 2
# Names that one file may have; ext4 allows 65,000.
MOST_LINKS = 50_000

Line = tuple[str, str]


def seconds_of(function, repeats, clock=time.process_time, times=1):
    """The median of some repeats, each of so many calls, for one call."""
    taken = []
    for _ in range(repeats):
        began = clock()
        for _ in range(times):
            function()
        taken.append((clock() - began) / times)
    return median(taken)


def cost_of_a_checkpoint(folder: Path) -> Iterator[Line]:
    """Of 200 MB, written, given its digest, flushed and renamed, each six times."""
    content = {'state_dict': {'weight': torch.rand(200 * MB // 4)}}
    path = folder / 'epoch_1.pth'
    unfinished = path.with_name('epoch_1.pth.unfinished')

    def give_place() -> None:
        flush_to_disk(unfinished)
        unfinished.replace(path)

    steps = {
        "mmengine's own writing": partial(save_checkpoint, content, str(unfinished)),
        'the digest': partial(add_digest, unfinished),
        'flushing and renaming': give_place,
    }
    rounds = [[seconds_of(step, 1, time.perf_counter) for step in steps.values()] for _ in range(6)]
    yield from ((name, f'{median(taken):.2f} s') for name, taken in zip(steps, zip(*rounds, strict=True), strict=True))


def cost_of_warnings(folder: Path) -> Iterator[Line]:
    """Of asking after every step whether a scheduler has warned a process."""
    yield 'one process, a step', f'{1e6 * seconds_to_agree():.1f} µs'
    yield 'two processes over gloo, a step', f'{1e3 * max(answers_of(seconds_to_agree, [()] * 2)):.2f} ms'


def seconds_to_agree() -> float:
    step = partial(EndEarlyHook().after_train_iter, runner=None, batch_idx=0)
    return seconds_of(step, 20, time.perf_counter, times=100)


def cost_of_resuming(folder: Path) -> Iterator[Line]:
    """Of what makes a resumed run the run."""
    for name, place in (('seeding, an iteration', WHOLE_BATCH), ('seeding, a sample', WHOLE_BATCH + 1)):
        taken = seconds_of(partial(seed_generators, 0, 0, 1000, place), 20, times=100)
        yield name, f'{1e3 * taken:.3f} ms'
    model = GCViT('tiny')
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    runner = SimpleNamespace(model=model)
    size = sum(gradient.nbytes for gradient in gather_gradients(runner)[0].values())
    yield 'gradients of an unfinished step, tiny, in the file', f'{size / 1e6:.0f} MB'
    yield 'gradients of an unfinished step, tiny, copied', f'{seconds_of(partial(gather_gradients, runner), 5):.3f} s'
    yield f'{ITERATIONS:,} iterations of {BATCH} images passed over', f'{seconds_of(pass_over, 5):.3f} s'


def pass_over() -> None:
    sampler = DefaultSampler(range(ADE20K), shuffle=True, seed=0)
    batches = NumberedBatches(Passes(BatchSampler(sampler, BATCH, drop_last=False)), seed=0)
    batches.begin(ITERATIONS, ITERATIONS)
    next(iter(batches))


def cost_of_annotations(folder: Path) -> Iterator[Line]:
    """Of the look at annotations of 100,000 images with 8 objects each when a run starts, 200 images opened."""
    settings = write_many(folder, images=100_000, objects=8)
    size = (folder / 'train.json').stat().st_size
    yield 'annotation file', f'{size / 1e6:.0f} MB'
    began = time.process_time()
    memory = grown_by(partial(look, settings, images=200))
    yield 'the look, with 200 images', f'{time.process_time() - began:.1f} s'
    yield 'memory while it lasts', f'{memory / 1e9:.1f} GB'


def write_many(folder: Path, images: int, objects: int) -> dict:
    """A set in COCO's format of one photograph under many names; its settings in a config."""
    (folder / 'images').mkdir()
    names = [f'{number:012}.jpg' for number in range(images)]
    for number, name in enumerate(names):
        if number % MOST_LINKS == 0:
            photograph = write_photograph(folder / f'{number}.jpg')
        (folder / 'images' / name).hardlink_to(photograph)
    width, height = PHOTOGRAPH
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    outline = np.stack([320 + 123.456 * np.cos(angles), 240 + 123.456 * np.sin(angles)], 1).round(2).ravel().tolist()
    one = {'category_id': 1, 'bbox': [196.5, 116.5, 247.0, 247.0], 'area': 47000.5, 'iscrowd': 0}
    content = {
        'images': [{'id': i, 'file_name': name, 'width': width, 'height': height} for i, name in enumerate(names)],
        'annotations': [
            {'id': number, 'image_id': number // objects, **one, 'segmentation': [outline]}
            for number in range(images * objects)
        ],
        'categories': [{'id': 1, 'name': 'cat'}],
    }
    (folder / 'train.json').write_text(json.dumps(content))
    return {
        'type': 'CocoDataset',
        'data_root': str(folder),
        'ann_file': 'train.json',
        'data_prefix': {'img': 'images/'},
        'metainfo': {'classes': ('cat',)},
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True}],
    }


def write_photograph(path: Path) -> Path:
    """Smooth and noisy parts, as cameras give them."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(PHOTOGRAPH, Image.Resampling.BICUBIC).save(path, quality=90)
    return path


def cost_of_images(folder: Path) -> Iterator[Line]:
    """Of opening a photograph wholly, and of the look at it before it is loaded in training."""
    path = str(write_photograph(folder / 'photograph.jpg'))
    whole, load = partial(look_at, Picture(path), Loader()), LoadImageFromFile()
    yield 'check-data, an image of 640 x 480', f'{1e3 * seconds_of(whole, 100):.2f} ms'
    yield 'loading it in training', f'{1e3 * seconds_of(lambda: load({"img_path": path}), 100):.2f} ms'
    yield 'the look before', f'{1e3 * seconds_of(partial(check_files, [path]), 20, times=100):.3f} ms'


COSTS = {
    'checkpoint': cost_of_a_checkpoint,
    'warnings': cost_of_warnings,
    'resuming': cost_of_resuming,
    'annotations': cost_of_annotations,
    'images': cost_of_images,
}


def main():
    parser = argparse.ArgumentParser(prog='python -m tests.engine.costs', description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=COSTS)
    what = parser.parse_args().what
    torch.set_num_threads(1)
    console = Console(soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, cost in COSTS[what](Path(folder)):
            console.print(f'{name}: {cost}', highlight=False)


if __name__ == '__main__':
    main()
