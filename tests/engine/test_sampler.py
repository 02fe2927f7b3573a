"""The random numbers of a batch follow from the seed and the iteration."""

import random
from itertools import product

import numpy as np
import torch

from mmgcvit.engine.sampler import seed_generators


def test_each_seed_rank_iteration_and_sample_has_its_own_random_numbers():
    """This holds for every generator, also if the digits of two tuples are equal when joined: (1,
    11), (11, 1).
    """
    tuples = list(product((0, 1, 11, 111), repeat=4))
    numbers = {}
    for key in tuples + tuples:
        seed_generators(*key)
        drawn = random.random(), np.random.rand(), torch.randint(2**62, ()).item()
        assert numbers.setdefault(key, drawn) == drawn
    for drawn in zip(*numbers.values(), strict=True):
        assert len({*drawn}) == len(tuples)
    seed_generators(2**32 - 1, rank=0, iteration=10**9)
