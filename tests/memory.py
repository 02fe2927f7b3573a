"""Measure the memory that autograd keeps for the backward pass."""

from torch.autograd.graph import saved_tensors_hooks


def count_bytes_for_backward(function):
    """The sizes in bytes of what autograd keeps of a call for the backward pass, each storage once."""
    sizes = {}

    def pack(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return [*sizes.values()]
