"""The options of ``mmgcvit train --data``, in :class:`Options`.

The command line, the checks of templates, the comparison with the run that is resumed,
:func:`.config.make_config` and the table in docs/custom_dataset.md read them from there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ...errors import UserError, suggest
from ..data.similar_names import ANSWERS
from .templates import COSTS, TEMPLATES

OptionValue = str | int | float | bool | None  # None: not given
MAX_NUMBER = 10**9  # the largest number that an option may have
NAMES = {str: 'a text', int: 'an integer', float: 'a number', bool: 'True or False'}
# The key of the metadata of a dataclass's field.
OPTION = 'option'


@dataclass(frozen=True)
class Option:
    """The definition of an option: its type, help, default and allowed values."""

    type: type  # bool: an option without a value
    help: str
    default: str  # in words, since most defaults follow from the task, the size and the data
    choices: Sequence[str] | None = None
    minimum: int | None = None
    metavar: str | None = None
    value_if_bare: int | None = None  # its value if it is given without one
    may_change: bool = False  # when a run is resumed

    @property
    def full_help(self) -> str:
        return f'{self.help} (default: {self.default})'

    def check(self, name: str, value: OptionValue) -> None:
        """Raise a UserError for a value that is not allowed. ``name`` is the option's, with which
        the message begins.
        """
        if value is None or value == self.value_if_bare:
            return
        allowed = (int, float) if self.type is float else self.type
        is_bool = isinstance(value, bool)  # which is an int in Python
        if not isinstance(value, allowed) or is_bool != (self.type is bool):
            raise UserError(f'{name} {value!s:.40}: expected {NAMES[self.type]}')
        if self.choices is not None and value not in self.choices:
            raise UserError(f'{name} {value!s:.40}: expected {join_choices(self.choices)}')
        # False for NaN.
        if self.minimum is not None and not self.minimum <= value <= MAX_NUMBER:
            raise UserError(
                f'{name} {value!s:.40}: expected at least {self.minimum}, and at most '
                f'{MAX_NUMBER:,}'
            )


def define(**settings: Any) -> Any:
    """Define an option: a field of a dataclass with these attributes of :class:`Option`."""
    return field(default=None, metadata={OPTION: Option(**settings)})


@dataclass(frozen=True)
class Options:
    """The options of a training on own data. None stands for the default."""

    task: str | None = define(
        type=str,
        choices=tuple(template.option for template in TEMPLATES.values()),
        help='what is trained; maps: segment (instances) or semantic',
        default='by annotations',
    )
    size: str | None = define(
        type=str,
        choices=tuple(COSTS),
        help='network size; xxtiny, xtiny and large are for classification only',
        default='tiny with a GPU, else mini',
    )
    epochs: int | None = define(
        type=int,
        minimum=1,
        may_change=True,
        help='epochs',
        default='at least 12, and as many as see 6000 images; mini: 1600 (semantic 4800, classify '
        '6400)',
    )
    image_size: int | None = define(
        type=int,
        minimum=32,
        help='side of the images in pixels',
        default='detect, segment 800, semantic 512, classify 224; mini: 192, 128, 64',
    )
    tiles: int | None = define(
        type=int,
        minimum=32,
        metavar='SIDE',
        value_if_bare=0,
        help='train on random tiles of SIDE pixels (without SIDE: by the sizes of objects; for '
        'maps, the image size); '
        'validate and predict in overlapping tiles',
        default='whole images',
    )
    pretrained: str | None = define(
        type=str,
        metavar='WEIGHTS',
        help='backbone weights: a file, a URL, timm://NAME, or none',
        default='the released ones; for mini, our own',
    )
    start: str | None = define(
        type=str,
        metavar='RUN',
        help='all weights of a trained model of the same task and size: the work dir of a run, a '
        'checkpoint or a URL. Classes are matched by name; new ones begin anew',
        default='as of --pretrained',
    )
    batch_size: int | None = define(
        type=int,
        minimum=1,
        help='images per iteration',
        default='detect, segment, semantic 2, classify 32; mini: 8, 32',
    )
    lr: float | None = define(
        type=float,
        minimum=0,
        help='learning rate',
        default='detect, segment 1e-4, semantic 6e-5, classify 1e-4; mini: 1.5e-3, 1e-3. All but '
        'that of classify are for 16 (mini: 8) images per iteration, and in proportion to their '
        'number',
    )
    workers: int | None = define(
        type=int,
        minimum=0,
        may_change=True,
        help='processes that load data; 0: the main process',
        default='4; mini: 2, classify 4',
    )
    augment: str | None = define(
        type=str,
        choices=('none', 'light', 'strong'),
        help='none, light (flips and random sizes; of maps also colours) or strong (also: colours and '
        'larger changes of size of objects, rotations of maps, colours and erased parts of '
        'images with a class)',
        default='light',
    )
    no_flip: bool | None = define(
        type=bool,
        help='never mirror images, as of letters, digits, music, or left and right',
        default='mirror half of them, unless --augment none, or class names tell left from right '
        'or are letters or digits, or it is a classifier of size mini',
    )
    flip: bool | None = define(
        type=bool,
        help='mirror half of the images, whatever the class names are',
        default='as of --no-flip',
    )
    fine_tune: str | None = define(
        type=str,
        choices=('all', 'lora', 'head'),
        help='what of the backbone is trained: all, low-rank matrices beside its linear layers, or '
        'nothing',
        default='all',
    )
    pseudo_labels: bool | None = define(
        type=bool,
        help='train also on labels of predict --labels that nobody has corrected; never validate '
        'on them',
        default='they are left out',
    )
    similar_classes: str | None = define(
        type=str,
        choices=tuple(ANSWERS),
        help='whether classes of several --data with similar names (Cat, cats) are one class '
        '(merge) or not (keep)',
        default='ask',
    )

    def __post_init__(self) -> None:
        for name, option in OPTIONS.items():
            option.check(format_option(name), getattr(self, name))
        if self.flip and self.no_flip:
            raise UserError('--flip and --no-flip exclude each other. Remove one of them')
        if self.flip and self.augment == 'none':
            raise UserError('--flip has no effect with --augment none. Remove one of them')
        if self.start and self.pretrained:
            raise UserError(
                '--start takes the backbone too, so --pretrained would have no effect. Remove one '
                'of them'
            )

    def list_given(self) -> dict[str, OptionValue]:
        """Return the options that are given, by name."""
        values = {name: getattr(self, name) for name in OPTIONS}
        return {name: value for name, value in values.items() if value is not None}


# Options that say how folders are read. They are not variables of a template.
DATA_OPTIONS = ('pseudo_labels', 'similar_classes')
OPTIONS: Mapping[str, Option] = {each.name: each.metadata[OPTION] for each in fields(Options)}


def make_options(**given: OptionValue) -> Options:
    """Return options by their names. Raise a UserError for a name that no option has, and for a
    value that is not allowed.
    """
    for name in given:
        if name not in OPTIONS:
            raise UserError(
                f'train --data has no option {name!r}{suggest(name, OPTIONS) or "."} '
                f'Its options: {", ".join(OPTIONS)}'
            )
    values: dict[str, Any] = given  # __post_init__ checks their types and values
    return Options(**values)


def check_choices(**variables: str) -> None:
    """Raise a UserError if a variable of a template has a value that is not allowed.

    Templates call it: their variables have the names and values of options.
    """
    for name, value in variables.items():
        choices = OPTIONS[name].choices or ()
        if value not in choices:
            raise UserError(f'{name} = {value!r}: expected {join_choices(choices, repr)}')


def join_choices(choices: Sequence[str], format_choice: Callable[[str], str] = str) -> str:
    """Return choices as text: ``a, b or c``."""
    *others, last = map(format_choice, choices)
    return f'{", ".join(others)} or {last}'


def format_option(name: str) -> str:
    """Return an option as users write it: ``--batch-size`` for ``batch_size``."""
    return f'--{name.replace("_", "-")}'


def list_changed(given: Options, started_with: Mapping[str, OptionValue]) -> list[str]:
    """Return the names of the given options that may not change when a run is resumed, and that
    differ from those at its start.

    Tiles without a side are those of the run.
    """
    changed = []
    for name, value in given.list_given().items():
        old = started_with.get(name)
        option = OPTIONS[name]
        is_same = value == old or (value == option.value_if_bare and bool(old))
        if not option.may_change and not is_same:
            changed.append(name)
    return changed


def render_table() -> str:
    """Return the table of all options in docs/custom_dataset.md."""
    lines = ['| option | what it sets | default | with `--resume` |', '|---|---|---|---|']
    for name, option in OPTIONS.items():
        usage = format_option(name)
        if option.metavar and option.value_if_bare is not None:
            usage += f' [{option.metavar}]'
        elif option.metavar:
            usage += f' {option.metavar}'
        text = option.help
        if option.choices:
            text += f': {", ".join(f"`{choice}`" for choice in option.choices)}'
        change = 'may change' if option.may_change else 'stays'
        lines.append(f'| `{usage}` | {text} | {option.default} | {change} |')
    return '\n'.join(lines)
