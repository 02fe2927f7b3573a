"""Which config and which checkpoint are meant, and whether the one was made with the other."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import CheckpointError, UserError, first_line, shorten
from ..hosts.comparing import (
    Difference,
    Expression,
    changed,
    differences,
    is_of,
    plain_settings,
    settings_of_text,
    unwrapped,
)
from ..hosts.configs import config_meant, overrides

if TYPE_CHECKING:
    from mmengine.config import Config

# Of this project: a program that uses models hears of what a work dir says wrongly; without handlers it goes to stderr.
LOGGER = logging.getLogger('mmgcvit')
# Of configs that mmengine reads.
CONFIG_ENDINGS = ('.py', '.yaml', '.yml', '.json')
# What predictions depend on, by dotted names, and what of that they do not: it is of training, of memory, of places.
PREDICTING = ('default_scope', 'model', 'test_dataloader*.pipeline')
NOT_PREDICTING = (
    *('*.init_cfg', '*.pretrained', '*.train_cfg', '*.batch_augments', '*.with_cp', '*.frozen_stages', '*.norm_eval'),
    *('*.lora_rank', '*.drop_path_rate', '*.backend_args', '*.file_client_args', '*.meta_keys'),
)
# Under what configs name code.
NAMES_OF_CODE = ('type', '_scope_', 'default_scope')


class Source(NamedTuple):
    """What a model is made of: the config file, and a checkpoint's file or address; and whether each was named.

    A checkpoint that was not named has been found to be whole.
    """

    config: Path
    checkpoint: str
    is_named: bool = True
    is_checkpoint_named: bool = True


def find_source(config: str | Path, checkpoint: str | Path | None = None) -> Source:
    """Settle the config and the checkpoint; a UserError where there is none, or none of several configs is known.

    A checkpoint may be left out with a config that trained weights come with, and with a work dir: its best checkpoint
    is taken, as the validation has named it, the latest of several; where there is none, the newest whole one. Of
    several configs in a work dir the one that the checkpoint was made with is taken.
    """
    check_named(config, checkpoint)
    path = Path(config).expanduser()
    if path.is_dir():
        found = str(checkpoint) if checkpoint is not None else checkpoint_of(path)
        return Source(config_of(path, found), found, is_named=False, is_checkpoint_named=checkpoint is not None)
    return Source(path, str(weights_of(path) if checkpoint is None else checkpoint))


def check_named(config: str | Path, checkpoint: str | Path | None = None) -> None:
    """Refuse a config or a checkpoint that is not there, before what reads them is imported."""
    path = Path(config).expanduser()
    if path.is_dir():
        if not any(path.glob('*.py')):
            raise UserError(f'{config} holds no config (*.py), as the work dir of a run does; name the config')
    elif not path.is_file():
        raise UserError(f'there is no config {config}, neither a file nor a work dir{config_meant(path)}')
    elif path.suffix not in CONFIG_ENDINGS:
        raise UserError(f'{config} is no config ({", ".join(CONFIG_ENDINGS)}); name a config or a work dir first')
    elif checkpoint is None and not weights_of(path).is_file():
        raise UserError(
            f'{config} has no checkpoint beside it ({weights_of(path)}); name a checkpoint of it, or take a work dir, '
            'which has its own'
        )
    if checkpoint is not None and '://' not in str(checkpoint) and not Path(checkpoint).expanduser().is_file():
        raise CheckpointError(f'there is no checkpoint {checkpoint}')


def has_checkpoint(config: str | Path) -> bool:
    """Whether a checkpoint may be left out with a config: a work dir's, or one that trained weights come with."""
    path = Path(config).expanduser()
    return path.is_dir() or weights_of(path).is_file()


def weights_of(config: Path) -> Path:
    """Where trained weights that come with a config are, if there are any."""
    return config.parent / 'weights' / f'{config.stem}.safetensors'


def config_of(work_dir: Path, checkpoint: str | None = None) -> Path:
    """The config that a run has left in its work dir, of several the one that is most like the checkpoint's."""
    found = sorted(work_dir.glob('*.py'))
    if not found:
        raise UserError(f'{work_dir} holds no config (*.py), as the work dir of a run does; name the config')
    if len(found) == 1:
        return found[0]
    # As mmengine has written them out; what else lies beside them, as a script, is not run to find out what it is.
    texts = {path: settings_of_text(path.read_text(encoding='utf-8', errors='replace')) for path in found}
    configs = {path: settings for path, settings in texts.items() if is_model(settings)}
    if len(configs) == 1:
        return next(iter(configs))
    made_with = None if checkpoint is None or not configs else settings_of_checkpoint(checkpoint)
    if made_with is None:
        raise UserError(f'{work_dir} holds {len(found)} configs ({", ".join(p.name for p in found)}); name one of them')
    return min(configs, key=lambda path: len(predicting(made_with, configs[path])))


