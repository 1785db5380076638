"""How long a running job will still take: pure arithmetic on measured times."""

from collections import deque

from webui.core.events import Step
from webui.core.request import GenerationRequest

RECENT = 8  # intervals that the mean step is taken over
UNKNOWN_DECODE = 2.0  # steps that decoding and saving are taken to last until they were measured


class Pace:
    """What an engine was measured to need between two rounds (decode, save, prompt), kept from job to job, in seconds per pixel."""

    def __init__(self) -> None:
        self.decode: float | None = None


class Estimate:
    """One run of one job. Times are seconds of a monotonic clock; a round is what is denoised at once (`batch_size` pictures)."""

    def __init__(self, request: GenerationRequest, pace: Pace) -> None:
        self._request = request
        self._pace = pace
        self._intervals: deque[float] = deque(maxlen=RECENT)
        self._last: tuple[int, float] | None = None  # (picture, time) of the last step

    def step(self, step: Step, now: float) -> float | None:
        """Seconds left after this step; None until two steps of one picture were seen."""
        last, self._last = self._last, (step.index, now)
        if last is not None and last[0] == step.index:
            self._intervals.append(now - last[1])
        elif last is not None and self._intervals:
            self._measure(now - last[1] - self._mean())
        if not self._intervals:
            return None
        mean = self._mean()
        rounds = self._rounds_after(step.index)
        steps = (step.total - step.step) + rounds * step.total
        return steps * mean + (rounds + 1) * self._decode(mean)

    def saved(self, index: int, now: float) -> None:
        """The picture is on disk. Only the job's last one is measured here; between rounds the next step says it better."""
        if self._last is not None and index == self._request.count - 1:
            self._measure(now - self._last[1])

    def _mean(self) -> float:
        return sum(self._intervals) / len(self._intervals)

    def _measure(self, seconds: float) -> None:
        self._pace.decode = max(0.0, seconds) / self._pixels()

    def _decode(self, mean: float) -> float:
        return UNKNOWN_DECODE * mean if self._pace.decode is None else self._pace.decode * self._pixels()

    def _pixels(self) -> int:
        return self._request.width * self._request.height * self._request.batch_size

    def _rounds_after(self, index: int) -> int:
        left = self._request.count - index - self._request.batch_size
        return max(0, -(-left // self._request.batch_size))
