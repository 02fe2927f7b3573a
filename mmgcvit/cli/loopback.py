"""One node's processes find each other where no other machine can reach them."""

import os
import socket
from collections.abc import Mapping, Sequence

from torch.distributed import TCPStore, run

LOOPBACK = '127.0.0.1'
LOOPBACK_INTERFACE = 'lo'
# Where gloo and NCCL listen, which know no passwords either.
INTERFACE_VARIABLES = ('GLOO_SOCKET_IFNAME', 'NCCL_SOCKET_IFNAME')


def run_alone(arguments: Sequence[str], environment: Mapping[str, str], port: int) -> None:
    """Call torch's launcher, in this process, for processes of this node only.

    Its store takes orders from whoever reaches it, and listens on all interfaces. Here it finds one of this process at
    its port that listens on the loopback interface, and shares it. To be removed once torch's launcher can be told
    where to listen.

    Args:
        arguments: For ``torch.distributed.run``.
        environment: For the processes.
        port: The ``--master_port`` among them.
    """
    os.environ.update(environment)
    names = [name for _, name in socket.if_nameindex()]
    for variable in INTERFACE_VARIABLES if LOOPBACK_INTERFACE in names else ():
        os.environ.setdefault(variable, LOOPBACK_INTERFACE)
    listener = socket.create_server((LOOPBACK, port))
    # Named, because the server ends with it.
    store = TCPStore(  # noqa: F841
        LOOPBACK, port, is_master=True, multi_tenant=True, wait_for_workers=False, master_listen_fd=listener.detach()
    )
    run.main(arguments)
