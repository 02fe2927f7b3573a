"""One file through the ways in, and what is wrong with what came of it."""

import traceback
from dataclasses import dataclass, field

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from mmgcvit.checkpoints import CheckpointError

from ...memory import count_anew, resident
from . import commands

LONGEST_SENTENCE = 2500
# What a file may take beyond its own size, several times over: the model, its run, and torch's own pools.
MEMORY = 300 << 20
TIMES_ITS_SIZE = 8


@dataclass
class Verdict:
    """What came of one file.

    Attributes:
        accepted: The ways that took it.
        refused: The ways that answered it by a sentence.
        memory: Bytes beyond what the process had before, at most.
        faults: What must not be.
    """

    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    memory: int = 0
    faults: list[str] = field(default_factory=list)


def judge(file, whole, sandbox, all_ways):
    """Read a file in every way, or in those that take little where the reader refuses it or finds no model in it.

    Args:
        file: The file.
        whole: What it must hold if it is read at all; None if anything will do.
        sandbox: Watched.
        all_ways: Whether to try all ways with such a file too.
    """
    verdict = Verdict()
    content = attempt(commands.read, file, sandbox, verdict)
    if verdict.accepted and whole is not None and not is_same(content, whole):
        verdict.faults.append('read: changed and accepted')
    is_of_a_model = isinstance(content, dict) and isinstance(content.get('state_dict'), dict)
    del content
    for way in (*commands.LIGHT, *(commands.HEAVY if is_of_a_model or all_ways else ())):
        attempt(way, file, sandbox, verdict)
    return verdict


def attempt(way, file, sandbox, verdict):
    """One way; what it returns."""
    name, before = way.__name__, count_anew()
    sandbox.watching = True
    try:
        result = way(file, sandbox)
        verdict.accepted.append(name)
        return result
    except (CheckpointError, SystemExit) as end:
        verdict.refused.append(name)
        sentence = end.code if isinstance(end, SystemExit) else str(end)
        if not isinstance(sentence, str) or len(sentence) > LONGEST_SENTENCE or not sentence.isprintable():
            verdict.faults.append(f'{name}: no sentence: {sentence!r:.500}')
    except Exception:
        if way not in commands.OF_HOSTS:
            verdict.faults.append(f'{name}: {traceback.format_exc(limit=-4)}')
    finally:
        sandbox.watching = False
        verdict.faults += [f'{name}: {deed}' for deed in sandbox.harm()]
        grown = resident('VmHWM') - before
        verdict.memory = max(verdict.memory, grown)
        if grown > MEMORY + TIMES_ITS_SIZE * file.stat().st_size:
            verdict.faults.append(f'{name}: {grown >> 20} MB of memory for {file.stat().st_size:,} bytes')
    return None


def is_same(found, expected):
    """Whether two contents are the same to the bit."""
    if type(found) is not type(expected):
        return False
    if isinstance(found, torch.Tensor):
        return found.dtype == expected.dtype and found.shape == expected.shape and is_same_bytes(found, expected)
    if isinstance(found, np.ndarray):
        return found.dtype == expected.dtype and found.shape == expected.shape and found.tobytes() == expected.tobytes()
    if isinstance(found, HistoryBuffer):
        return all(map(is_same, found.data, expected.data))
    if isinstance(found, dict):
        return list(found) == list(expected) and all(is_same(found[key], expected[key]) for key in found)
    if isinstance(found, list | tuple):
        return len(found) == len(expected) and all(map(is_same, found, expected))
    return found == expected


def is_same_bytes(found, expected):
    found, expected = (tensor.contiguous().flatten().view(torch.uint8) for tensor in (found, expected))
    return torch.equal(found, expected)
