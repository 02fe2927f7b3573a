"""Seeding for a piece of a run: every generator draws what the piece says, and of no other piece the same."""

import random
from itertools import product

import numpy as np
import pytest
import torch

from mmgcvit.engine.loops import WHOLE_BATCH, seed_generators

DRAWS = {
    'python': lambda: random.getrandbits(64),
    'numpy': lambda: tuple(np.random.randint(0, 2**32, 2, dtype=np.uint64)),
    'torch': lambda: torch.randint(2**62, ()).item(),
}
# The numbers side by side are the same in some of them: 1 11, 11 1.
NUMBERS = (0, 1, 11, 111)


@pytest.mark.parametrize('draw', DRAWS.values(), ids=DRAWS)
def test_each_piece_of_a_run_draws_its_own_and_always_the_same(draw):
    pieces = list(product(NUMBERS, repeat=4))

    def drawn(piece):
        seed_generators(*piece)
        return draw()

    found = [drawn(piece) for piece in pieces]
    assert len(set(found)) == len(pieces)
    assert [drawn(piece) for piece in reversed(pieces)] == found[::-1]


def test_any_seed_that_mmengine_takes_is_taken():
    for seed in (0, 2**31, 2**32 - 1):
        seed_generators(seed, rank=0, iteration=10**9, place=WHOLE_BATCH)
