"""Several training processes of one thread each that share their gradients in memory.

On a busy machine two threads in one process wait for each other at every operation; two processes wait once a step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier

import torch
from torch import Tensor, nn

PATIENCE = 600.0  # seconds until a member takes the others for dead


@dataclass(frozen=True, slots=True)
class Gang:
    """One member's place among `count` processes that take every step together."""

    rank: int
    count: int
    board: Tensor  # count × values, in shared memory
    barrier: Barrier

    def mean(self, values: Tensor) -> Tensor:
        """The mean of all members' values, the same bits for every one of them."""
        self.board[self.rank, : len(values)].copy_(values)
        self.barrier.wait(PATIENCE)
        mean = self.board[:, : len(values)].mean(0)
        self.barrier.wait(PATIENCE)
        return mean

    def share(self, parameters: Sequence[nn.Parameter], spent: float) -> float:
        """Put the mean gradients into `parameters`; gives the mean of the time spent."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        values = torch.cat([*(gradient.reshape(-1) for gradient in gradients), torch.tensor([spent])])
        mean = self.mean(values)
        parts = torch.split(mean[:-1], [p.numel() for p in parameters])
        for parameter, gradient, part in zip(parameters, gradients, parts, strict=True):
            parameter.grad = gradient.copy_(part.view(gradient.shape))
        return float(mean[-1])


def run_gang(count: int, values: int, member: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """Run `member(*arguments, gang)` in `count` processes, rank 0 in this one; at most `values` are shared in a step."""
    context = torch.multiprocessing.get_context("spawn")
    board = torch.zeros(count, values + 1).share_memory_()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    barrier = context.Barrier(count)
    others = [context.Process(target=member, args=(*arguments, Gang(rank, count, board, barrier)), daemon=True) for rank in range(1, count)]
    for process in others:
        process.start()
    try:
        member(*arguments, Gang(0, count, board, barrier))
    except BaseException:
        barrier.abort()
        raise
    for process in others:
        process.join()
