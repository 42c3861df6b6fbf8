"""Ctrl-C and SIGTERM: a training saves where it is, and then ends."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np

from indistill_tf import distribution

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# From one time that workers ask each other to the next.
_SECONDS = 5.0


class Interrupted(KeyboardInterrupt):
    """What a signal raises.

    Args:
        number: int, of the signal.

    Attributes:
        number: as above.
    """

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Pending:
    """A signal that has come and waits.

    It may come to one of several workers, and one that leaves alone makes the
    others wait for it. So they ask each other, about every five seconds.

    Attributes:
        number: int, of the signal that came here, or None while none has.
    """

    number = None

    def __init__(self):
        self._calls, self._calls_between = 0, 1
        self._asked, self._gather = time.monotonic(), None

    def note(self, number: int, frame: object = None) -> None:
        """Notes a signal. The second one no longer waits.

        Args:
            number: int.
            frame: ignored.

        Raises:
            Interrupted: if one was noted before.
        """
        del frame
        if self.number is not None:
            raise Interrupted(number)
        self.number = number

    def anywhere(self, now: bool = False) -> int | None:
        """Returns the signal that ends the training, on all workers the same.

        All call it before the same steps. Most calls return at once.

        Args:
            now: bool, whether to ask the other workers in any case. Defaults
                to False.
        """
        if distribution.workers() == 1:
            return self.number
        self._calls += 1
        if self._calls < self._calls_between and not now:
            return None
        self._gather = self._gather or distribution.gathering()
        taken = (time.monotonic() - self._asked) / self._calls
        own = np.array([[self.number or 0, taken]], "float32")
        number, slowest = map(float, self._gather(own).max(axis=0))
        # From what all know, so that all ask before the same call.
        between = int(_SECONDS / max(slowest, 1e-6))
        self._calls, self._calls_between = 0, max(between, 1)
        self._asked = time.monotonic()
        return int(number) or None

    def deliver(self) -> None:
        """Raises what waits.

        Raises:
            Interrupted: if a signal has come here.
        """
        if self.number is not None:
            raise Interrupted(self.number)


@contextlib.contextmanager
def waiting() -> Iterator[Pending]:
    """Lets signals wait for a moment at which a training can be saved.

    Yields:
        `Pending`; what nobody has delivered is raised at the end.

    Raises:
        Interrupted: if a signal has come.
    """
    pending = Pending()
    if threading.current_thread() is not threading.main_thread():
        # Python tells the main thread alone of signals.
        yield pending
        return
    before = {
        number: signal.signal(number, pending.note) for number in _SIGNALS
    }
    try:
        yield pending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    pending.deliver()
