"""Reads the event files of a run and compares them with its other files."""

import csv
import glob
import io
import os
import shutil
import subprocess
import sys
import tempfile

from PIL import Image
from tbparse import SummaryReader
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

TAGS = {
    "train_loss": "loss/train", "val_loss": "loss/val", "val_mse": "mse/val", "lr": "optimizer/lr",
    "grad_norm": "optimizer/grad_norm", "samples_per_s": "speed/samples_per_s", "epoch": "epoch",
}


def close(a, b):
    return abs(a - b) <= 1e-6 * max(abs(a), abs(b))


def check(what, ok):
    if not ok:
        sys.exit(f"event files: {what}")


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(folder, "run")
        train = [program, "train", "digits", "--hidden", "16", "-q", "-o", run]
        subprocess.run(train + ["--epochs", "4"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([program, "train", "--resume", "-o", run, "--epochs", "6", "-q"], check=True, stdout=subprocess.DEVNULL)
        files = sorted(glob.glob(os.path.join(run, "events.out.tfevents.*")))
        check(f"{len(files)} files, want one a session", len(files) == 2)
        with open(os.path.join(run, "metrics.csv"), newline="") as f:
            rows = list(csv.DictReader(f))

        everything = {"scalars": 0, "images": 0, "histograms": 0, "compressedHistograms": 0, "tensors": 0}
        histograms = images = 0
        for path in files:
            log = EventAccumulator(path, size_guidance=everything)
            log.Reload()
            for tag in log.Tags()["images"]:
                for image in log.Images(tag):
                    picture = Image.open(io.BytesIO(image.encoded_image_string))
                    check(f"{tag}: {picture.size}", picture.size == (image.width, image.height))
                    images += 1
        table = SummaryReader(run, pivot=False)
        scalars = table.scalars
        for column, tag in TAGS.items():
            got = scalars[scalars.tag == tag].sort_values("step")
            check(f"{tag}: {len(got)} of {len(rows)} epochs", len(got) == len(rows))
            for (_, value), row in zip(got.iterrows(), rows):
                check(f"{tag} at step {value.step}: {value.value}, {row[column]} in metrics.csv",
                      int(value.step) == int(row["step"]) and close(value.value, float(row[column])))
        for _, h in table.histograms.iterrows():
            want = 64 * 16 if h.tag.endswith("weight") else 16 if "encoder" in h.tag else 64
            check(f"{h.tag}: {sum(h.counts)} values, want {want}", sum(h.counts) == want)
            histograms += 1
        check(f"{histograms} histograms", histograms == len(rows) * 4)
        check(f"{images} images", images == 4)

        # A file whose tail was lost holds what came before it.
        cut = os.path.join(folder, "cut")
        os.mkdir(cut)
        name = shutil.copy(files[0], cut)
        whole = len(list(EventFileLoader(files[0]).Load()))
        os.truncate(name, os.path.getsize(name) - 7)
        left = len(list(EventFileLoader(name).Load()))
        check(f"{left} of {whole} records in a file cut short", left == whole - 1)
        print(f"event files: {len(scalars)} scalars, {histograms} histograms and {images} images read back as written")


main(sys.argv[1])
