"""What this machine has, asked before it is used up."""

import os

from indistill_tf.errors import UserError


def memory() -> int:
    """Returns the bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_memory(needed: float, what: str, advice: str) -> None:
    """Refuses what the memory cannot hold.

    A process that asks for it is killed by the system without a word.

    Args:
        needed: float, bytes.
        what: string, what would take them, in the message.
        advice: string, a sentence: what to do.

    Raises:
        UserError: if they are more than the machine has.
    """
    if needed > memory():
        raise UserError(
            f"{what} would take {needed / 1e9:,.0f} GB of memory, and this "
            f"machine has {memory() / 1e9:,.0f}. {advice}"
        )
