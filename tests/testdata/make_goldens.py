#!/usr/bin/env python3
"""Make the golden logits in tests/testdata/golden with PyTorch and timm.

The weights are vkinfer's own made-up ones, so nothing has to be downloaded:

    mkdir -p /tmp/synth
    for m in efficientnet_b1_pruned efficientnet_b2_pruned efficientnet_b3_pruned; do
        vkinfer synth $m --seed 1 -o /tmp/synth/$m.safetensors
    done
    python3 tests/testdata/make_goldens.py /tmp/synth tests/testdata/golden

Needs PyTorch and timm 0.6.13 (the release whose EfficientNet defines the three variants); on Debian:
apt install python3-torch python3-torchvision, then pip install --no-deps timm==0.6.13. With
huggingface_hub absent a stub stands in for it: timm only imports it.

Written per model and case: MODEL.CASE.logits.f64.bin, float64 logits [N, classes], little-endian, and in
index.json the input's recipe, for every block three numbers of its float64 value, and how far PyTorch's
own float32 is from float64. The inputs are not stored: see picture().
"""

import json
import os
import sys
import types

import numpy as np
import torch

try:
    import huggingface_hub  # noqa: F401
except ImportError:
    stub = types.ModuleType("huggingface_hub")
    stub.__getattr__ = lambda name: None if not name.startswith("__") else (_ for _ in ()).throw(AttributeError(name))
    sys.modules["huggingface_hub"] = stub
import timm

SEED = 1  # of `vkinfer synth`
MODELS = {"efficientnet_b1_pruned": 240, "efficientnet_b2_pruned": 260, "efficientnet_b3_pruned": 300}
# name: (batch, height, width); None is the model's stock size
CASES = {"stock": (1, None, None), "odd_97x131": (1, 97, 131), "batch3_64x80": (3, 64, 80), "size32": (2, 32, 32)}


def scramble(v):
    """A number from 0 to 255 of each uint32: the top byte of v·2654435761 mod 2^32."""
    return (v.astype(np.uint32) * np.uint32(2654435761)) >> np.uint32(24)


def picture(n, h, w):
    """The input [n,3,h,w]: bytes made of 16-pixel blocks with noise, normalised by 0.5 and 0.5.

    All arithmetic on bytes is modulo 2^32; tests/synth_golden_test.go does the same.
    """
    k, c, y, x = np.meshgrid(*(np.arange(d, dtype=np.uint32) for d in (n, 3, h, w)), indexing="ij")
    u = np.uint32
    block = scramble((k * u(7) + c) * u(1000003) + (y >> u(4)) * u(4099) + (x >> u(4)) * u(17))
    noise = scramble(((k * u(3) + c) * u(h) + y) * u(w) + x) >> u(3)
    pixels = (block * u(7) >> u(3)) + noise
    assert pixels.max() <= 255
    pixels = pixels.astype(np.float32)
    return (pixels / np.float32(255) - np.float32(0.5)) / np.float32(0.5)


def read_safetensors(path):
    with open(path, "rb") as f:
        data = f.read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    kinds = {"F32": np.float32, "I64": np.int64}
    out = {}
    for name, e in header.items():
        if name == "__metadata__":
            continue
        begin, end = e["data_offsets"]
        v = np.frombuffer(data[8 + size + begin : 8 + size + end], kinds[e["dtype"]])
        out[name] = torch.from_numpy(v.reshape(e["shape"]).copy())
    return out


def summary(v):
    """Mean, root mean square, and the mean weighted by scramble(index)/255, which knows the order."""
    v = v.detach().numpy().astype(np.float64).reshape(-1)
    weight = scramble(np.arange(v.size, dtype=np.uint32)).astype(np.float64) / 255
    return [float(v.mean()), float(np.sqrt((v * v).mean())), float((v * weight).mean())]


def trace(model):
    """Hooks that note the summary of the stem, every block, the head and the pooled vector.

    timm 0.6 has the activation inside bn1 and bn2.
    """
    notes = {}

    def hook(name):
        def note(_module, _input, output):
            notes[name] = summary(output)

        return note

    handles = [
        model.bn1.register_forward_hook(hook("stem")),
        model.bn2.register_forward_hook(hook("head")),
        model.global_pool.register_forward_hook(hook("pooled")),
    ]
    for i, stage in enumerate(model.blocks):
        for j, block in enumerate(stage):
            handles.append(block.register_forward_hook(hook(f"blocks.{i}.{j}")))
    return notes, handles


def main(weights_dir, out_dir):
    os.makedirs(out_dir, exist_ok=True)
    index = {"torch": torch.__version__, "timm": timm.__version__, "seed": SEED, "models": {}}
    for name, stock in MODELS.items():
        model = timm.create_model(name, pretrained=False)
        model.load_state_dict(read_safetensors(os.path.join(weights_dir, name + ".safetensors")), strict=True)
        model.eval()
        cases = {}
        for case, (n, h, w) in CASES.items():
            h, w = h or stock, w or stock
            x = torch.from_numpy(picture(n, h, w))
            with torch.no_grad():
                single = model.float()(x).double().numpy()
                notes, handles = trace(model.double())
                logits = model(x.double()).numpy()
            for handle in handles:
                handle.remove()
            logits.astype("<f8").tofile(os.path.join(out_dir, f"{name}.{case}.logits.f64.bin"))
            cases[case] = {
                "input_shape": [n, 3, h, w],
                "logits_shape": list(logits.shape),
                "top1": logits.argmax(1).tolist(),
                "torch_float32_error": float(np.linalg.norm(single - logits) / np.linalg.norm(logits)),
                "summaries": notes,
            }
            print(name, case, logits.std(), logits.argmax(1), cases[case]["torch_float32_error"])
        index["models"][name] = cases
    with open(os.path.join(out_dir, "index.json"), "w") as f:
        json.dump(index, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
