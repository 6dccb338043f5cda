"""The loader's work by PyTorch's DataLoader: a folder of JPEG files and one JSON of annotations, for
comparison with loader_bench. Each sample: decode, pad to a square, bicubic resize, normalise; four
regions each on four feature grids and the position grid. Tokens are left out, in its favour.

usage: pytorch_loader.py JPEG_FOLDER SIDE WORKERS"""
import json
import pathlib
import resource
import sys
import tempfile
import time

import numpy
import torch
from PIL import Image
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset

REGIONS, TIMES, BATCH, ROUNDS = 4, 3, 12, 3
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])


def write_annotations(folder, path):
    """What loader_bench puts into its corpus: boxes in a row, each beside the next."""
    items = []
    files = sorted(pathlib.Path(folder).glob("*.jpg"))
    for file in files[: len(files) // BATCH * BATCH]:
        with Image.open(file) as image:
            width, height = image.size
        boxes = []
        for r in range(REGIONS):
            left = r * width // REGIONS
            boxes.append([left, 4, left + width // REGIONS // 2 + 1, height - 4])
        items.append({"image": str(file), "boxes": boxes})
    path.write_text(json.dumps(items * TIMES))


class Annotated(Dataset):
    def __init__(self, path, side):
        self.items, self.side = json.loads(path.read_text()), side

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        item, side = self.items[index], self.side
        image = Image.open(item["image"]).convert("RGB")
        width, height = image.size
        square = Image.new("RGB", (max(width, height),) * 2, (122, 116, 104))
        square.paste(image, ((square.width - width) // 2, (square.height - height) // 2))
        small = square.resize((side, side), Image.BICUBIC)
        pixels = (torch.from_numpy(numpy.array(small)).float() / 255 - MEAN) / STD
        masks = torch.zeros(REGIONS, 1, height, width)
        for mask, (x1, y1, x2, y2) in zip(masks, item["boxes"]):
            mask[0, y1:y2, x1:x2] = 1
        grids = [interpolate(masks, (side // s,) * 2, mode="bilinear") > 0 for s in (4, 8, 16, 32)]
        return pixels, grids, interpolate(masks, (112, 112), mode="bilinear")


def processor_seconds():
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def main():
    folder, side, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        path = pathlib.Path(work) / "annotations.json"
        write_annotations(folder, path)
        data = Annotated(path, side)
        best_cpu = best_wall = 1e9
        for _ in range(ROUNDS):
            loader = DataLoader(data, BATCH, shuffle=True, num_workers=workers)
            wall, cpu = time.monotonic(), processor_seconds()
            n = sum(len(batch[0]) for batch in loader)
            del loader
            best_wall = min(best_wall, time.monotonic() - wall)
            best_cpu = min(best_cpu, processor_seconds() - cpu)
    what = f"{side} x {side}, {workers} workers"
    print(f"{'PyTorch DataLoader':28} {what:26} {n / best_cpu:7.1f} images/s of one core, "
          f"{n / best_wall:.1f} in all")


main()
