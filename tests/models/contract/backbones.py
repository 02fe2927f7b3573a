"""Small backbones of every class, for tests that all of them must pass."""

from functools import partial

import torch

from mmgcvit import LSA, GCViT

GCVIT = {'embed_dims': 16, 'depths': (2, 2, 3, 2), 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 2}

# One whose strides are GC ViT's.
LSA_ARCH = {
    'embed_dims': (16, 32, 48, 64),
    'depths': (3, 2, 2, 2),
    'num_heads': (2, 4, 4, 8),
    'kernel_size': 4,
    'stride': 4,
    'padding': 0,
    'shifts': ((0, 0), (0, 2), (-1, 1)),
    'mlp_ratio': 2,
    'img_size': 64,
}


def small_gcvit(arch=GCVIT, **arguments):
    return GCViT(arch, **arguments)


def small_lsa(arch=None, **arguments):
    return LSA({**LSA_ARCH, **(arch or {})}, **arguments)


# The constructors of small backbones by name.
BACKBONES = {
    'gcvit': small_gcvit,
    'gcvit_layer_scale': partial(small_gcvit, arch={**GCVIT, 'layer_scale': 1.0}),
    'gcvit_window_12': partial(small_gcvit, window_size=12),
    'lsa': small_lsa,
    'lsa_one_kv_head': partial(small_lsa, {'num_kv_heads': (1, 1, 1, 1)}),
    'lsa_windows': partial(small_lsa, window_size=(5, (3, 4), None, None)),
    'lsa_reflections': partial(
        small_lsa, {'shift_mode': 'reflect', 'shared_conv': True, 'shared_position': True}
    ),
    'lsa_no_shifts': partial(small_lsa, {'shifts': None}),
    'gcvit_lora': partial(small_gcvit, lora_rank=2),
    'lsa_lora': partial(small_lsa, lora_rank=2),
}


def list_blocks(model):
    return [block for stage in model.stages for block in stage.blocks]


def backpropagate(maps):
    """Compute the gradients of a loss to which every map contributes."""
    sum(found.float().square().mean() for found in maps).backward()


def compute_maps_and_gradients(model, images, dtype=None):
    """Return maps, in autocast with a dtype, and gradients of a loss with another weight per
    position and channel.
    """
    model.zero_grad()
    with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
        maps = model(images)
    loss = 0
    for found in maps:
        weights = torch.arange(found[0].numel()).to(found).view(found.shape[1:]).cos()
        loss = loss + (found * weights).sum()
    loss.backward()
    gradients = [x.grad.clone() for x in model.parameters() if x.requires_grad]
    return [found.detach() for found in maps], gradients
