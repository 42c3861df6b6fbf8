"""The names that one PyTorch code base gives to layers."""

import collections.abc
import dataclasses
import re


class Parameter(str):
    """The name of a tensor that PyTorch keeps in no layer of its own.

    It is the layer's only variable as it is: open_clip multiplies by `proj`,
    where a dense layer would hold the transposed matrix.
    """


@dataclasses.dataclass(frozen=True)
class Family:
    """The names of one PyTorch code base.

    Args:
        name: string, by which `to_state_dict` is asked for it.
        rules: tuple of pairs `(pattern, function)`; the first pattern that
            matches the whole name of a layer counts.
        usual_for: function from a `keras.Model` to a bool, whether the model
            is saved in these names unless others are asked for. Defaults to
            always.
        others: string, the pattern of names that belong to another network in
            the same file, and are ignored. Defaults to none.
        mark: string, a layer without which a model is none of the family's.
            Defaults to none.
    """

    name: str
    rules: tuple
    usual_for: collections.abc.Callable = lambda model: True
    others: str = "$^"
    mark: str | None = None

    def torch_name(self, layer_name):
        """Returns the PyTorch name of a layer, or None if no rule has it.

        A `Parameter` stands for a layer with one variable.

        Args:
            layer_name: string, such as `stage1_block2_conv1`.
        """
        for pattern, rule in self.rules:
            if match := re.fullmatch(pattern, layer_name):
                groups = match.groups()
                return rule(*(int(g) if g.isdigit() else g for g in groups))
        return None

    def covers(self, model):
        """Returns whether the rules have every layer with weights.

        Args:
            model: `keras.Model`.
        """
        weighted = [layer for layer in model.layers if layer.weights]
        if self.mark and self.mark not in {layer.name for layer in weighted}:
            return False
        return all(self._has(layer) for layer in weighted)

    def _has(self, layer):
        torch_name = self.torch_name(layer.name)
        if isinstance(torch_name, Parameter):
            return len(layer.weights) == 1
        return torch_name is not None
