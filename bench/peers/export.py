"""Writes what the peers read: export.py FORM MODEL WEIGHTS.safetensors SIZE BATCH OUT

FORM onnx: OUT is an ONNX file. FORM ncnn: OUT.ncnn.param and OUT.ncnn.bin, float32, made by pnnx.
The batch is part of the ONNX file; ncnn has none, it runs image by image.
"""

import os
import subprocess
import sys
import tempfile

import torch

import nets


def export_onnx(net, example, out):
    options = {"opset_version": 13, "input_names": ["x"], "output_names": ["y"]}
    try:
        torch.onnx.export(net, example, out, dynamo=False, **options)
    except TypeError:  # before PyTorch 2.5 there was no other exporter
        torch.onnx.export(net, example, out, **options)


def export_ncnn(net, example, out):
    with tempfile.TemporaryDirectory() as folder:
        traced = os.path.join(folder, "net.pt")
        torch.jit.trace(net, example).save(traced)
        shape = "[" + ",".join(map(str, example.shape)) + "]"
        pnnx = os.path.join(os.path.dirname(sys.executable), "pnnx")
        if not os.path.exists(pnnx):
            pnnx = "pnnx"
        # fp16=0: pnnx would store the weights as float16, and everybody else has them whole.
        done = subprocess.run([pnnx, traced, "inputshape=" + shape, "fp16=0"], cwd=folder, capture_output=True, text=True)
        files = [os.path.join(folder, "net.ncnn" + end) for end in (".param", ".bin")]
        if done.returncode or not all(map(os.path.exists, files)):
            raise SystemExit("pnnx failed: " + (done.stderr or done.stdout)[-500:])
        for file in files:
            with open(file, "rb") as f, open(out + file[len(os.path.join(folder, "net")) :], "wb") as g:
                g.write(f.read())


def main():
    form, model, weights, size, batch, out = sys.argv[1:]
    # exportable: timm then keeps to operations that can be traced; the arithmetic is the same.
    net = nets.load(model, weights, exportable=True)
    example = torch.zeros(int(batch), 3, int(size), int(size))
    with torch.no_grad():
        {"onnx": export_onnx, "ncnn": export_ncnn}[form](net, example, out)


if __name__ == "__main__":
    main()
