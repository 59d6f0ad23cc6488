"""The two kinds of contestant as the driver sees them: vkinfer's program, and a peer in a worker process."""

import contextlib
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time

import data

HERE = os.path.dirname(os.path.abspath(__file__))


class Failed(Exception):
    """Something that a contestant could not do. missing: it is not there at all."""

    def __init__(self, why, missing=False):
        super().__init__(why)
        self.missing = missing


def last_line(text):
    lines = [line for line in (text or "").splitlines() if line.strip() and not line.startswith("Run '")]
    return lines[-1].strip() if lines else "no message"


def vkinfer(job, *args, timeout=None):
    """Runs the program and returns what it printed."""
    try:
        p = subprocess.run([job.vkinfer, *map(str, args)], capture_output=True, text=True, timeout=timeout or job.timeout)
    except subprocess.TimeoutExpired as e:
        raise Failed(f"vkinfer {args[0]}: longer than {e.timeout:.0f} s") from None
    if p.returncode:
        # 2 and 4: this build or device cannot do what was asked for.
        raise Failed(last_line(p.stderr), missing=p.returncode in (2, 4))
    return p.stdout


def kind_of(timed):
    """Which of our two kinds a row of `vkinfer bench` is; none for others, such as those that decode pictures."""
    timed = timed.lower()
    if "resident" in timed:
        return "resident"
    return "transfers" if "transfer" in timed else None


class Vkinfer:
    group = "vkinfer"

    def __init__(self, job, precision):
        self.job, self.precision, self.name = job, precision, "vkinfer " + precision
        self.version, self.device, self.starts = "vkinfer " + job.build.get("commit", "")[:12], job.device_name, []

    def _common(self):
        return ["--checkpoint", self.job.weights, "--device", self.job.device, "--precision", self.precision]

    def start(self):
        out = os.path.join(self.job.work, "start.npy")
        begin = time.perf_counter()
        vkinfer(self.job, "run", self.job.model, *self._common(), "-i", self.job.first_image, "-o", out)
        self.starts.append({"process_ms": 1e3 * (time.perf_counter() - begin)})

    def check(self, n, _):
        n = min(n, 64)  # a file of a thousand pictures would be a gigabyte
        x, out = self.job.repeated(n), os.path.join(self.job.work, "vkinfer.npy")
        vkinfer(self.job, "run", self.job.model, *self._common(), "-b", n, "-i", x, "-o", out)
        return data.read_npy(out)[0], n

    def time(self, n):
        rows = json.loads(vkinfer(self.job, "bench", self.job.model, *self._common(), "-b", n, "-r", self.job.runs, "--seed", self.job.seed, "-o", "json"))
        if n == 1 and rows:
            self.starts.append({"first_ms": rows[0]["first_logits_ms"]})
        out = {kind_of(r["timed"]): r["ms_per_image"] for r in rows}
        out.pop(None, None)
        if not out:
            raise Failed("vkinfer bench printed no time that is known here")
        return out

    def pid(self):
        return None  # each run is a process of its own that has ended by then

    def forget(self):
        pass

    def close(self):
        pass


class Peer:
    """A worker process. Answers are read by a thread, so that none can keep the driver waiting for ever."""

    def __init__(self, job, name, group):
        self.job, self.name, self.group = job, name, group
        self.process, self.starts, self.version, self.device, self.precision = None, [], "", "", "float32"

    def start(self):
        self.close()
        job = self.job
        command = [job.python, os.path.join(HERE, "worker.py"), "--engine", self.name, "--model", job.model, "--weights", job.weights,
                   "--artifacts", job.artifacts, "--images", job.images, "--size", str(job.size), "--threads", str(job.threads), "--device", job.device_name]
        begin = time.perf_counter()
        self.log = open(os.path.join(job.work, self.name + ".log"), "ab")
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        except OSError as e:
            raise Failed(str(e), missing=True) from None
        self.answers = queue.Queue()
        threading.Thread(target=self._read, args=(self.process.stdout, self.answers), daemon=True).start()
        ready = self._answer()
        self.starts.append({"first_ms": ready["first_ms"], "process_ms": 1e3 * (time.perf_counter() - begin)})
        self.version, self.device, self.precision = ready["version"], ready["device"], ready["precision"]

    @staticmethod
    def _read(stream, answers):
        with stream:
            for line in stream:
                answers.put(line)
        answers.put(None)

    def _answer(self):
        try:
            line = self.answers.get(timeout=self.job.timeout)
        except queue.Empty:
            self.close()
            raise Failed(f"longer than {self.job.timeout:.0f} s") from None
        if line is None:
            status = self.process.wait()
            self.close()
            raise Failed(f"ended with status {status}: " + self._log())
        answer = json.loads(line)
        if "missing" in answer:
            raise Failed(answer["missing"], missing=True)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def _log(self):
        with open(self.log.name, errors="replace") as f:
            return last_line(f.read())

    def _ask(self, **command):
        if self.process is None:
            raise Failed("its process has ended before")
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it died: the answer says so
        return self._answer()

    def check(self, n, out):
        self._ask(do="check", batch=n, out=out)
        return data.read_floats(out), n

    def time(self, n):
        times = self._ask(do="time", batch=n, seconds=self.job.seconds, runs=self.job.runs)
        return {kind: statistics.median(t) / n for kind, t in times.items()}

    def pid(self):
        return self.process.pid if self.process is not None else None

    def forget(self):
        if self.process is not None:
            self._ask(do="forget")

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            with contextlib.suppress(OSError):  # what it did not read
                self.process.stdin.close()
            self.process = None
            self.log.close()


def export(job, form, batch):
    """Writes what the engines of a form read. Done once per weights and batch."""
    out = os.path.join(job.artifacts, f"b{batch}.onnx" if form == "onnx" else "net")
    if os.path.exists(out if form == "onnx" else out + ".ncnn.bin"):
        return
    command = [job.python, os.path.join(HERE, "export.py"), form, job.model, job.weights, str(job.size), str(batch), out + ("" if form == "ncnn" else ".part")]
    try:
        p = subprocess.run(command, capture_output=True, text=True, timeout=job.timeout)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Failed(f"export to {form}: {e}") from None
    if p.returncode:
        why = last_line(p.stderr)
        raise Failed(f"export to {form}: {why}", missing="ModuleNotFoundError" in why)
    if form == "onnx":
        os.replace(out + ".part", out)


def python_version(python):
    try:
        return subprocess.run([python, "--version"], capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return f"{python} does not run"


if __name__ == "__main__":
    sys.exit("this is a part of peers.py")
