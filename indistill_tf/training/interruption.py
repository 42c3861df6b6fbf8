"""Ctrl-C and SIGTERM: a training saves where it is, and then ends."""

import contextlib
import signal
import threading
from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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

    Attributes:
        number: int, of the signal, or None while none has come.
    """

    number = None

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

    def deliver(self) -> None:
        """Raises what waits.

        Raises:
            Interrupted: if a signal has come.
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
