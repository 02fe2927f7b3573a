"""How much memory a step takes at most, in tensors: the same on every run, unlike what the system counts."""

from concurrent.futures import ProcessPoolExecutor

from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile

from . import fork_server


def peak_of_tensors(model, case):
    """Bytes that torch gives out in a step of a case, at most at a time, beyond what the model holds before.

    Counted in another process, for the profiler keeps hundreds of megabytes.
    """
    fork_server.ensure_running()
    # Unlike a Pool, it raises where the process cannot read the model.
    with ProcessPoolExecutor(1, fork_server.CONTEXT) as pool:
        return pool.submit(peak_here, model, case).result()


def peak_here(model, case):
    step = case.prepare(model)
    step()
    model.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == '[memory]']
    held = peak = 0
    for event in sorted(events, key=began):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def began(event):
    """Its time; torch 2.1 has it in microseconds only."""
    return event.start_ns() if hasattr(event, 'start_ns') else event.start_us()


def kept_for_backward(function):
    """The sizes in bytes of what autograd keeps of a call for the backward pass, each storage once."""
    sizes = {}

    def pack(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return [*sizes.values()]
