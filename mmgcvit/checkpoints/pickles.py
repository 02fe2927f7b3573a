"""Reading pickles as data: a machine for the opcodes that describe values, which calls nothing that a file names.

Python's own unpickler looks names up and calls them with the file's arguments; torch's does so with those on a list.
Here a name in a file is a key of a table of ours (:mod:`.kinds`), and what stands there decides what is made of the
arguments. What comes out is looked over once more: data of known types, of bounded nesting, and nothing that holds
itself.
"""

import argparse
import pickletools
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from ..errors import NotDataError, first_line

# A training checkpoint of the largest backbone here, with its optimizer, takes 87,000. One byte can make an object of
# 216, so this bounds memory too.
MOST_OPCODES = 500_000
# What calls may make, all together: bytes, and times what was read so far. A name that is called again with the same
# arguments makes a copy of them of six bytes in the file. Arrays in a log are copied three times, from text on.
MADE_OF_NOTHING = 16 << 20
MOST_COPIES = 4
# A path keeps its parts, the shortest of which is a letter; the version of a module is a dict.
BYTES_OF_A_PART = 8
BYTES_OF_A_VERSION = 400
MOST_LEVELS = 64
# Items in all, counting what is shared as often as it is reached: a few lines of a file can stand for 10**100 of them.
MOST_ITEMS = 20_000_000
MOST_BITS = 256

KEYS = (str, bytes, int, bool, type(None))
ITEMS_OF_SETS = (*KEYS, float)
LEAVES = {
    *(str, bytes, bytearray, int, float, bool, complex, type(None)),
    *(torch.Tensor, torch.dtype, torch.Size, torch.device, np.ndarray, PurePosixPath, HistoryBuffer),
}
SEQUENCES = {list, tuple, set, frozenset}
MAPPINGS = {dict, OrderedDict, Counter}

# Modules that Python 2 called otherwise, as in all pickles of protocol 2, torch.save's.
PYTHON_2_MODULES = {'__builtin__': 'builtins', 'copy_reg': 'copyreg'}


@dataclass(frozen=True)
class Kind:
    """What stands for a class or function that files may name.

    Attributes:
        name: The name, with its module.
        make: Makes a value of the arguments in the file, or an :class:`Unfinished`; raises ValueError or TypeError on
            arguments that its writer never gives.
    """

    name: str
    make: Callable[..., Any]


@dataclass
class Unfinished:
    """A value whose state is still to come in the file.

    Attributes:
        finish: Makes the value of the state.
        places: Where in the memo it was put meanwhile.
    """

    finish: Callable[[Any], Any]
    places: list[int] = field(default_factory=list)


def read_pickle(file: IO[bytes] | bytes, names: Mapping[str, Any], storage: Callable[[Any], Any]) -> Any:
    """Read one pickle as data.

    Args:
        file: Read up to the pickle's end.
        names: What each name in a file stands for: a :class:`Kind`, or the value itself.
        storage: Makes something of a persistent id, torch's way to refer to the numbers of a tensor.

    Raises:
        NotDataError: It holds what is no data.
        Exception: It is no pickle, of any kind that reading one can end in.
    """
    machine = Machine(names, storage)
    for count, (opcode, argument, position) in enumerate(pickletools.genops(file)):
        machine.position = position
        if count > MOST_OPCODES:
            raise NotDataError(f'more than {MOST_OPCODES:,} steps')
        if opcode.name not in STEPS:
            raise NotDataError(f'the opcode {opcode.name}')
        STEPS[opcode.name](machine, argument)
    (content,) = machine.stack
    if machine.marks:
        raise ValueError('a mark without an end')
    check_is_data(content, {})
    return content


