"""What counts as right, and how figures are summed up. Standard library only."""

import math
import os
import statistics
import time

# The most that logits may be off, relative L2: against all of the reference's logits, and against these less their
# mean. float32 is what `vkinfer verify` asks of a device. float16: ncnn's own arithmetic is included; a network that
# is put together wrongly, or forgets part of a batch, is further off by orders of magnitude.
GATES = {"float32": (2e-6, 1e-5), "amp": (2e-3, 1.5e-2), "float16": (5e-3, 1.5e-2)}


def errors(got, want):
    """The relative L2 errors of one image: plain and centred. Values that are no numbers give infinity."""
    mean = math.fsum(want) / len(want)
    off = math.sqrt(math.fsum((g - w) ** 2 for g, w in zip(got, want)))
    if len(got) != len(want) or not math.isfinite(off):
        return math.inf, math.inf
    return off / math.sqrt(math.fsum(w * w for w in want)), off / math.sqrt(math.fsum((w - mean) ** 2 for w in want))


def verdict(logits, reference, n, precision):
    """Judges the logits of n images, image i being reference image i modulo their number.

    Returns {"plain", "centred", "top1", "right", "why"}: the largest errors, how many of n have the same best class.
    """
    classes = len(reference[0])
    out = {"plain": math.inf, "centred": math.inf, "top1": 0, "right": False, "why": ""}
    if len(logits) != n * classes:
        return out | {"why": f"{len(logits)} logits, want {n} x {classes}"}
    plain = centred = 0.0
    for i in range(n):
        row, want = logits[i * classes : (i + 1) * classes], reference[i % len(reference)]
        p, c = errors(row, want)
        plain, centred = max(plain, p), max(centred, c)
        out["top1"] += max(range(classes), key=row.__getitem__) == max(range(classes), key=want.__getitem__)
    gate = GATES[precision]
    out |= {"plain": plain, "centred": centred, "right": plain <= gate[0] and centred <= gate[1]}
    if not out["right"]:
        out["why"] = f"logits off by {plain:.1e} and {centred:.1e}, allowed are {gate[0]:.0e} and {gate[1]:.1e}"
    return out


def spread(values):
    """Median, least and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def known_median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


class Bystanders:
    """Which share of the cores processes other than ours took: begin(), and others() for the time since (Linux)."""

    def __init__(self, cores):
        self.cores, self.tick = cores, os.sysconf("SC_CLK_TCK")

    def _busy(self):
        try:
            with open("/proc/stat") as f:
                user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
        except (OSError, ValueError):
            return None
        return (user + nice + system + irq + softirq + steal) / self.tick

    def _ours(self, pid):
        total = sum(os.times()[:4])  # ours, and children that have ended
        if pid:
            with open(f"/proc/{pid}/stat") as f:
                utime, stime = f.read().rsplit(")", 1)[1].split()[11:13]
            total += (int(utime) + int(stime)) / self.tick
        return total

    def begin(self, pid=None):
        self.pid, self.busy, self.start = pid, self._busy(), time.monotonic()
        self.own = self._ours(pid) if self.busy is not None else 0

    def others(self):
        """From 0 to 1; None where the system does not tell."""
        if self.busy is None:
            return None
        took = self._busy() - self.busy - (self._ours(self.pid) - self.own)
        return min(1.0, max(0.0, took / (time.monotonic() - self.start) / self.cores))


def rank(results):
    """Adds to every right result of one model, batch and kind its ratio to vkinfer, and its rank.

    The ratio is of times in the same round, so that a machine's load, which comes and goes, mostly cancels: above 1
    vkinfer is faster. vkinfer's fastest precision that is right is what others are compared with; where there is none
    there are no ratios. What is not right gets neither ratio nor rank.
    """
    groups = {}
    for r in results:
        if r["status"] == "ok":
            groups.setdefault((r["model"], r["batch"], r["kind"]), []).append(r)
    for group in groups.values():
        group.sort(key=lambda r: r["ms_per_image"]["median"])
        base = next((r for r in group if r["engine"].startswith("vkinfer")), None)
        for place, r in enumerate(group, 1):
            r["rank"] = place
            if base:
                pairs = [r["rounds"][i] / base["rounds"][i] for i in r["rounds"] if i in base["rounds"]]
                if pairs:
                    r["ratio"] = spread(pairs)
                    r["ratio_of_least"] = r["ms_per_image"]["min"] / base["ms_per_image"]["min"]
    return results
