"""Names for the types of arguments, where Python has none."""

import os
from typing import Any

# A tensor of Keras' backend, or what it takes for one: an array, a list.
Tensor = Any

Path = str | os.PathLike
