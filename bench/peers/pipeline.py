#!/usr/bin/env python3
"""Times the whole way from JPEG files to classes: vkinfer beside timm with PyTorch on the CPU, and beside Pillow alone.

    bench/peers/pipeline.py --vkinfer bin/vkinfer --python build/peers/venv/bin/python [--pictures 1000] [--rounds 3]

It makes JPEG files of several sizes and chroma samplings out of seeded noise that looks like photographs to a codec
(smooth, with edges and grain), and weights (`vkinfer synth`). Then both take turns over the same folder, with as many
workers each: `vkinfer classify -j N`, and a DataLoader of N worker processes with timm's evaluation transform. Start-up
is part of neither: timm's time begins with the first request to its loader, vkinfer's is that of its stream (--stages).
Decoding alone, one core: Pillow's decode, bicubic resize and crop against package preprocess, interleaved too, of these
pictures and of large ones (--large), and of large ones reduced while they are decoded: Pillow's draft mode against
preprocess.Transform.FastDecode, which is --fast-decode. --decode-only leaves the rest out, and needs no torch.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

MAKE = """
import sys, random
import numpy as np
from PIL import Image
folder, count = sys.argv[1], int(sys.argv[2])
sizes = [tuple(map(int, s.split("x"))) for s in sys.argv[3].split(",")]
rng = np.random.default_rng(1)
for i in range(count):
    w, h = sizes[i % len(sizes)]
    base = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(base).resize((w, h), Image.BICUBIC)).astype(np.int16)
    for _ in range(12):
        x, y = int(rng.integers(0, w - 30)), int(rng.integers(0, h - 30))
        image[y:y + int(rng.integers(10, h // 2)), x:x + int(rng.integers(10, w // 2))] += rng.integers(-80, 80, 3, dtype=np.int16)
    image += rng.integers(-9, 10, (h, w, 1), dtype=np.int16)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(f"{folder}/{i:05d}.jpg", quality=(75, 90, 95)[i % 3], subsampling=(2, 1, 0)[i // 3 % 3])
"""

TIMM = """
import sys, time, json, os, struct
import numpy, torch, timm
from PIL import Image
from timm.data import create_transform, resolve_data_config
folder, weights, name, workers, batch = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
torch.set_num_threads(int(sys.argv[6]))
model = timm.create_model(name, pretrained=False)
raw = open(weights, "rb").read()
body = 8 + struct.unpack("<Q", raw[:8])[0]
state = {}
for key, t in json.loads(raw[8:body]).items():
    if key != "__metadata__":
        kind = {"F32": numpy.float32, "I64": numpy.int64}[t["dtype"]]
        first, last = t["data_offsets"]
        state[key] = torch.from_numpy(numpy.frombuffer(raw[body + first:body + last], kind).reshape(t["shape"]).copy())
model.load_state_dict(state)
model.eval()
config = resolve_data_config({}, model=model)
transform = create_transform(**config)
files = sorted(os.listdir(folder))
class Pictures(torch.utils.data.Dataset):
    def __len__(self): return len(files)
    def __getitem__(self, i): return transform(Image.open(os.path.join(folder, files[i])).convert("RGB"))
loader = torch.utils.data.DataLoader(Pictures(), batch_size=batch, num_workers=workers)
top = []
with torch.no_grad():
    model(torch.zeros(batch, *config["input_size"]))
    start = time.perf_counter()
    for x in loader: top += model(x).argmax(1).tolist()
    seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "top": top}))
"""

PILLOW = """
import sys, os, io, time, json
from PIL import Image
folder, seconds, fast = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "fast"
files = [open(os.path.join(folder, f), "rb").read() for f in sorted(os.listdir(folder))]
def prepare(data):
    image = Image.open(io.BytesIO(data))
    w, h = image.size
    short = int(240 / 0.882)
    size = (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
    drafted = fast and image.draft("RGB", (2 * size[0], 2 * size[1]))
    image = image.convert("RGB").resize(size, Image.BICUBIC, box=drafted[1] if drafted else None)
    left, top = round((size[0] - 240) / 2.0), round((size[1] - 240) / 2.0)
    return image.crop((left, top, left + 240, top + 240)).tobytes()
start, n = time.perf_counter(), 0
while time.perf_counter() - start < seconds:
    prepare(files[n % len(files)]); n += 1
print(json.dumps({"rate": n / (time.perf_counter() - start)}))
"""


def run(*command, **env):
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | env)
    if done.returncode:
        sys.exit(f"{' '.join(command[:4])} ...: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return done


def spread(values):
    return f"{statistics.median(values):.3g} ({min(values):.3g} … {max(values):.3g})"


SIZES = "500x375,375x500,640x480,1024x768,400x300,800x600,333x500"


def decoding(options, pictures):
    """Rates of one core in turns, as columns of a row: by "exact" and "fast", ours, Pillow's, and their ratio; and how much
    faster fast is, ours and Pillow's."""
    rates = {(way, who): [] for way in ("exact", "fast") for who in ("ours", "theirs")}
    for _ in range(options.rounds):
        for way in ("exact", "fast"):
            rates[way, "theirs"].append(json.loads(run(options.python, "-c", PILLOW, pictures, str(options.seconds), way).stdout)["rate"])
            text = run("go", "test", "./netplan/preprocess", "-run", "^$", "-bench", f"^BenchmarkFolder$/^{way}$", "-cpu", "1",
                       "-benchtime", f"{options.seconds}s", VKINFER_PICTURES=pictures).stdout
            rates[way, "ours"].append(1e9 / float(re.search(r"([0-9.]+) ns/op", text)[1]))
    ratio = lambda a, b: [x / y for x, y in zip(rates[a], rates[b], strict=True)]
    columns = {way: (rates[way, "ours"], rates[way, "theirs"], ratio((way, "ours"), (way, "theirs"))) for way in ("exact", "fast")}
    return columns, [ratio(("fast", who), ("exact", who)) for who in ("ours", "theirs")]


def row(name, ours, theirs, ratios):
    print(f"| {name} | {spread(ours)} | {spread(theirs)} | **{spread(ratios)}** |")


def decoding_rows(options, folder):
    for i, sizes in enumerate([SIZES] + options.large.split()):
        pictures = f"{folder}/decode{i}"
        os.mkdir(pictures)
        run(options.python, "-c", MAKE, pictures, str(63 if i == 0 else 9), sizes)
        columns, gain = decoding(options, pictures)
        name = "small files (333 to 1024 pixels wide)" if i == 0 else sizes
        row(f"decode, resize, crop of {name}: pictures/s of one core, beside Pillow", *columns["exact"])
        if i > 0:
            row("the same with --fast-decode, beside Pillow's draft mode", *columns["fast"])
            print(f"| how many times as fast it is so | {spread(gain[0])} | {spread(gain[1])} | |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vkinfer")
    parser.add_argument("--python", required=True, help="one that has torch, timm and Pillow")
    parser.add_argument("--model", default="efficientnet_b1_pruned")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="of a round of decoding")
    parser.add_argument("-j", "--workers", type=int, default=os.cpu_count())
    parser.add_argument("-b", "--batch", type=int, default=8)
    parser.add_argument("--large", default="2000x1500 4000x3000", help="sizes of large pictures to decode, separated by blanks")
    parser.add_argument("--decode-only", action="store_true", help="decoding alone")
    options = parser.parse_args()
    if not options.decode_only and not options.vkinfer:
        parser.error("--vkinfer is missing")
    with tempfile.TemporaryDirectory() as folder:
        heading = "| | vkinfer | peer | ratio |\n|---|---:|---:|---:|"
        if options.decode_only:
            print(heading)
            return decoding_rows(options, folder)
        pictures, weights = f"{folder}/pictures", f"{folder}/weights.safetensors"
        os.mkdir(pictures)
        run(options.python, "-c", MAKE, pictures, str(options.pictures), SIZES)
        run(options.vkinfer, "synth", options.model, "-o", weights, "-q")
        ours, theirs, ratios = [], [], []
        for _ in range(options.rounds):
            timm = json.loads(run(options.python, "-c", TIMM, pictures, weights, options.model, str(options.workers),
                                  str(options.batch), str(os.cpu_count())).stdout)
            done = run(options.vkinfer, "classify", options.model, "--checkpoint", weights, "-o", "jsonl", "-k", "1", "--stages",
                       "-j", str(options.workers), "-b", str(options.batch), pictures)
            top = [json.loads(line)["predictions"][0]["index"] for line in done.stdout.splitlines()]
            same = sum(a == b for a, b in zip(top, timm["top"], strict=True))
            seconds = float(re.search(r"pictures in ([0-9.]+) s", done.stderr)[1])
            ours.append(len(top) / seconds), theirs.append(len(top) / timm["seconds"]), ratios.append(timm["seconds"] / seconds)
        print(f"{options.pictures} JPEG files, {options.model}, batch {options.batch}, {options.workers} workers, {options.rounds} rounds; median (least … largest)\n")
        print(heading)
        decoding_rows(options, folder)
        row("JPEG files to classes: pictures/s, beside timm and PyTorch on the CPU", ours, theirs, ratios)
        print(f"\nThe same best class: {same} of {len(top)}. Stages of the last round:\n\n```\n{done.stderr.strip()}\n```")


if __name__ == "__main__":
    main()
