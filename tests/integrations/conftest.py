"""One set of weights of each network, which every door is to make the same maps from."""

from typing import NamedTuple

import pytest
import torch

from mmgcvit import LSA, GCViT

# Published variants, as timm's names are of those; windows and sizes are not those of the constructors.
MADE = {
    'gcvit_xxtiny': lambda: GCViT('xxtiny', window_size=(5, (3, 4), 6, 7), pretrain_img_size=96),
    'lsa_imagenet_tiny': lambda: LSA('imagenet-tiny', window_size=(9, (3, 4), None, None), pretrain_img_size=96),
}


class Saved(NamedTuple):
    """A folder of save_pretrained, and what the network makes of images."""

    name: str
    folder: str
    network: type
    images: torch.Tensor
    maps: tuple[torch.Tensor, ...]


@pytest.fixture(scope='session', params=MADE)
def saved(request, tmp_path_factory):
    torch.manual_seed(0)
    backbone = MADE[request.param]()
    for norm in (getattr(backbone, f'norm{i}') for i in backbone.out_indices):
        torch.nn.init.normal_(norm.weight)
    folder = tmp_path_factory.mktemp('doors') / request.param
    backbone.save_pretrained(folder)
    images = torch.rand(2, 3, 75, 101)
    with torch.no_grad():
        maps = backbone.eval()(images)
    return Saved(request.param, str(folder), type(backbone), images, maps)


def equal(found, wanted):
    """Whether maps are equal to the bit."""
    return len(found) == len(wanted) and all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))
