"""The batch that a recipe's learning rate was made for, and the one that a run has."""

from mmengine.config import Config

from ..engine.batch import accumulated


def other_batch_size(cfg: Config, recipe: Config, processes: int) -> str | None:
    """What to say where a run's batch is not its recipe's and its learning rate is not scaled, in one line.

    Args:
        cfg: The config as it is run.
        recipe: As its file has it. ``auto_scale_lr.base_batch_size`` goes with the number of accumulated batches of the
            same source, the file or the options, as mmengine scales.
        processes: How many there are on all nodes together.

    Returns:
        None where the batch is the recipe's, or nothing is known of it, or mmengine scales the learning rate.
    """
    scaling = cfg.get('auto_scale_lr') or {}
    base, images = scaling.get('base_batch_size'), (cfg.get('train_dataloader') or {}).get('batch_size')
    if scaling.get('enable') or base is None or images is None:
        return None
    states_its_own = base != (recipe.get('auto_scale_lr') or {}).get('base_batch_size')
    counts = accumulated(cfg)
    total, meant = processes * images * counts, base * accumulated(cfg if states_its_own else recipe)
    if total == meant:
        return None
    return (
        f'The learning rate was made for {meant} images a step, and this run has {total}: {processes} processes x '
        f'{images} images x {counts} accumulated. --auto-scale-lr scales it; train_dataloader.batch_size and '
        'optim_wrapper.accumulative_counts change the number of images'
    )
