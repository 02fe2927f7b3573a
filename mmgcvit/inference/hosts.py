"""What the hosts' Inferencers need so that they serve any config, and say nothing that matters to nobody.

Each function says what of which host it makes up for.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger

from ..datasets.checks import leaf_datasets, type_name
from ..errors import UserError

# What a test pipeline has for the sake of annotations, of which one's own pictures have none.
OF_ANNOTATIONS = ('LoadAnnotations', 'LoadPanopticAnnotations', 'LoadOneDLAnnotations', 'MatchAnnotatedSize')
LOADING = 'LoadImageFromFile'
CIFAR = ('CIFAR10', 'CIFAR100')
FOR_CIFAR = ({'type': LOADING}, {'type': 'Resize', 'scale': (32, 32), 'interpolation': 'area'})


def config_for_inferencer(cfg: Config, visualizer: str, path: str | Path) -> Config:
    """A config that an Inferencer can be made of, from one that a model was trained with.

    * They read ``test_dataloader.dataset.pipeline``; data sets that wrap others have none of their own.
    * mmseg and mmpretrain find the steps that load by their bare names only, mmdet by text only.
    * For CIFAR, whose files hold arrays of 32 x 32, red, green, blue, pipelines load and resize nothing: mmpretrain's
      Inferencer gives the network pictures of any size, with red and blue exchanged.
    * They build the config's visualizer with all its backends: a run at a tracking service would begin, and mmdet
      and mmseg fail without any visualizer.

    Args:
        cfg: The whole config; it is not changed.
        visualizer: The host's own kind.
        path: The config's file, for messages.

    Raises:
        UserError: It does not say how images are loaded in tests.
    """
    loader = cfg.get('test_dataloader') or {}
    dataset = next(leaf_datasets(loader.get('dataset')), None)
    steps = [dict(step) for step in (dataset or {}).get('pipeline') or []]
    model, preprocessor = cfg.model, cfg.get('data_preprocessor')
    if dataset is not None and type_name(dataset) in CIFAR:
        steps = [*FOR_CIFAR, *steps]
        # mmpretrain's configs have it beside the model, or in it.
        settings = model.get('data_preprocessor') or preprocessor or {}
        model = {**model, 'data_preprocessor': {**settings, 'to_rgb': not settings.get('to_rgb', False)}}
    if LOADING not in map(type_name, steps):
        raise UserError(f'{path}: its test_dataloader names no pipeline with {LOADING}, by which images are prepared')
    dataset = {**dataset, 'pipeline': [with_bare_name(step) for step in steps if type_name(step) not in OF_ANNOTATIONS]}
    drawn_by = {'type': visualizer, **(cfg.get('visualizer') or {}), 'vis_backends': None}
    return Config(
        {
            'default_scope': cfg.default_scope,
            'model': model,
            'data_preprocessor': preprocessor,
            'test_dataloader': {**loader, 'dataset': dataset},
            'visualizer': drawn_by,
        }
    )


def with_bare_name(step: dict[str, Any]) -> dict[str, Any]:
    """A step of a pipeline; the one that loads without its scope."""
    return {**step, 'type': LOADING} if type_name(step) == LOADING else step


def dataset_of(cfg: Config) -> ConfigDict:
    """The data set that a config for an Inferencer tests on."""
    return cfg.test_dataloader.dataset


@contextmanager
def same_colours() -> Iterator[None]:
    """Draw masks in the same colours each time: mmdet changes them by chance, so that those of videos flicker.

    It takes NumPy's global random numbers, which go on afterwards as if it had not.
    """
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)


@contextmanager
def quiet_hosts() -> Iterator[None]:
    """Keep off the screen what hosts print while a model is built: that its weights are not loaded, above all.

    They are loaded afterwards, by :func:`mmgcvit.inference.load`. Errors are raised as ever.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), Path(os.devnull).open('w') as nowhere, redirect_stdout(nowhere):
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
