"""What a config may say of the checks: ``data_checks = dict(images=100, damaged_images=20)``."""

from dataclasses import dataclass, fields

from mmengine.config import Config


@dataclass(frozen=True)
class Settings:
    """How much is looked at, and borne.

    Attributes:
        images: Of each data set so many images, chosen by chance, are opened when training or testing starts.
        damaged_images: So many different images may turn out to be unreadable while a process trains; one more stops
            the run.
    """

    images: int = 100
    damaged_images: int = 20


def settings_of(cfg: Config) -> Settings:
    """The settings that a config names under ``data_checks``; the others as they are by default.

    Raises:
        SystemExit: It names something else, or no whole numbers.
    """
    given = dict(cfg.get('data_checks') or {})
    names = [entry.name for entry in fields(Settings)]
    wrong = {
        name: value
        for name, value in given.items()
        if name not in names or not isinstance(value, int) or isinstance(value, bool) or value < 0
    }
    if wrong:
        raise SystemExit(f'data_checks={wrong}: expected whole numbers of at least 0 for {" and ".join(names)}')
    return Settings(**given)
