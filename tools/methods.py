"""Prints the table of methods: what a method is, as a row.

python tools/methods.py
"""

import cli


def main():
    from indistill_tf import methods

    print("\n".join(methods.table()))


if __name__ == "__main__":
    cli.run(main, __doc__)
