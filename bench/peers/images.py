"""Writes images to train on, where no others are given: 28x28 8-bit blobs, four
fifths of whose pixels are black, as in MNIST, in an IDX file of 60,000."""
import os
import sys

import numpy as np

COUNT, SIDE, BLOBS, BLACK = 60_000, 28, 3, 0.81


def images(count, random):
    """Brightest of a few Gaussian blobs less a threshold, [count, SIDE, SIDE]."""
    at = np.arange(SIDE, dtype=np.float32)
    centre = random.uniform(6, SIDE - 6, (2, count, BLOBS, 1)).astype(np.float32)
    width = random.uniform(1.5, 3.5, (2, count, BLOBS, 1)).astype(np.float32)
    rows, columns = np.exp(-(((at - centre) / width) ** 2) / 2)
    bright = (rows[..., :, None] * columns[..., None, :]).max(1)
    threshold = np.quantile(bright[:200], BLACK)
    return (255 * np.clip((bright - threshold) / (1 - threshold), 0, 1)).round().astype(np.uint8)


def main(path):
    random = np.random.default_rng(0)
    with open(path + ".part", "wb") as f:
        f.write(bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (COUNT, SIDE, SIDE)))
        for _ in range(COUNT // 1000):
            f.write(images(1000, random).tobytes())
    os.replace(path + ".part", path)


main(sys.argv[1])
