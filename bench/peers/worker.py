"""One engine in one process. Obeys JSON lines on standard input and answers each with one.

{"do": "check", "batch": 8, "out": FILE}   runs once; FILE gets the logits as float32
{"do": "time", "batch": 8, "seconds": 2, "runs": 3}   milliseconds of single runs, with transfers and (where
                                                      that differs) resident
{"do": "forget"}                           the batch size is done with
"""

import argparse
import json
import os
import sys
import time
import traceback

BEGIN = time.perf_counter()


def batch_of(images, n):
    """n images, the given ones over and over."""
    import numpy as np

    return np.ascontiguousarray(images[np.arange(n) % len(images)])


def time_runs(run, seconds, runs):
    """Milliseconds of single runs: one more that does not count, then for so long and so often at least."""
    run()
    times, begin = [], time.perf_counter()
    while len(times) < runs or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
        if len(times) >= 20000:
            break
    return times


class Worker:
    def __init__(self, a):
        import numpy as np  # before the clock of loading: every engine needs it

        import engines

        self.images = np.load(a.images)
        self.engine, self.batch, self.x, self.resident = None, 0, None, None
        make = engines.ENGINES[a.engine]
        start = time.perf_counter()
        try:
            self.engine = make(a)
            self.batch, self.x = 1, batch_of(self.images, 1)
            self.engine.prepare(1)
            self.engine.run(self.x)
        except (engines.Missing, ImportError) as e:
            self.ready = {"missing": str(e)}
            return
        now = time.perf_counter()
        self.ready = {"version": self.engine.version, "device": self.engine.device, "precision": self.engine.precision,
                      "first_ms": 1e3 * (now - start), "process_ms": 1e3 * (now - BEGIN)}

    def use(self, n):
        if n != self.batch:
            self.batch, self.resident = n, None
            self.x = batch_of(self.images, n)
            self.engine.prepare(n)

    def check(self, c):
        import numpy as np

        self.use(c["batch"])
        np.asarray(self.engine.run(self.x), dtype="<f4").tofile(c["out"])
        return {}

    def time(self, c):
        self.use(c["batch"])
        out = {"transfers": time_runs(lambda: self.engine.run(self.x), c["seconds"], c["runs"])}
        self.resident = self.resident or self.engine.resident(self.x)
        if self.resident:
            out["resident"] = time_runs(self.resident, c["seconds"], c["runs"])
        return out

    def forget(self, _):
        self.batch, self.x, self.resident = 0, None, None
        self.engine.forget()
        return {}


def main():
    p = argparse.ArgumentParser()
    for name in ("engine", "model", "weights", "artifacts", "images", "device"):
        p.add_argument("--" + name, required=name != "device", default="")
    for name in ("size", "threads"):
        p.add_argument("--" + name, type=int, required=True)
    a = p.parse_args()
    # Libraries that print get standard error; the answers have what was standard output.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    def attempt(do):
        try:
            return do()
        except Exception as e:
            traceback.print_exc()
            return {"error": f"{type(e).__name__}: {str(e).strip() or 'no text'}"[:300]}

    worker = None

    def start():
        nonlocal worker
        worker = Worker(a)
        return worker.ready

    ready = attempt(start)
    answer(ready)
    if "precision" not in ready:
        return
    for line in sys.stdin:
        command = json.loads(line)
        answer(attempt(lambda: {"check": worker.check, "time": worker.time, "forget": worker.forget}[command["do"]](command)))
    os._exit(0)  # drivers that hang when they are unloaded are no concern of ours


if __name__ == "__main__":
    main()
