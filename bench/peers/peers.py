#!/usr/bin/env python3
"""Times vkinfer beside other ways to run the same networks, on the same machine, in the same minute.

    bench/peers/peers.py --vkinfer bin/vkinfer --python build/peers/venv/bin/python [MODEL...]

All get the same made-up weights (`vkinfer synth`) and the same pictures (`vkinfer bench`'s noise). First the logits
of everyone, at every batch size, are compared with those of vkinfer's CPU reference; who is wrong is shown as WRONG
and not timed. Then they take turns: in each round everyone runs for a moment. The figure is the median of the
rounds, and ratios are of times in the same round. This driver needs only Python's own library; the peers need what
is in requirements.txt and a PyTorch; what is missing is listed with the reason.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import types

import contestants
import data
import judge
import report

# name: (group, form to export). worker.py knows how to run them.
PEERS = {
    "onnxruntime": ("cpu", "onnx"),
    "onnxruntime-1-thread": ("cpu", "onnx"),
    "torch-eager": ("cpu", None),
    "torch-channels-last": ("cpu", None),
    "torch-frozen": ("cpu", None),
    "torch-compile": ("cpu", None),
    "ncnn-cpu": ("cpu", "ncnn"),
    "ncnn-vulkan": ("vulkan", "ncnn"),
    "ncnn-vulkan-half": ("vulkan", "ncnn"),
    "cuda-eager": ("cuda", None),
    "cuda-graph": ("cuda", None),
    "cuda-compile": ("cuda", None),
    "cuda-compile-graph": ("cuda", None),
    "cuda-eager-float32": ("cuda", None),
    "cuda-compile-max": ("cuda-max", None),  # minutes for every batch size
}
MODELS = ["efficientnet_b1_pruned", "efficientnet_b2_pruned", "efficientnet_b3_pruned"]
IMAGES = 8  # different pictures; larger batches repeat them


def say(*words):
    print("peers:", *words, file=sys.stderr, flush=True)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("models", nargs="*", metavar="MODEL", default=MODELS, help="networks (all three)")
    p.add_argument("--vkinfer", default=os.environ.get("VKINFER", "bin/vkinfer"), help="the program")
    p.add_argument("--python", default=sys.executable, help="the Python that has the peers")
    p.add_argument("-b", "--batches", default="1,8", help="batch sizes")
    p.add_argument("--device", default="vulkan", help="vkinfer's device; ncnn uses the one of the same name")
    p.add_argument("--precisions", default="float32", help="of vkinfer")
    p.add_argument("--groups", default="cpu,vulkan", help="of peers: cpu, vulkan, cuda, cuda-max (torch.compile with max-autotune)")
    p.add_argument("--compile-batches", default="", help="batch sizes of the peers that compile for each (all)")
    p.add_argument("--engines", default="", help="only these peers: " + ", ".join(PEERS))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=1, help="time for one engine in one round, at least")
    p.add_argument("--runs", type=int, default=3, help="runs of one engine in one round, at least")
    p.add_argument("--starts", type=int, default=3, help="measured starts of each")
    p.add_argument("--cores", type=int, default=0, help="cores for everyone (all that this process may use)")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--timeout", type=float, default=600, help="seconds for one answer")
    p.add_argument("--budget", type=float, default=0, help="seconds for everything; what is left is then listed")
    p.add_argument("--work", default="build/peers/work", help="folder for weights and exports")
    p.add_argument("--json", default="", help="file for the results as JSON")
    p.add_argument("--from-json", default="", help="only print the tables of such a file")
    a = p.parse_args()
    try:
        a.batches = [int(b) for b in a.batches.split(",")]
        a.compile_batches = [int(b) for b in a.compile_batches.split(",")] if a.compile_batches else a.batches
    except ValueError:
        p.error("--batches and --compile-batches: want whole numbers, separated by commas")
    for flag, given, known in (("--groups", a.groups, ["cpu", "vulkan", "cuda", "cuda-max"]), ("--engines", a.engines, list(PEERS)), ("MODEL", ",".join(a.models), MODELS)):
        for word in filter(None, given.split(",")):
            if word not in known:
                p.error(f"{flag}: no {word!r}, there are {', '.join(known)}")
    if min(a.batches) < 1 or a.rounds < 1 or a.runs < 1:
        p.error("--batches, --rounds and --runs: want 1 or more")
    return a


def machine(a, cores):
    cpu = platform.processor()
    try:
        with open("/proc/cpuinfo") as f:
            cpu = next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {"cpu": cpu, "cores": len(cores), "system": platform.platform(), "python": contestants.python_version(a.python), "load": os.getloadavg()[0]}


def commit_of_sources():
    """The commit of the repository of this file, for a program that was built without its own."""
    try:
        git = ["git", "-C", contestants.HERE]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
        dirty = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""
    return f"unknown, built without it; that of the sources beside peers.py is {commit[:12]}{'+modified' * bool(dirty)}"


class Job(types.SimpleNamespace):
    """What everyone needs to know about the network being run, and the budget."""

    def enter(self, model):
        """Makes weights, pictures and the reference logits of a network."""
        self.model = model
        self.weights = os.path.join(self.work, model + ".safetensors")
        contestants.vkinfer(self, "synth", model, "--seed", self.seed, "-o", self.weights)
        with open(self.weights, "rb") as f:
            print_of_weights = hashlib.sha256(f.read()).hexdigest()[:12]
        self.size = next(m for m in json.loads(contestants.vkinfer(self, "models", "-o", "json")) if m["model"] == model)["input_size"][1]
        self.artifacts = os.path.join(self.work, f"{model}-{print_of_weights}")
        os.makedirs(self.artifacts, exist_ok=True)
        self.images, self.first_image = self.repeated(IMAGES), self.repeated(1)
        out = os.path.join(self.work, "reference.npy")
        contestants.vkinfer(self, "run", model, "--checkpoint", self.weights, "--device", "cpu", "-b", 1, "-i", self.images, "-o", out)
        values, (n, classes) = data.read_npy(out)
        self.reference = [values[i * classes : (i + 1) * classes] for i in range(n)]

    def repeated(self, n):
        """A file of n pictures: the first IMAGES are different ones, and then they repeat."""
        path = os.path.join(self.artifacts, f"noise{self.seed}-{n}.npy")
        if not os.path.exists(path):
            per = 3 * self.size * self.size
            values = data.noise(self.seed, min(n, IMAGES) * per)
            whole = values * (n // IMAGES) + values[: n % IMAGES * per] if n > IMAGES else values
            data.write_npy(path, whole, (n, 3, self.size, self.size))
        return path

    def spent(self):
        return bool(self.budget) and time.monotonic() > self.end


def contestants_of(a, job):
    for precision in a.precisions.split(","):
        yield contestants.Vkinfer(job, precision), None
    for name, (group, form) in PEERS.items():
        if name in a.engines.split(",") if a.engines else group in a.groups.split(","):
            yield contestants.Peer(job, name, group), form


class Runner:
    """One network: who takes part, the checks, the rounds."""

    def __init__(self, a, job, results):
        self.a, self.job, self.results = a, job, results
        self.here, self.bystanders = [], judge.Bystanders(os.cpu_count())

    def note(self, c, status, why, batch=None, **more):
        say(f"{self.job.model}: {c.name}{f', batch {batch}' if batch else ''}: {status}: {why}")
        self.results.append({"model": self.job.model, "batch": batch, "engine": c.name, "group": c.group, "precision": c.precision,
                             "version": c.version, "device": c.device, "kind": None, "status": status, "why": why} | more)

    def fail(self, c, e, batch=None):
        self.note(c, "missing" if e.missing else "failed", str(e), batch)

    def open(self):
        for c, form in contestants_of(self.a, self.job):
            if self.job.spent():
                self.note(c, "not run", "the time budget is spent")
                continue
            say(f"{self.job.model}: starting {c.name}")
            try:
                if form:
                    for batch in {1, *self.a.batches} if form == "onnx" else {1}:
                        contestants.export(self.job, form, batch)
                c.start()
            except contestants.Failed as e:
                self.fail(c, e)
                c.close()
                continue
            self.here.append(c)

    def check(self, batch):
        """Returns who is right at this batch size, each with what the check found."""
        right = []
        for c in self.here:
            if "compile" in c.name and batch not in self.a.compile_batches:
                continue
            if self.job.spent():
                self.note(c, "not run", "the time budget is spent", batch)
                continue
            try:
                logits, n = c.check(batch, os.path.join(self.job.work, "peer.f32"))
            except contestants.Failed as e:
                self.fail(c, e, batch)
                continue
            found = judge.verdict(logits, self.job.reference, n, c.precision)
            numbers = {k: found[k] for k in ("plain", "centred", "top1")} | {"checked": n}
            if found["right"]:
                right.append((c, numbers))
            else:
                self.note(c, "WRONG", found["why"], batch, **numbers)
        return right

    def batch(self, batch):
        right = self.check(batch)
        rounds = {c.name: {} for c, _ in right}  # kind: {round: milliseconds per image}
        others = {c.name: [] for c, _ in right}
        lost = set()
        for turn in range(self.a.rounds):
            # Forth and back, so that nobody always runs after the same neighbour.
            for c, _ in right if turn % 2 == 0 else reversed(right):
                if c.name in lost or self.job.spent():
                    continue
                try:
                    self.bystanders.begin(c.pid())
                    for kind, ms in c.time(batch).items():
                        rounds[c.name].setdefault(kind, {})[str(turn)] = ms
                    others[c.name].append(self.bystanders.others())
                except contestants.Failed as e:
                    lost.add(c.name)
                    self.fail(c, e, batch)
        for c, numbers in right:
            if not rounds[c.name] and c.name not in lost:
                self.note(c, "not run", "the time budget is spent", batch)
            for kind, times in rounds[c.name].items() if c.name not in lost else ():
                ms = judge.spread(list(times.values()))
                self.results.append({"model": self.job.model, "batch": batch, "engine": c.name, "group": c.group, "precision": c.precision,
                                     "version": c.version, "device": c.device, "kind": kind, "status": "ok", "why": "", "rounds": times,
                                     "others": judge.known_median(others[c.name]), "ms_per_image": ms, "images_per_second": 1e3 / ms["median"]} | numbers)
        for c in self.here:
            try:
                c.forget()
            except contestants.Failed:
                pass  # it has failed before, and that is noted

    def starts(self):
        """More starts, in turns; the first ones were those of open."""
        for _ in range(self.a.starts - 1):
            for c in self.here:
                if self.job.spent() or "compile" in c.name:  # minutes each: one has to do
                    continue
                try:
                    c.start()
                    c.close()
                except contestants.Failed as e:
                    say(f"{self.job.model}: {c.name}: starting again: {e}")
        out = []
        for c in self.here:
            row = {"model": self.job.model, "engine": c.name, "version": c.version}
            for key in ("first_ms", "process_ms"):
                values = [s[key] for s in c.starts if key in s]
                row[key] = judge.spread(values) | {"first": values[0]} if values else None
            out.append(row)
        return out

    def close(self):
        for c in self.here:
            c.close()


def run(a):
    if not (os.path.exists(a.vkinfer) or shutil.which(a.vkinfer)):
        sys.exit(f"peers: no {a.vkinfer}, want the program (make build, or --vkinfer)")
    a.vkinfer = os.path.abspath(a.vkinfer) if os.path.exists(a.vkinfer) else a.vkinfer
    cores = sorted(os.sched_getaffinity(0))
    if a.cores:
        os.sched_setaffinity(0, cores[: a.cores])
        cores = cores[: a.cores]
    os.environ.setdefault("LP_NUM_THREADS", str(len(cores)))
    os.environ.setdefault("OMP_NUM_THREADS", str(len(cores)))
    os.makedirs(a.work, exist_ok=True)
    a.work = os.path.abspath(a.work)
    job = Job(vkinfer=a.vkinfer, python=a.python, device=a.device, device_name="", work=a.work, seed=a.seed, seconds=a.seconds, runs=a.runs,
              threads=len(cores), timeout=a.timeout, budget=a.budget, end=time.monotonic() + a.budget, build={})
    job.build = json.loads(contestants.vkinfer(job, "version", "-o", "json"))
    if "commit" not in job.build:
        job.build["commit"] = commit_of_sources()
    device = report.find_device(json.loads(contestants.vkinfer(job, "devices", "-o", "json")), a.device)
    job.device_name = device.get("name", "")
    out = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "command": " ".join(sys.argv), "machine": machine(a, cores),
           "vkinfer": job.build, "device": device, "rounds": a.rounds, "seconds": a.seconds, "results": [], "starts": []}

    def save():  # again and again: whatever happens later, this much is kept
        judge.rank(out["results"])
        if a.json:
            data.write_json(a.json, out)

    for model in a.models:
        runner = None
        try:
            job.enter(model)
            runner = Runner(a, job, out["results"])
            runner.open()
            for batch in a.batches:
                say(f"{model}: batch {batch}")
                runner.batch(batch)
                save()
            out["starts"] += runner.starts()
        except contestants.Failed as e:
            out["results"].append({"model": model, "batch": None, "engine": "vkinfer", "group": "vkinfer", "precision": "", "version": "", "device": "", "kind": None, "status": "failed", "why": str(e)})
            say(f"{model}: {e}")
        finally:
            if runner:
                runner.close()
        save()
    out["machine"]["load_after"] = os.getloadavg()[0]
    save()
    return out


def main():
    a = arguments()
    if a.from_json:
        with open(a.from_json) as f:
            out = json.load(f)
    else:
        out = run(a)
    print(report.markdown(out), end="")
    wrong = [r for r in out["results"] if r["status"] in ("WRONG", "failed") and r["group"] == "vkinfer"]
    sys.exit(3 if wrong else 0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except contestants.Failed as e:
        sys.exit(f"peers: {e}")
