"""Makes the checkpoints in this directory and index.json, which says what is in them.

Run with PyTorch 1.13 (any later version will do, but writes other bytes): python3 make.py
index.json: for each file and tensor [shape, type, first 16 hex digits of the sha256 of its
elements in C order, every float type converted to float32].
"""
import argparse, collections, datetime, hashlib, json, os, pathlib

import numpy as np
import torch
from torch import nn

os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.manual_seed(0)
index = {}


def digest(t):
    data = t.detach().contiguous()
    if t.is_floating_point():
        data = data.float()
    return [list(t.shape), str(t.dtype)[6:], hashlib.sha256(data.numpy().tobytes()).hexdigest()[:16]]


def save(name, obj, tensors, **kw):
    torch.save(obj, name + ".pth", **kw)
    index[name + ".pth"] = {k: digest(v) for k, v in tensors.items() if torch.is_tensor(v)}


# A training checkpoint: optimizer, scheduler, arguments and whatever else scripts keep.
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 4))
adam = torch.optim.AdamW(net.parameters())
net(torch.randn(2, 3, 3, 3)).sum().backward()
adam.step()
sched = torch.optim.lr_scheduler.MultiStepLR(adam, [3, 4])
train = {
    "epoch": 3, "arch": "b1", "state_dict": net.state_dict(), "optimizer": adam.state_dict(), "sched": sched.state_dict(),
    "args": argparse.Namespace(lr=.1, path=pathlib.PurePosixPath("/x"), device=torch.device("cpu"), dtype=torch.float16),
    "sets": [{1, 2}, frozenset([3])], "metric": np.float64(1.5), "array": np.arange(6).reshape(2, 3),
    "time": datetime.datetime(2024, 1, 2), "counter": collections.Counter("abc"), "deque": collections.deque([1, 2]),
    "default": collections.defaultdict(list, {"a": [1]}), "size": torch.Size([2, 3]), "big": [1 << 100, -(1 << 70), 1 << 62],
    "complex": 3j, "bytes": [b"abc", bytearray(b"x" * 10)], "none": None, "slice": slice(1, 2), "range": range(4), "nan": float("nan"),
}
save("train_p1_legacy", train, net.state_dict(), pickle_protocol=1, _use_new_zipfile_serialization=False)
save("train_p2_legacy", train, net.state_dict(), pickle_protocol=2, _use_new_zipfile_serialization=False)
save("train_p2_zip", train, net.state_dict(), pickle_protocol=2)
save("train_p3_zip", train, net.state_dict(), pickle_protocol=3)
save("train_p4_zip", train, net.state_dict(), pickle_protocol=4)
save("train_p5_legacy", train, net.state_dict(), pickle_protocol=5, _use_new_zipfile_serialization=False)

# Views, types and sharing.
w = torch.randn(6, 5, 4)
flat = torch.randn(20)
views = {
    "permuted": w.permute(2, 0, 1), "sliced": w[1:4, ::2, 1], "expanded": torch.randn(3, 1).expand(3, 7),
    "tied1": w, "tied2": w, "view": w.view(30, 4)[3:5], "flat": flat[3:9], "transposed": flat[5:].view(3, 5).t(),
    "bool": torch.tensor([True, False]), "i8": torch.arange(-3, 3, dtype=torch.int8), "i16": torch.arange(5, dtype=torch.int16),
    "i32": torch.arange(5, dtype=torch.int32), "u8": torch.arange(5, dtype=torch.uint8), "f64": torch.randn(4, dtype=torch.float64)[::3],
    "bf16": torch.randn(5).bfloat16(), "f16": torch.randn(5).half(), "empty": torch.empty(0, 3), "scalar": torch.tensor(2.5),
    "unicode \u4e2d": torch.ones(1), "number": 3, "text": "x",
}
save("views_zip", views, views)
save("views_legacy", views, views, _use_new_zipfile_serialization=False)

# Parameters with attributes of their own, and tensors nobody asks for of kinds that are not read.
p = nn.Parameter(torch.randn(3))
p.extra = "attribute"
params = {"p": p, "q": nn.Parameter(torch.randn(2), requires_grad=False)}
save("parameters_zip", params, params)
odd = {
    "model": {"w": torch.ones(2)}, "complex": torch.zeros(2, dtype=torch.complex64), "sparse": torch.eye(3).to_sparse(),
    "quantized": torch.quantize_per_tensor(torch.randn(3), .1, 0, torch.quint8),
}
save("odd_tensors_zip", odd, odd["model"])

with open("index.json", "w") as f:
    json.dump(index, f, indent=1, sort_keys=True)
    f.write("\n")
