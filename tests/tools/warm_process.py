"""Runs tools, each in a process that has imported TensorFlow already.

Reads requests from standard input, one JSON object a line: `arguments`, the
tool's path and its flags, the `folder` to run it in, and the files `stdout` and
`stderr`. Each runs in a fork of this process, which writes the exit status of
one after the other. An import takes five seconds of a core, a fork none.
"""

import json
import os
import runpy
import sys

from indistill_tf_tools import environment

environment.prepare()

import indistill_tf  # noqa: E402, F401


def forked_request():
    """Returns each request in a process of its own, in this one None."""
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            return json.loads(line)
        status = os.waitpid(process, 0)[1]
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def redirect(request):
    for number, path in ((1, request["stdout"]), (2, request["stderr"])):
        with open(path, "w") as file:
            os.dup2(file.fileno(), number)
    with open(os.devnull) as file:
        os.dup2(file.fileno(), 0)


request = forked_request()
if request:
    redirect(request)
    os.chdir(request["folder"])
    sys.argv = request["arguments"]
    sys.path[0] = os.path.dirname(sys.argv[0])
    runpy.run_path(sys.argv[0], run_name="__main__")