def checkpoint_of(work_dir: Path) -> str:
    """The whole checkpoint to take of a work dir; see :func:`find_source`."""
    from ..checkpoints import check_whole, newest_whole_checkpoint

    # So mmengine calls the best checkpoints of a run, by a score of validation.
    for path in sorted(work_dir.glob('best_*.pth'), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            check_whole(path)
        except CheckpointError:
            continue
        return str(path)
    newest = newest_whole_checkpoint(work_dir)
    if newest.path is None:
        raise UserError(f'{work_dir}: {newest}; name a checkpoint')
    return str(newest.path)


def settings_of_checkpoint(checkpoint: str) -> dict[str, Any] | None:
    """The settings that a checkpoint says it was made with; None where it says none that can be read, with a line."""
    from ..checkpoints.reading import read_outline

    meta = read_outline(checkpoint)['meta']
    # Of OpenMMLab's second generation, or of its first.
    text = meta.get('cfg', meta.get('config'))
    settings = settings_of_text(text)
    if text and not is_model(settings):
        LOGGER.warning(f'{checkpoint} does not say in readable text what config it was made with: not compared')
    return settings if is_model(settings) else None


def is_model(settings: dict[str, Any] | None) -> bool:
    """Whether settings are those of a config with a model."""
    return bool(settings) and isinstance(settings.get('model'), dict)


def predicting(made_with: dict[str, Any], settings: dict[str, Any]) -> list[Difference]:
    """What predictions depend on and a config's settings have otherwise than a checkpoint's."""
    found = differences(made_with, settings)
    return [each for each in found if is_of(each.name, PREDICTING) and not is_of(each.name, NOT_PREDICTING)]


def as_made(cfg: Config, source: Source, options: Mapping[str, str] | None = None) -> Config:
    """The config that a checkpoint is to be used with: ``cfg``, as it was read from the source, or the checkpoint's.

    Where they differ in what predictions depend on, one line says so. A config that was named is used as it is; that
    of a work dir, which a later command may have written, gets the checkpoint's settings. They are data: code that
    ``cfg`` does not name they cannot have run. ``options``, those of the user in ``cfg``, are set in the checkpoint's
    settings too.
    """
    made_with, given = settings_of_checkpoint(source.checkpoint), plain_settings(cfg)
    if made_with is None or given is None:
        return cfg
    found = predicting(with_options(made_with, options, source.checkpoint) if options else made_with, given)
    if not found:
        return cfg
    other = shorten([str(each) for each in found])
    if source.is_named:
        LOGGER.warning(
            f'{source.checkpoint} was made with other settings than {source.config} ({other}): the named config is used'
        )
        return cfg
    from mmengine.config import Config

    settings = unwrapped(cfg.to_dict())
    unknown = {code for each in found for code in code_in(each.then, each.place[-1])} - {*code_in(settings)}
    if unknown:
        raise UserError(
            f'{source.config} is not what {source.checkpoint} was made with ({other}), and does not name '
            f'{shorten(sorted(unknown))}; name the config that it was made with'
        )
    if 'data_preprocessor' in settings:
        settings['model'].setdefault('data_preprocessor', settings.pop('data_preprocessor'))
    for each in found:
        settings = changed(settings, each.place, each.then)
    LOGGER.warning(f"{source.config} is not what {source.checkpoint} was made with ({other}): the checkpoint's is used")
    return Config(settings, filename=cfg.filename)


def with_options(settings: dict[str, Any], options: Mapping[str, str], checkpoint: str) -> dict[str, Any]:
    """A checkpoint's settings with options, as ``--cfg-options`` has them."""
    from mmengine.config import Config

    cfg = Config(settings)
    # The preprocessor stands in the model, wherever it was.
    places = {name: f'model.{name}' if is_of(name, ['data_preprocessor']) else name for name in options}
    try:
        cfg.merge_from_dict({places[name]: value for name, value in overrides(options).items()})
    except (KeyError, TypeError) as error:  # no such item of a list, or no dict
        raise UserError(
            f'--cfg-options do not fit the config that {checkpoint} was made with ({first_line(error)}); '
            'name a config that they are of'
        ) from None
    return cfg.to_dict()


def code_in(value: Any, name: Any = None) -> Iterator[str]:
    """What code a nested setting of some name has a host look up, or a config evaluate."""
    if name in NAMES_OF_CODE or isinstance(value, Expression):
        yield str(value)
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, inner in entries:
        yield from code_in(inner, key)
