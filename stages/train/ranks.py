"""The rank of a process in a distributed training, and the exchange between ranks."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """The rank of this process among those that train together."""

    rank: int
    """The number of this process, from 0."""
    count: int
    """The number of processes."""
    device: torch.device
    """The device of this process."""

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files and shows progress."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all ranks."""
        if self.count == 1:
            return values
        total = values.to(self.device)
        dist.all_reduce(total)
        return total.to(values.device)

    def any(self, mine: bool) -> bool:
        """Return whether a value is true on any rank."""
        return bool(self.sum(torch.tensor(float(mine))))

    def merge(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the union over all ranks; every rank must call this."""
        if self.count == 1:
            return dict(values)
        gathered: list[Any] = [None] * self.count
        dist.all_gather_object(gathered, dict(values))
        return {key: value for part in gathered for key, value in part.items()}

    def agree_on(self, tensors: Iterable[Tensor]) -> None:
        """Set all ranks' values to those of the first rank, in place."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def wait(self) -> None:
        """Wait until all ranks have called this."""
        if self.count > 1:
            dist.barrier()


def leave_ranks(ranks: Ranks) -> None:
    """End the exchange once all ranks have called this, as gloo aborts if a peer leaves early."""
    if ranks.count > 1:
        ranks.wait()
        dist.destroy_process_group()


def join_ranks(gpu_devices: tuple[int, ...]) -> Ranks:
    """Return this process's rank: alone, or among those started by torchrun.

    With CUDA each rank has one device, otherwise all use the CPU (gloo).
    """
    cuda = torch.cuda.is_available()
    count = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = (
        torch.device("cuda", gpu_devices[local % len(gpu_devices)]) if cuda else torch.device("cpu")
    )
    if cuda:
        torch.cuda.set_device(device)
    if count > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
    return Ranks(rank=dist.get_rank() if count > 1 else 0, count=count, device=device)
