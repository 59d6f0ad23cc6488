"""Makes the pictures that the tests of this package are judged by, and Pillow's answer for each.

    python3 make.py .                        the committed set: small, one picture of each kind
    python3 make.py DIR --wide 40 --seed 7   forty random pictures of each kind, with raw pixels beside
                                             them; VKINFER_PICTURES=DIR go test ./netplan/preprocess
    python3 make.py DIR --drafts             drafts.json, for the JPEGs already in DIR: Pillow's pixels when
                                             it decodes them at 1/2, 1/4 and 1/8, and crops of such

Needs Pillow and NumPy; tifffile, and cjpeg and jpegtran on the path, add kinds where present (the
committed set was made with all of them). go test never runs this file. index.json records, for each
picture, its size, the sha256 of its RGB pixels and of the resized and cropped bytes for several
transforms. 16-bit gray is scaled (high byte), where Pillow clips it to white.
"""
import argparse, hashlib, io, json, math, os, shutil, struct, subprocess, sys, tempfile, zlib
import numpy as np
from PIL import Image, features

try:
    import tifffile
except ImportError:
    tifffile = None

BICUBIC = Image.Resampling.BICUBIC


# ---- the evaluation transform, as torchvision does it with Pillow pictures

def transform(im, size, crop_pct):
    w, h = im.size
    s = math.floor(size / crop_pct)
    rw, rh = (s, int(s * h / w)) if w <= h else (int(s * w / h), s)
    if rw * max(h, rh) > 30_000_000:
        return None
    # One pass at a time: Pillow 13 takes the vertical one first for tall pictures, all before it, and so
    # the published evaluation, the horizontal one.
    im = im.resize((rw, h), BICUBIC).resize((rw, rh), BICUBIC)
    if rw < size or rh < size:
        left, top = max(size - rw, 0) // 2, max(size - rh, 0) // 2
        padded = Image.new("RGB", (max(rw, size), max(rh, size)))
        padded.paste(im, (left, top))
        im, (rw, rh) = padded, padded.size
    top, left = int(round((rh - size) / 2.0)), int(round((rw - size) / 2.0))
    return im.crop((left, top, left + size, top + size))


# ---- contents

