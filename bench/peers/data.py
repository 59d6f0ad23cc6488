"""Pictures and logits as files. Standard library only, so that the driver runs on any Python."""

import array
import ctypes
import json
import math
import os
import struct

MASK = (1 << 128) - 1


def pcg(seed, stream):
    """The 64-bit numbers of Go's math/rand/v2 PCG: a 128-bit linear congruence, DXSM output."""
    state = seed << 64 | stream
    cheap = 0xDA942042E4DD58B5
    low = (1 << 64) - 1
    while True:
        state = (state * 0x2360ED051FC65DA44385DF649FCCF645 + 0x5851F42D4C957F2D14057B7EF767814F) & MASK
        hi, lo = state >> 64, state & low
        hi ^= hi >> 32
        hi = hi * cheap & low
        hi ^= hi >> 48
        yield hi * (lo | 1) & low


def noise(seed, n):
    """The n values that `vkinfer bench --seed` runs on: normalised bytes, float32 arithmetic."""
    f = lambda v: ctypes.c_float(v).value  # noqa: E731
    table = [f(f(f(v / 255) - 0.5) / 0.5) for v in range(256)]
    numbers = pcg(seed, 0x7669647265736F6C)
    return array.array("f", (table[next(numbers) & 255] for _ in range(n)))


def write_npy(path, values, shape):
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({', '.join(map(str, shape))},), }}"
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    with open(path + ".part", "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        values.tofile(f)
    os.replace(path + ".part", path)


def read_npy(path):
    """The values of a float32 file and its shape."""
    with open(path, "rb") as f:
        magic = f.read(8)
        if magic[:6] != b"\x93NUMPY":
            raise ValueError(f"{path}: no .npy file")
        size = struct.unpack("<H", f.read(2))[0] if magic[6] == 1 else struct.unpack("<I", f.read(4))[0]
        head = f.read(size).decode()
        if "'<f4'" not in head:
            raise ValueError(f"{path}: want float32, the header is {head.strip()}")
        shape = [int(d) for d in head.split("'shape': (")[1].split(")")[0].split(",") if d.strip()]
        values = array.array("f")
        values.fromfile(f, math.prod(shape))
    return values, shape


def read_floats(path):
    values = array.array("f")
    values.frombytes(open(path, "rb").read())
    return values


def write_json(path, value):
    with open(path + ".part", "w") as f:
        json.dump(value, f, indent=1)
        f.write("\n")
    os.replace(path + ".part", path)
