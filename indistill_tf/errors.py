"""The one exception that means: the request is wrong, not the library."""

import re
from collections.abc import Iterable


class UserError(ValueError):
    """A request that cannot be met: an unknown name, a wrong shape, a bad file.

    The message is one line that says what came, what was expected and what to
    do. Command-line tools print it and exit with status 1; any other exception
    is a defect of the library and keeps its traceback. It is a `ValueError`,
    so Python users may catch it as such.
    """


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UserError:
    """Returns a `UserError` for a name that is not in a table.

    Args:
        kind: what was looked up, for example `"model"`.
        name: the name that came.
        known: iterable of the names that exist.
    """
    return UserError(
        f"Unknown {kind}: {name!r}. Expected one of: {', '.join(known)}."
    )


def first_line(error: BaseException) -> str:
    """Returns what an exception of another package says, in one line.

    Args:
        error: exception.

    Example:

    >>> first_line(ValueError("No.\\nAnd here is why."))
    'No.'
    """
    lines = str(error).strip().splitlines()
    # Of a missing key the message is the key alone.
    if not lines or isinstance(error, KeyError):
        return repr(error)
    # TensorFlow begins with the operation, which nobody here has named.
    return re.sub(r"^\{\{.*?\}\} ", "", lines[0])
