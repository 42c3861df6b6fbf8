"""CNN-S learns from CNN-A as the papers' code teaches it: an eager loop."""

import itertools
import random

import numpy as np
import torch
from PIL import Image
from PIL import ImageOps
from torch import nn
from torch.nn import functional

_TEMPERATURE = 4.0


def batches(split, preprocessing, batch_size, padding, workers):
    """Yields batches without end, of images that are made one at a time.

    Args:
        split: `indistill_tf.data.Split`.
        preprocessing: `indistill_tf.data.Preprocessing`.
        batch_size: int.
        padding: int, pixels on each side, before an image is cropped.
        workers: int, processes that make images; 0 makes them between steps.
    """
    loader = torch.utils.data.DataLoader(
        _Images(split, preprocessing, padding),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    for _ in itertools.count():
        yield from loader


class _Images:
    """What a `DataLoader` reads: an image as a tensor `[C, H, W]`, a label."""

    def __init__(self, split, preprocessing, padding):
        self.images = [Image.fromarray(image) for image in split.images]
        self.labels = [int(label) for label in split.labels]
        self.mean = torch.tensor(preprocessing.mean)[:, None, None]
        self.std = torch.tensor(preprocessing.std)[:, None, None]
        self.padding = padding

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image, size = self.images[index], self.images[index].size
        image = ImageOps.expand(image, self.padding)
        left, top = (random.randint(0, 2 * self.padding) for _ in size)
        image = image.crop((left, top, left + size[0], top + size[1]))
        if random.random() < 0.5:
            image = ImageOps.mirror(image)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        pixels = pixels.contiguous().float().div(255)
        return (pixels - self.mean) / self.std, self.labels[index]


def step_function(images, stage, classes):
    """Returns a function that trains CNN-S for some steps.

    Each step computes both networks to their ends, takes the stage's loss,
    and reads its value.

    Args:
        images: iterator of batches.
        stage: int, counted from 0: the taps, then the softened logits.
        classes: int.
    """
    teacher, student = _Network(16, classes).eval(), _Network(8, classes)
    kept = [
        convolution.weight.abs().sum((1, 2, 3)).argsort()[-width:]
        for convolution, width in zip(teacher.convolutions, (8, 16, 32))
    ]
    optimizer = torch.optim.Adam(student.parameters())

    def run(steps):
        for pixels, _ in itertools.islice(images, steps):
            with torch.no_grad():
                targets = teacher(pixels)
            found = student(pixels)
            if stage < len(kept):
                target = targets[stage][:, kept[stage]]
                loss = functional.mse_loss(found[stage], target)
            else:
                loss = _softened_kl(targets[-1], found[-1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return run


class _Network(nn.Module):
    """CNN-S with width 8, CNN-A with width 16: all maps, then the logits."""

    def __init__(self, width, classes):
        super().__init__()
        widths = [3, width, 2 * width, 4 * width]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3)
            for before, after in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(w) for w in widths[1:])
        self.hidden = nn.Linear(4 * widths[-1], 8 * width)
        self.output = nn.Linear(8 * width, classes)

    def forward(self, x):
        maps = []
        for convolution, norm in zip(self.convolutions, self.norms):
            x = functional.max_pool2d(functional.relu(norm(convolution(x))), 2)
            maps.append(x)
        x = functional.relu(self.hidden(x.flatten(1)))
        return [*maps, self.output(x)]


def _softened_kl(teacher, student):
    divergence = functional.kl_div(
        functional.log_softmax(student / _TEMPERATURE, 1),
        functional.softmax(teacher / _TEMPERATURE, 1),
        reduction="batchmean",
    )
    return _TEMPERATURE**2 * divergence
