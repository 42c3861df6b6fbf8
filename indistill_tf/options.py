"""Options: fields of values that the command line offers as flags too."""

import dataclasses


def option(
    default: object,
    help: str,
    choices: list[str] | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    flag: str | None = None,
    rare: bool = False,
) -> dataclasses.Field:
    """Returns a dataclass field that is a flag of the tools too.

    The flag has the field's name, default and type. The tools read these from
    the source of the class, without importing it, so give literals.

    Args:
        default: the field's default.
        help: string, one line that says what the flag is.
        choices: list of strings, or None for anything. Defaults to None.
        at_least: number, or None for no bound. Defaults to None.
        at_most: number, or None for no bound. Defaults to None.
        flag: string, the flag's name where it is not the field's. Defaults to
            None.
        rare: bool, whether only `--helpfull` explains the flag. Defaults to
            False.

    Example:

    ```python
    @dataclasses.dataclass(frozen=True)
    class Recipe:
        epochs: int = option(70, "of training", at_least=1)
    ```
    """
    flag_of = {
        "help": help,
        "choices": choices,
        "at_least": at_least,
        "at_most": at_most,
        "flag": flag,
        "rare": rare,
    }
    return dataclasses.field(default=default, metadata=flag_of)