class Machine:
    """The stack and the memo of a pickle that is being read; its methods are the opcodes."""

    def __init__(self, names: Mapping[str, Any], storage: Callable[[Any], Any]) -> None:
        self.names, self.storage = names, storage
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.position, self.made = 0, 0

    def push(self, value: Any) -> None:
        if type(value) is int and value.bit_length() > MOST_BITS:
            raise NotDataError('a whole number of more than 256 bits')
        self.stack.append(value)

    def mark(self, _: None) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def take(self, count: int) -> tuple[Any, ...]:
        if len(self.stack) < count:
            raise ValueError('an empty stack')
        taken = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return taken

    def put(self, place: int | None) -> None:
        place = len(self.memo) if place is None else place
        self.memo[place] = self.stack[-1]
        if isinstance(self.stack[-1], Unfinished):
            self.stack[-1].places.append(place)

    def get(self, place: int) -> None:
        self.stack.append(self.memo[place])

    def append(self, items: Iterable[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise NotDataError(f'to append to a {type(target).__name__}')
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) not in MAPPINGS:
            raise NotDataError(f'to set items of a {type(target).__name__}')
        for key, value in zip(items[::2], items[1::2], strict=True):
            # A nested key is hashed by recursion without bounds.
            if type(key) not in KEYS:
                raise NotDataError(f'a {type(key).__name__} as a key')
            target[key] = value

    def add_to_set(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not set:
            raise NotDataError(f'to add items to a {type(target).__name__}')
        target.update(set_items(items))

    def look_up(self, module: str, name: str) -> None:
        full_name = f'{PYTHON_2_MODULES.get(module, module)}.{name}'
        if full_name not in self.names:
            raise NotDataError(full_name)
        self.stack.append(self.names[full_name])

    def name_on_stack(self, _: None) -> None:
        module, name = self.take(2)
        if type(module) is not str or type(name) is not str:
            raise ValueError('a name that is no text')
        self.look_up(module, name)

    def call(self, _: None) -> None:
        kind, arguments = self.take(2)
        if not isinstance(kind, Kind):
            raise NotDataError(f'to call a {type(kind).__name__}')
        if type(arguments) is not tuple:
            raise ValueError('arguments that are no tuple')
        value = made(kind.name, kind.make, *arguments)
        self.account_for(value)
        self.stack.append(value)

    def build(self, _: None) -> None:
        target, state = self.take(2)
        if isinstance(target, Unfinished):
            value = made('a value', target.finish, state)
            self.account_for(value)
            self.memo.update(dict.fromkeys(target.places, value))
        elif type(target) is OrderedDict:
            target.__dict__.update(versions_only(state))
            self.account_for(target)
            value = target
        elif type(target) is argparse.Namespace:
            if type(state) is not dict or not all(type(name) is str for name in state):
                raise NotDataError('options whose names are no text')
            vars(target).update(state)
            self.account_for(target)
            value = target
        else:
            raise NotDataError(f'to change the state of a {type(target).__name__}')
        self.stack.append(value)

    def account_for(self, value: Any) -> None:
        """Refuse to make more than what was read of the file accounts for."""
        self.made += size_of(value)
        if self.made > MADE_OF_NOTHING + MOST_COPIES * self.position:
            raise NotDataError('more memory than its size accounts for')


def size_of(value: Any) -> int:
    """Bytes of a value as far as they depend on what it was made of; tensors lie in storages of the file."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, HistoryBuffer):
        return sum(array.nbytes for array in value.data)
    if isinstance(value, PurePosixPath):
        return BYTES_OF_A_PART * len(str(value))
    if isinstance(value, argparse.Namespace):
        return sys.getsizeof(vars(value))
    if isinstance(value, OrderedDict):
        return BYTES_OF_A_VERSION * len(vars(value).get('_metadata', ()))
    return sys.getsizeof(value)


def made(name: str, make: Callable[..., Any], *arguments: Any) -> Any:
    """What a maker makes of what a file says."""
    try:
        return make(*arguments)
    except NotDataError:
        raise
    except Exception as error:  # Whatever torch and NumPy say to shapes and bytes that nobody writes.
        raise NotDataError(f'{name} of unusual arguments ({first_line(error)})') from None


def versions_only(state: Any) -> dict[str, Any]:
    """What torch keeps at a state dict: the versions of the modules. Other entries would steer how torch loads it."""
    metadata = state.get('_metadata') if type(state) is dict else None
    if type(metadata) not in MAPPINGS:
        return {}
    versions = OrderedDict()
    for module, facts in metadata.items():
        if type(module) is str and type(facts) in MAPPINGS and type(facts.get('version')) is int:
            versions[module] = {'version': facts['version']}
    return {'_metadata': versions}


def set_items(items: Iterable[Any]) -> Iterable[Any]:
    """The items of a set, which are hashed: none that holds others."""
    for item in items:
        if type(item) not in ITEMS_OF_SETS:
            raise NotDataError(f'a {type(item).__name__} in a set')
        yield item


def check_is_data(value: Any, seen: dict[int, tuple[int, int] | None], level: int = 0) -> tuple[int, int]:
    """Make sure that a value is data all the way down; its levels and its items.

    Args:
        value: From the machine.
        seen: Levels and items of the containers that were looked at, by their ids; None while one is being looked at.
        level: How deep it lies.

    Raises:
        NotDataError: It holds something else, or itself, or is nested too deeply.
    """
    kind = type(value)
    if kind in LEAVES or isinstance(value, np.generic | np.dtype):
        return 0, 1
    if kind in SEQUENCES:
        children = value
    elif kind in MAPPINGS:
        children = value.values()
    elif kind is argparse.Namespace:
        children = vars(value).values()
    else:
        raise NotDataError(value.name if isinstance(value, Kind) else f'a bare {kind.__name__}')
    if id(value) not in seen:
        if level > MOST_LEVELS:
            raise NotDataError(f'more than {MOST_LEVELS} levels')
        seen[id(value)] = None
        inside = [check_is_data(child, seen, level + 1) for child in children]
        seen[id(value)] = (
            1 + max((levels for levels, _ in inside), default=0),
            1 + sum(items for _, items in inside),
        )
    known = seen[id(value)]
    if known is None:
        raise NotDataError('a container that holds itself')
    levels, items = known
    if level + levels > MOST_LEVELS + 1:
        raise NotDataError(f'more than {MOST_LEVELS} levels')
    if items > MOST_ITEMS:
        raise NotDataError(f'more than {MOST_ITEMS:,} items')
    return known


def constant(value: Any) -> Callable[[Machine, Any], None]:
    return lambda machine, _: machine.stack.append(value)


def wrap(count: int) -> Callable[[Machine, Any], None]:
    return lambda machine, _: machine.stack.append(machine.take(count))


STEPS: dict[str, Callable[[Machine, Any], None]] = {
    **dict.fromkeys(('PROTO', 'FRAME', 'STOP'), lambda machine, _: None),
    **{name: constant(value) for name, value in (('NONE', None), ('NEWTRUE', True), ('NEWFALSE', False))},
    **dict.fromkeys(('BININT', 'BININT1', 'BININT2', 'LONG1', 'LONG4', 'BINFLOAT'), Machine.push),
    **dict.fromkeys(('SHORT_BINSTRING', 'BINSTRING', 'SHORT_BINBYTES', 'BINBYTES', 'BINBYTES8'), Machine.push),
    **dict.fromkeys(('SHORT_BINUNICODE', 'BINUNICODE', 'BINUNICODE8', 'BYTEARRAY8'), Machine.push),
    'EMPTY_LIST': lambda machine, _: machine.push([]),
    'EMPTY_DICT': lambda machine, _: machine.push({}),
    'EMPTY_SET': lambda machine, _: machine.push(set()),
    'FROZENSET': lambda machine, _: machine.push(frozenset(set_items(machine.since_mark()))),
    'TUPLE': lambda machine, _: machine.push(tuple(machine.since_mark())),
    **{name: wrap(count) for count, name in enumerate(('EMPTY_TUPLE', 'TUPLE1', 'TUPLE2', 'TUPLE3'))},
    'MARK': Machine.mark,
    'APPEND': lambda machine, _: machine.append(machine.take(1)),
    'APPENDS': lambda machine, _: machine.append(machine.since_mark()),
    'SETITEM': lambda machine, _: machine.set_items(list(machine.take(2))),
    'SETITEMS': lambda machine, _: machine.set_items(machine.since_mark()),
    'ADDITEMS': lambda machine, _: machine.add_to_set(machine.since_mark()),
    **dict.fromkeys(('BINPUT', 'LONG_BINPUT', 'MEMOIZE'), Machine.put),
    **dict.fromkeys(('BINGET', 'LONG_BINGET'), Machine.get),
    'GLOBAL': lambda machine, name: machine.look_up(*name.split(' ', 1)),
    'STACK_GLOBAL': Machine.name_on_stack,
    'BINPERSID': lambda machine, _: machine.push(machine.storage(*machine.take(1))),
    **dict.fromkeys(('REDUCE', 'NEWOBJ'), Machine.call),
    'BUILD': Machine.build,
}
