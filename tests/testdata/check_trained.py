"""Compares trained_b3.npy with PyTorch in double precision.

usage: python3 check_trained.py FIXTURES/trained trained_b3.npy [EVERY]     (PyTorch, timm 0.6.13, Pillow, numpy)

The published evaluation transform, then timm's efficientnet_b3_pruned in double precision from the
checkpoint's float32 weights, for every EVERY-th picture (20: PyTorch's float64 convolutions are slow).
The rows of the file are in the order of ref_b3_pruned_derived.tsv. Exits 1 beyond 1e-12.
"""
import csv
import math
import os
import sys

import numpy as np
import timm
import torch
from PIL import Image

SIZE, CROP = 300, 0.904


def picture(path):
    img = Image.open(path).convert("RGB")
    scale = int(math.floor(SIZE / CROP))
    w, h = img.size
    if w <= h:
        img = img.resize((scale, int(scale * h / w)), Image.BICUBIC)
    else:
        img = img.resize((int(scale * w / h), scale), Image.BICUBIC)
    w, h = img.size
    left, top = int(round((w - SIZE) / 2.0)), int(round((h - SIZE) / 2.0))
    u8 = np.asarray(img.crop((left, top, left + SIZE, top + SIZE)))
    x = (u8.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    return torch.from_numpy(x.transpose(2, 0, 1).copy())[None].double()


def main():
    folder, file = sys.argv[1:3]
    every = int(sys.argv[3]) if len(sys.argv) > 3 else 20
    state = torch.load(os.path.join(folder, "efficientnet_b3_pruned_cattle15_derived.pth"), map_location="cpu")
    model = timm.create_model("efficientnet_b3_pruned", num_classes=15)
    model.load_state_dict(state.get("state_dict", state))
    model.eval().double()
    with open(os.path.join(folder, "ref_b3_pruned_derived.tsv")) as f:
        names = [r["file"] for r in csv.DictReader(f, delimiter="\t")]
    have = np.load(file)
    assert have.shape == (len(names), 15) and have.dtype == np.float64
    worst = 0.0
    with torch.no_grad():
        for i in range(0, len(names), every):
            want = model(picture(os.path.join(folder, "pictures", names[i])))[0].numpy()
            error = np.linalg.norm(have[i] - want) / np.linalg.norm(want)
            worst = max(worst, error)
            print(f"{names[i]}: relative error {error:.2e}", flush=True)
    print(f"worst {worst:.2e}")
    sys.exit(worst > 1e-12)


main()