def pixels(rng, w, h, channels=3, depth=8):
    kind = rng.integers(4)
    y, x = np.mgrid[0:h, 0:w]
    if kind == 0:
        a = rng.integers(0, 256, (h, w, channels)).astype(float)
    elif kind == 1:
        a = np.stack([127.5 + 127.5 * np.sin(x * rng.uniform(.02, .7) + y * rng.uniform(.02, .7) + c)
                      for c in range(channels)], -1)
    elif kind == 2:
        step = int(rng.integers(1, 9))
        a = (((x // step + y // step) & 1)[..., None] * rng.integers(0, 2, channels) * 255).astype(float)
        a = a + ((x // (2 * step)) & 1)[..., None] * rng.integers(0, 256, channels)
    else:
        a = np.stack([x * rng.uniform(0, 4) + y * rng.uniform(0, 4) for _ in range(channels)], -1) % 256
        a = a + rng.normal(0, 6, a.shape)
    a = np.clip(a, 0, 255)
    if depth == 16:
        return np.clip(a * 257 + rng.integers(-128, 128, a.shape), 0, 65535).astype(np.uint16)
    return a.astype(np.uint8)


def image(rng, w, h, mode):
    n = {"L": 1, "P": 3, "1": 1, "RGB": 3, "RGBA": 4, "CMYK": 4, "LA": 2}[mode]
    a = pixels(rng, w, h, n)
    if n == 1:
        a = a[..., 0]
    if mode == "1":
        return Image.fromarray(a).convert("1")
    if mode == "P":
        return Image.fromarray(a).quantize(int(rng.choice([2, 3, 16, 200, 256])))
    return Image.fromarray(a, mode) if mode == "CMYK" else Image.fromarray(a)


def save(im, format, **options):
    f = io.BytesIO()
    im.save(f, format, **options)
    return f.getvalue()


# ---- JPEG

def jpeg(mode="RGB", **fixed):
    def make(rng, w, h):
        options = dict(quality=int(rng.choice([1, 10, 30, 50, 75, 85, 90, 95, 100])))
        if rng.integers(3) == 0:
            options["restart_marker_blocks"] = int(rng.integers(1, 9))
        if rng.integers(2):
            options["optimize"] = True
        return save(image(rng, w, h, mode), "JPEG", **(options | fixed))
    return make


def adobe(make, transform):
    """The same file with another Adobe transform byte: other colours, equally valid."""
    def patched(rng, w, h):
        b = bytearray(make(rng, w, h))
        at = b.index(b"\xff\xee\x00\x0eAdobe")
        b[at + 15] = transform
        return bytes(b)
    return patched


def tool(*command):
    def run(data):
        with tempfile.TemporaryDirectory() as d:
            with open(d + "/in", "wb") as f:
                f.write(data)
            subprocess.run([*command, "-outfile", d + "/out", d + "/in"], check=True, stderr=subprocess.DEVNULL)
            with open(d + "/out", "rb") as f:
                return f.read()
    return run


def cjpeg(*options):
    def make(rng, w, h):
        q = str(rng.choice([20, 60, 90, 98]))
        return tool("cjpeg", "-quality", q, *options)(save(image(rng, w, h, "RGB"), "PPM"))
    return make


def scans(script):
    def make(rng, w, h):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
            f.write(script)
            f.flush()
            return cjpeg("-scans", f.name)(rng, w, h)
    return make


def segments(change):
    """A JPEG maker's output with its marker segments changed: change maps (marker, bytes) to bytes."""
    def wrap(make):
        def changed(rng, w, h):
            b = make(rng, w, h)
            out, pos = b[:2], 2
            while True:
                marker, n = b[pos + 1], struct.unpack(">H", b[pos + 2:pos + 4])[0]
                out += change(marker, b[pos:pos + 2 + n])
                pos += 2 + n
                if marker == 0xDA:
                    return out + b[pos:]
        return changed
    return wrap


without_app = segments(lambda m, b: b"" if m in (0xE0, 0xEE) else b)
with_jfif = segments(lambda m, b: (b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0" if m == 0xDB else b"") + (b if m != 0xEE else b""))
with_junk = segments(lambda m, b: b"\xff\xff\xff" + b if m in (0xC4, 0xDA) else b"\x01\x02\x03" + b if m == 0xDB else b)
other_ids = segments(lambda m, b: b[:10] + bytes(v + 64 if i % 3 == 0 else v for i, v in enumerate(b[10:])) if m in (0xC0, 0xC2) else
                     b[:5] + bytes(v + 64 if i % 2 == 0 and i < 2 * b[4] else v for i, v in enumerate(b[5:])) if m == 0xDA else b)


def junk_at_end(make):
    """Bytes between the last scan and the end marker, and after it."""
    return lambda rng, w, h: make(rng, w, h)[:-2] + b"\x12\x34\x56\xff\xd9trailing"


# ---- PNG with everything Pillow does not write

def png(colour, depth, interlace=False, palette=0, trns=None):
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]

    def make(rng, w, h):
        top = palette or 1 << depth
        if depth == 16:
            a = pixels(rng, w, h, channels, 16)
        elif depth == 8 and not palette:
            a = pixels(rng, w, h, channels)
        else:
            a = rng.integers(0, top, (h, w, channels)).astype(np.uint8)

        def rows(part):
            out = bytearray()
            previous = None
            for line in part:
                if depth == 16:
                    raw = line.astype(">u2").tobytes()
                elif depth == 8:
                    raw = line.tobytes()
                else:
                    bits = "".join(format(v, f"0{depth}b") for v in line[:, 0])
                    bits += "0" * (-len(bits) % 8)
                    raw = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
                previous = previous or bytes(len(raw))
                step = max(1, channels * depth // 8)
                kind = int(rng.integers(5))
                out.append(kind)
                for i, v in enumerate(raw):
                    left = raw[i - step] if i >= step else 0
                    up, corner = previous[i], previous[i - step] if i >= step else 0
                    p = left + up - corner
                    paeth = min((left, up, corner), key=lambda q: abs(p - q))
                    out.append((v - (0, left, up, (left + up) // 2, paeth)[kind]) & 255)
                previous = raw
            return bytes(out)

        if interlace:
            passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
            parts = [a[y::dy, x::dx] for x, y, dx, dy in passes]
            body = b"".join(rows(p) for p in parts if p.size)
        else:
            body = rows(a)

        def chunk(name, data):
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, interlace))
        if colour == 3:
            out += chunk(b"PLTE", rng.integers(0, 256, 3 * top).astype(np.uint8).tobytes())
        if trns:
            out += chunk(b"tRNS", trns)
        return out + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    return make


def pil(mode, format, **options):
    return lambda rng, w, h: save(image(rng, w, h, mode), format, **options)


# ---- GIF

def gif(screen=None, offset=(0, 0), transparent=None, frames=1, mode="P", **options):
    def make(rng, w, h):
        ims = [image(rng, w, h, mode) for _ in range(frames)]
        opts = dict(options)
        if frames > 1:
            opts |= dict(save_all=True, append_images=ims[1:])
        if transparent is not None:
            opts["transparency"] = transparent
        b = bytearray(save(ims[0], "GIF", **opts))
        if screen:
            b[6:10] = struct.pack("<HH", max(1, w + screen[0]), max(1, h + screen[1]))
        at = 13 + (3 << (b[10] & 7) + 1 if b[10] & 128 else 0)
        while b[at] == 0x21:
            at += 2
            while b[at]:
                at += b[at] + 1
            at += 1
        assert b[at] == 0x2C
        b[at + 1:at + 5] = struct.pack("<HH", *offset)
        return bytes(b)
    return make


def gif_local(keep=True):
    """The colour table moved from the screen to the picture, or dropped."""
    def make(rng, w, h):
        b = gif()(rng, w, h)
        n = 3 << (b[10] & 7) + 1
        table, rest = b[13:13 + n], b[13 + n:]
        at = 0
        while rest[at] != 0x2C:
            at += 2
            while rest[at]:
                at += rest[at] + 1
            at += 1
        flags = rest[at + 9] | (0x80 | b[10] & 7 if keep else 0)
        return b[:10] + bytes([b[10] & 0x70]) + b[11:13] + rest[:at + 9] + bytes([flags]) + (table if keep else b"") + rest[at + 10:]
    return make


# ---- BMP

def bmp(bits, compression=0, masks=None, topdown=False, header=40, colours=0, rle=False):
    def make(rng, w, h):
        top = colours or (1 << bits if bits <= 8 else 0)
        palette = b""
        if top:
            quad = rng.integers(0, 256, (top, 4 if header > 12 else 3)).astype(np.uint8)
            palette = quad.tobytes()
        if bits <= 8:
            a = rng.integers(0, top, (h, w))
            if rle:
                a = np.sort(a, 1)
            if rle:
                body = bmp_rle(rng, a, bits)
            else:
                body = b""
                for line in a:
                    s = "".join(format(v, f"0{bits}b") for v in line)
                    s += "0" * (-len(s) % 32)
                    body += bytes(int(s[i:i + 8], 2) for i in range(0, len(s), 8))
        else:
            raw = rng.integers(0, 256, (h, w * bits // 8)).astype(np.uint8)
            pad = -raw.shape[1] % 4
            body = np.pad(raw, ((0, 0), (0, pad))).tobytes()
        if header == 12:
            info = struct.pack("<IHHHH", 12, w, h, 1, bits)
        else:
            info = struct.pack("<IiiHHIIiiII", header, w, -h if topdown else h, 1, bits, compression, len(body), 2835, 2835, colours, 0)
            extra = b"".join(struct.pack("<I", m) for m in masks or ())
            info += extra.ljust(header - 40, b"\0") if header > 40 else extra
        start = 14 + len(info) + len(palette)
        return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + info + palette + body
    return make


def bmp_rle(rng, a, bits):
    out = bytearray()
    for line in a:
        x = 0
        while x < len(line):
            run = 1
            while x + run < len(line) and run < 255 and line[x + run] == line[x]:
                run += 1
            if run < 3 and len(line) - x >= 3 and rng.integers(2):  # absolute mode
                n = int(min(len(line) - x, rng.integers(3, 20)))
                seq = [int(v) for v in line[x:x + n]]
                out += bytes([0, n])
                if bits == 4:
                    seq += [0] * (n % 2)
                    packed = bytes(seq[i] << 4 | seq[i + 1] for i in range(0, len(seq), 2))
                else:
                    packed = bytes(seq)
                out += packed + b"\0" * (len(packed) % 2)
                x += n
            else:
                v = int(line[x])
                out += bytes([run, v << 4 | v if bits == 4 else v])
                x += run
        out += b"\0\0"
    return bytes(out + b"\0\1")


# ---- TIFF

def tiff(channels, depth=8, photometric="rgb", **options):
    def make(rng, w, h):
        opts = dict(options)
        a = pixels(rng, w, h, channels, depth)
        if channels == 1:
            a = a[..., 0]
        if depth == 1:
            a = a > 127
        if opts.get("planarconfig") == "separate":
            a = np.moveaxis(a, -1, 0).copy()
        if photometric == "palette":
            opts["colormap"] = (rng.integers(0, 256, (3, 256)) * 257).astype(np.uint16)
        f = io.BytesIO()
        order = opts.pop("byteorder", "<")
        tifffile.imwrite(f, a, photometric=photometric, byteorder=order, metadata=None, **opts)
        return f.getvalue()
    return make


def tiff_raw(bits, photometric, fill=1, order="<"):
    """Uncompressed gray or palette of any depth, which tifffile and Pillow do not write."""
    def make(rng, w, h):
        a = rng.integers(0, 1 << bits, (h, w))
        body = b""
        for line in a:
            s = "".join(format(v, f"0{bits}b") for v in line)
            s += "0" * (-len(s) % 8)
            row = [s[i:i + 8] for i in range(0, len(s), 8)]
            body += bytes(int(v[::-1] if fill == 2 else v, 2) for v in row)
        tags = [(256, 4, w), (257, 4, h), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (266, 3, fill),
                (273, 4, 8), (277, 3, 1), (278, 4, h), (279, 4, len(body))]
        colours = b""
        at = 8 + len(body)
        if photometric == 3:
            m = rng.integers(0, 256, 3 << bits) * 257
            colours = m.astype(order + "u2").tobytes()
            tags.append((320, 3, (len(m), at)))
        ifd = struct.pack(order + "H", len(tags))
        for tag, kind, v in tags:
            if isinstance(v, tuple):
                ifd += struct.pack(order + "HHII", tag, kind, *v)
            elif kind == 3:
                ifd += struct.pack(order + "HHIHH", tag, kind, 1, v, 0)
            else:
                ifd += struct.pack(order + "HHII", tag, kind, 1, v)
        head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, at + len(colours))
        return head + body + colours + ifd + bytes(4)
    return make


# ---- WebP

def webp_offset(make, x, y, dw, dh):
    """A still picture as the first frame of an animation with a larger canvas."""
    def wrapped(rng, w, h):
        still = make(rng, w, h)
        frame = still[12:]
        if frame[:4] == b"VP8X":
            frame = frame[18:]
        def u24(v):
            return struct.pack("<I", v)[:3]
        body = u24(x // 2) + u24(y // 2) + u24(w - 1) + u24(h - 1) + u24(100) + b"\0" + frame
        chunks = (b"VP8X" + struct.pack("<I", 10) + b"\x12\0\0\0" + u24(w + x + dw - 1) + u24(h + y + dh - 1)
                  + b"ANIM" + struct.pack("<IIH", 6, 0x80604020, 0) + b"ANMF" + struct.pack("<I", len(body)) + body)
        return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
    return wrapped


def webp(mode="RGB", lossless=False, frames=1):
    def make(rng, w, h):
        ims = [image(rng, w, h, mode) for _ in range(frames)]
        opts = dict(lossless=lossless, quality=int(rng.choice([0, 5, 30, 60, 80, 95, 100])),
                    method=int(rng.integers(7)), exact=bool(rng.integers(2)))
        if frames > 1:
            opts |= dict(save_all=True, append_images=ims[1:])
        return save(ims[0], "WEBP", **opts)
    return make


KINDS = {
    "jpeg_444.jpg": jpeg(subsampling=0),
    "jpeg_422.jpg": jpeg(subsampling=1),
    "jpeg_420.jpg": jpeg(subsampling=2),
    "jpeg_gray.jpg": jpeg("L"),
    "jpeg_progressive_444.jpg": jpeg(subsampling=0, progressive=True),
    "jpeg_progressive_422.jpg": jpeg(subsampling=1, progressive=True),
    "jpeg_progressive_420.jpg": jpeg(subsampling=2, progressive=True),
    "jpeg_progressive_gray.jpg": jpeg("L", progressive=True),
    "jpeg_keep_rgb.jpg": jpeg(keep_rgb=True),
    "jpeg_cmyk.jpg": jpeg("CMYK"),
    "jpeg_cmyk_progressive.jpg": jpeg("CMYK", progressive=True),
    "jpeg_cmyk_subsampled.jpg": jpeg("CMYK", subsampling=2),
    "jpeg_ycck.jpg": adobe(jpeg("CMYK"), 2),
    "jpeg_ycck_subsampled.jpg": adobe(jpeg("CMYK", subsampling=2), 2),
    "png_1.png": pil("1", "PNG"), "png_l.png": pil("L", "PNG"), "png_la.png": pil("LA", "PNG"),
    "png_p.png": pil("P", "PNG"), "png_rgb.png": pil("RGB", "PNG"), "png_rgba.png": pil("RGBA", "PNG"),
    "png_p_trns.png": lambda rng, w, h: save(image(rng, w, h, "P"), "PNG", transparency=bytes([0, 128, 255])),
    "png_apng.png": lambda rng, w, h: save(image(rng, w, h, "RGB"), "PNG", save_all=True,
                                           append_images=[image(rng, w, h, "RGB")]),
    "png_l_trns.png": png(0, 8, trns=b"\0\x40"), "png_rgb_trns.png": png(2, 8, trns=b"\0\1\0\2\0\3"),
    "png_short_palette.png": png(3, 8, palette=7), "png_gray16_trns.png": png(0, 16, trns=b"\1\2"),
    "gif.gif": gif(), "gif_plain.gif": gif(interlace=0), "gif_gray.gif": gif(mode="L"), "gif_1.gif": gif(mode="1"),
    "gif_animated.gif": gif(frames=3), "gif_transparent.gif": gif(transparent=1),
    "gif_offset.gif": gif(screen=(9, 5), offset=(3, 2)),
    "gif_offset_transparent.gif": gif(screen=(9, 5), offset=(3, 2), transparent=1),
    "gif_small_screen.gif": gif(screen=(-5, -3), offset=(1, 1)),
    "bmp_1.bmp": pil("1", "BMP"), "bmp_l.bmp": pil("L", "BMP"), "bmp_p.bmp": pil("P", "BMP"),
    "bmp_rgb.bmp": pil("RGB", "BMP"), "bmp_rgba.bmp": pil("RGBA", "BMP"),
    "bmp_palette1.bmp": bmp(1), "bmp_palette4.bmp": bmp(4, colours=11), "bmp_palette8.bmp": bmp(8, colours=77),
    "bmp_topdown.bmp": bmp(24, topdown=True), "bmp_32.bmp": bmp(32), "bmp_555.bmp": bmp(16),
    "bmp_565.bmp": bmp(16, 3, (0xF800, 0x7E0, 0x1F)), "bmp_os2_8.bmp": bmp(8, header=12), "bmp_os2_24.bmp": bmp(24, header=12),
    "bmp_32_masks.bmp": bmp(32, 3, (0xFF, 0xFF00, 0xFF0000, 0xFF000000), header=108),
    "bmp_32_xbgr.bmp": bmp(32, 3, (0xFF000000, 0xFF0000, 0xFF00)),
    "bmp_rle8.bmp": bmp(8, 1, rle=True), "bmp_rle4.bmp": bmp(4, 2, rle=True),
    "tiff_1.tif": pil("1", "TIFF"), "tiff_l.tif": pil("L", "TIFF"), "tiff_p.tif": pil("P", "TIFF"),
    "tiff_la.tif": pil("LA", "TIFF"),
    "tiff_rgb.tif": pil("RGB", "TIFF"), "tiff_rgba.tif": pil("RGBA", "TIFF"), "tiff_cmyk.tif": pil("CMYK", "TIFF"),
    "tiff_lzw.tif": pil("RGB", "TIFF", compression="tiff_lzw"), "tiff_packbits.tif": pil("RGB", "TIFF", compression="packbits"),
    "tiff_deflate.tif": pil("RGBA", "TIFF", compression="tiff_adobe_deflate"),
    "tiff_p_lzw.tif": pil("P", "TIFF", compression="tiff_lzw"),
    "tiff_group3.tif": pil("1", "TIFF", compression="group3"), "tiff_group4.tif": pil("1", "TIFF", compression="group4"),
    "tiff_jpeg.tif": pil("RGB", "TIFF", compression="jpeg", quality=80),
    "tiff_jpeg_gray.tif": pil("L", "TIFF", compression="jpeg", quality=80),
    "webp.webp": webp(), "webp_alpha.webp": webp("RGBA"), "webp_lossless.webp": webp(lossless=True),
    "webp_lossless_alpha.webp": webp("RGBA", lossless=True), "webp_animated.webp": webp(frames=3),
    "webp_animated_alpha.webp": webp("RGBA", frames=2), "webp_animated_lossless.webp": webp("RGBA", lossless=True, frames=2),
}
KINDS |= {
    "jpeg_cmyk_no_adobe.jpg": without_app(jpeg("CMYK")), "jpeg_rgb_ids.jpg": without_app(jpeg(keep_rgb=True)),
    "jpeg_no_jfif.jpg": without_app(jpeg()), "jpeg_rgb_ids_jfif.jpg": with_jfif(jpeg(keep_rgb=True)),
    "jpeg_junk.jpg": with_junk(jpeg()), "jpeg_other_ids.jpg": other_ids(without_app(jpeg())),
    "jpeg_junk_at_end.jpg": junk_at_end(jpeg()), "jpeg_junk_at_end_progressive.jpg": junk_at_end(jpeg(progressive=True)),
    "jpeg_adobe_ycc.jpg": adobe(jpeg(keep_rgb=True), 1), "jpeg_adobe_odd.jpg": adobe(jpeg(keep_rgb=True), 7),
    "gif_local.gif": gif_local(), "gif_no_palette.gif": gif_local(False),
    "tiff_jpeg_cmyk.tif": pil("CMYK", "TIFF", compression="jpeg"),
    "tiff_deflate_gray.tif": pil("L", "TIFF", compression="tiff_deflate"),
    "webp_offset.webp": webp_offset(webp(), 6, 4, 3, 5), "webp_offset_lossless.webp": webp_offset(webp("RGBA", True), 2, 0, 0, 9),
    "webp_offset_alpha.webp": webp_offset(webp("RGBA"), 0, 8, 1, 0),
}
for d in (1, 2, 4, 8):
    for f in (1, 2):
        KINDS[f"tiff_raw{d}_white_fill{f}.tif"] = tiff_raw(d, 0, f)
        KINDS[f"tiff_raw{d}_black_fill{f}.tif"] = tiff_raw(d, 1, f, ">")
        KINDS[f"tiff_raw{d}_palette_fill{f}.tif"] = tiff_raw(d, 3, f)
for o in range(2, 9):
    KINDS[f"tiff_orientation{o}.tif"] = pil("RGB", "TIFF", tiffinfo={274: o})
for d in (1, 2, 4, 8, 16):
    KINDS[f"png_gray{d}_interlaced.png"] = png(0, d, True)
    KINDS[f"png_gray{d}.png"] = png(0, d)
    if d <= 8:
        KINDS[f"png_palette{d}.png"] = png(3, d)
        KINDS[f"png_palette{d}_interlaced.png"] = png(3, d, True)
for c, name in ((2, "rgb"), (4, "la"), (6, "rgba")):
    KINDS[f"png_{name}8_interlaced.png"] = png(c, 8, True)
    KINDS[f"png_{name}16.png"] = png(c, 16)
    KINDS[f"png_{name}16_interlaced.png"] = png(c, 16, True)
if tifffile:
    KINDS |= {
        "tiff_big_endian16.tif": tiff(3, 16, byteorder=">"), "tiff_rgb16.tif": tiff(3, 16),
        "tiff_gray16.tif": tiff(1, 16, "minisblack"), "tiff_gray16be.tif": tiff(1, 16, "minisblack", byteorder=">"),
        "tiff_white_is_zero.tif": tiff(1, 8, "miniswhite"), "tiff_white_is_zero1.tif": tiff(1, 1, "miniswhite"),
        "tiff_planar.tif": tiff(3, planarconfig="separate"), "tiff_tiled.tif": tiff(3, tile=(16, 16)),
        "tiff_tiled_planar.tif": tiff(3, tile=(32, 16), planarconfig="separate"),
        "tiff_predictor.tif": tiff(3, compression="zlib", predictor=2), "tiff_strips.tif": tiff(3, rowsperstrip=3),
        "tiff_predictor16.tif": tiff(3, 16, compression="zlib", predictor=2),
        "tiff_rgba_associated.tif": tiff(4, extrasamples=["assocalpha"]),
        "tiff_rgba_extra.tif": tiff(4, extrasamples=["unspecified"]),
        "tiff_palette.tif": tiff(1, 8, "palette"), "tiff_cmyk_planar.tif": tiff(4, 8, "separated", planarconfig="separate"),
        "tiff_rgba16.tif": tiff(4, 16, extrasamples=["unassalpha"]), "tiff_cmyk16.tif": tiff(4, 16, "separated"),
    }
if shutil.which("cjpeg") and shutil.which("jpegtran"):
    for s in ("1x2", "4x1", "1x4", "4x2", "2x4", "2x2,2x1", "2x2,1x2", "2x1,1x1,2x1", "1x1,2x2,1x1", "3x1", "2x2,1x1,2x2"):
        KINDS[f"jpeg_{s.replace(',', '_')}.jpg"] = cjpeg("-sample", s)
        KINDS[f"jpeg_{s.replace(',', '_')}_progressive.jpg"] = cjpeg("-sample", s, "-progressive")
    KINDS["jpeg_scan_per_component.jpg"] = scans("0;\n1;\n2;\n")
    KINDS["jpeg_scan_pair.jpg"] = scans("0;\n1 2;\n")
    KINDS["jpeg_progressive_script.jpg"] = scans(
        "0: 0-0, 0, 3;\n1 2: 0-0, 0, 2;\n0: 1-9, 0, 4;\n0: 10-63, 0, 4;\n0 : 1-63, 4, 3;\n0: 0-0, 3, 2;\n1: 1-63, 0, 1;\n"
        "2: 1-63, 0, 1;\n0: 1-63, 3, 2;\n0: 1-63, 2, 1;\n0: 0-0, 2, 1;\n0: 0-0, 1, 0;\n1 2: 0-0, 2, 1;\n1: 0-0, 1, 0;\n2: 0-0, 1, 0;\n"
        "2: 1-63, 1, 0;\n1: 1-63, 1, 0;\n0: 1-63, 1, 0;\n")
    KINDS["jpeg_restart_rows.jpg"] = cjpeg("-restart", "1")
    KINDS["jpeg_restart_progressive.jpg"] = cjpeg("-restart", "3B", "-progressive", "-sample", "2x2")
    KINDS["jpeg_q16.jpg"] = cjpeg("-qslots", "0,1", "-quality", "1")

# The kinds that are committed, each once and small; the others are only in wide sets.
SMALL = """jpeg_444 jpeg_422 jpeg_420 jpeg_gray jpeg_progressive_420 jpeg_keep_rgb jpeg_cmyk jpeg_ycck_subsampled jpeg_1x2
jpeg_4x1 jpeg_1x1_2x2_1x1 jpeg_progressive_script jpeg_scan_pair jpeg_restart_rows png_apng png_short_palette png_rgb_trns
png_gray16_trns png_gray2_interlaced png_palette4 png_rgba8_interlaced png_la16 png_rgb16 gif gif_animated
gif_offset_transparent gif_offset gif_small_screen gif_1 bmp_palette4 bmp_565 bmp_topdown bmp_32_masks bmp_os2_8 bmp_rle8
bmp_rle4 bmp_555 tiff_1 tiff_cmyk tiff_lzw tiff_group3 tiff_group4 tiff_jpeg tiff_orientation6 tiff_big_endian16 tiff_gray16
tiff_white_is_zero1 tiff_tiled_planar tiff_predictor16 tiff_rgba_associated tiff_palette tiff_la webp webp_alpha
webp_lossless_alpha webp_animated webp_animated_alpha webp_offset jpeg_rgb_ids jpeg_junk gif_local gif_no_palette tiff_raw4_palette_fill1 tiff_raw2_white_fill2 tiff_jpeg_cmyk""".split()


def sizes(rng):
    return [lambda: (1, int(rng.integers(1, 3000))), lambda: (int(rng.integers(1, 3000)), 1),
            lambda: (int(rng.integers(1, 9)), int(rng.integers(1, 9))),
            lambda: tuple(map(int, rng.integers(1, 40, 2))), lambda: tuple(map(int, rng.integers(8, 120, 2))),
            lambda: tuple(map(int, rng.integers(100, 420, 2))), lambda: (int(rng.integers(300, 1500)), int(rng.integers(3, 40)))][rng.integers(7)]()


def reference(data, file):
    """Pillow's pixels, but with 16-bit gray scaled instead of clipped."""
    im = Image.open(io.BytesIO(data))
    if im.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(im).astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    return im.convert("RGB")


def draft(data, size):
    """The picture decoded at the reduced size that Pillow takes for one of at least this size, and the reduction."""
    im = Image.open(io.BytesIO(data))
    im.draft("RGB", size)
    scale = im.decoderconfig[0] if im.decoderconfig else 1
    return im.convert("RGB"), scale


MARGIN = 2  # fastMargin of package preprocess


def fast_transform(data, size, crop_pct):
    w, h = Image.open(io.BytesIO(data)).size
    s = math.floor(size / crop_pct)
    rw, rh = (s, int(s * h / w)) if w <= h else (int(s * w / h), s)
    im, scale = draft(data, (MARGIN * rw, MARGIN * rh))
    im = im.resize((rw, im.height), BICUBIC, box=(0, 0, w / scale, im.height))
    im = im.resize((rw, rh), BICUBIC, box=(0, 0, rw, h / scale))
    top, left = int(round((rh - size) / 2.0)), int(round((rw - size) / 2.0))
    return im.crop((left, top, left + size, top + size)), scale


def drafts(folder):
    with open(os.path.join(folder, "index.json")) as f:
        names = [p["file"] for p in json.load(f)["pictures"] if p["file"].endswith(".jpg")]
    lines = []
    for name in names:
        with open(os.path.join(folder, name), "rb") as f:
            data = f.read()
        w, h = Image.open(io.BytesIO(data)).size
        entry = dict(file=name, reduced=[], crops=[])
        for s in (2, 4, 8):
            if min(w, h) >= s:
                im, scale = draft(data, (w // s, h // s))
                entry["reduced"].append(dict(by=scale, w=im.width, h=im.height, rgb=hashlib.sha256(im.tobytes()).hexdigest()))
        for part in (3, 5, 9, 17):  # sizes that ask for every reduction
            size = max(1, min(w, h) // part)
            for pct in (1.0, .875):
                if math.floor(size / pct) * max(w, h) // min(w, h) < 5000:
                    im, scale = fast_transform(data, size, pct)
                    entry["crops"].append(dict(size=size, crop_pct=pct, by=scale, sha256=hashlib.sha256(im.tobytes()).hexdigest()))
        lines.append(json.dumps(entry))
    versions = dict(pillow=Image.__version__, libjpeg_turbo=features.version("libjpeg_turbo"))
    with open(os.path.join(folder, "drafts.json"), "w") as f:
        f.write(json.dumps(dict(made_with=versions, pictures=[]))[:-2] + "\n" + ",\n".join(lines) + "\n]}\n")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("dir")
    p.add_argument("--wide", type=int, default=0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--only", default="")
    p.add_argument("--drafts", action="store_true")
    args = p.parse_args()
    if args.drafts:
        return drafts(args.dir)
    os.makedirs(args.dir, exist_ok=True)
    transforms = [(240, .882), (260, .890), (300, .904), (224, .875), (32, .875), (7, 1.0), (50, 1.3), (96, .5), (61, .97)]
    pictures, skipped = [], {}
    for name, make in KINDS.items():
        stem, ext = name.split(".")
        if (not args.wide and stem not in SMALL) or not stem.startswith(args.only):
            continue
        rng = np.random.default_rng([args.seed, zlib.crc32(name.encode())])
        for i in range(args.wide or 1):
            w, h = sizes(rng) if args.wide else (int(rng.integers(9, 27)), int(rng.integers(9, 27)))
            file = f"{stem}_{i}.{ext}" if args.wide else name
            try:
                data = make(rng, w, h)
                im = reference(data, file)
            except Exception as e:
                skipped[file] = f"{w}x{h} {type(e).__name__}: {e}"
                continue
            entry = dict(file=file, w=im.size[0], h=im.size[1], rgb=hashlib.sha256(im.tobytes()).hexdigest(), crops=[])
            for t in rng.choice(len(transforms), 3 if args.wide else 2, replace=False):
                size, pct = transforms[t]
                out = transform(im, size, pct)
                if out is not None:
                    entry["crops"].append(dict(size=size, crop_pct=pct, sha256=hashlib.sha256(out.tobytes()).hexdigest()))
            pictures.append(entry)
            with open(os.path.join(args.dir, file), "wb") as f:
                f.write(data)
            if args.wide:
                with open(os.path.join(args.dir, file + ".rgb"), "wb") as f:
                    f.write(im.tobytes())
    versions = dict(pillow=Image.__version__, libjpeg_turbo=features.version("libjpeg_turbo"), libwebp=features.version("webp"))
    with open(os.path.join(args.dir, "index.json"), "w") as f:
        f.write(json.dumps(dict(made_with=versions, pictures=[]))[:-2] + "\n" + ",\n".join(map(json.dumps, pictures)) + "\n]}\n")
    for file, why in skipped.items():
        print("skipped", file, why, file=sys.stderr)
    print(len(pictures), "pictures", file=sys.stderr)


if __name__ == "__main__":
    main()
