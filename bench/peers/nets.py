"""The networks in PyTorch, with the weights of a safetensors file."""

import json
import sys
import types

import numpy as np
import torch


def read_safetensors(path):
    """The tensors of a file of float32 and int64 (what `vkinfer synth` writes), by name."""
    with open(path, "rb") as f:
        data = f.read()
    size = int.from_bytes(data[:8], "little")
    kinds = {"F32": np.float32, "I64": np.int64}
    out = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        value = np.frombuffer(data[begin:end], kinds[entry["dtype"]]).reshape(entry["shape"])
        out[name] = torch.from_numpy(value.copy())
    return out


def import_timm():
    """timm imports huggingface_hub for downloads only; where that is missing a stub does."""
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        stub = types.ModuleType("huggingface_hub")

        def attribute(name):
            if name.startswith("__"):
                raise AttributeError(name)

        stub.__getattr__ = attribute
        sys.modules["huggingface_hub"] = stub
    import timm

    return timm


def load(model, weights, **options):
    """timm's network in evaluation mode, float32, every weight replaced by the file's."""
    net = import_timm().create_model(model, pretrained=False, **options)
    net.load_state_dict(read_safetensors(weights), strict=True)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    return net.eval()
