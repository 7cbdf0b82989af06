"""``python -m benchmarks.eager SLICES``: the authors' two networks, eager, slice by slice.

As their published code runs them: the UNet on one slice of 368 x 368 pixels after the other, then
DeCoVNet on all of them at 224 x 336. Random weights: time is all that is looked at. Prints a
line of JSON: seconds and processor seconds, without the loading.
"""

from __future__ import annotations

import json
import sys
import time

import torch

from pipeline.networks.decovnet import DeCoVNet
from pipeline.networks.unet import UNet

LUNG_PIXELS = 368
BOX_PIXELS = (224, 336)  #: rows and columns of the box that their classifier sees


def main() -> None:
    """Run both once to warm up, then once for the clock."""
    slices = int(sys.argv[1])
    lungs, classifier = UNet().eval(), DeCoVNet().eval()
    scan = torch.zeros(1, 2, slices, *BOX_PIXELS)
    image = torch.zeros(1, 1, LUNG_PIXELS, LUNG_PIXELS)
    with torch.no_grad():
        lungs(image)
        began, cpu_began = time.perf_counter(), time.process_time()
        for _ in range(slices):
            lungs(image)
        classifier(scan)
    cost = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu_began,
    }
    print(json.dumps(cost))


if __name__ == "__main__":
    main()
