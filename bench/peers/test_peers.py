"""Tests of the driver with planted faults: python3 -m unittest discover bench/peers. Standard library only."""

import json
import math
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import types
import unittest

import contestants
import data
import judge
import report

HERE = os.path.dirname(os.path.abspath(__file__))
REFERENCE = [[math.sin(i * (k + 1.3)) - 0.5 for i in range(50)] for k in range(3)]


def flat(n, change=lambda image, i, v: v):
    return [change(k, i, v) for k in range(n) for i, v in enumerate(REFERENCE[k % 3])]


class Judging(unittest.TestCase):
    def test_right(self):
        found = judge.verdict(flat(7), REFERENCE, 7, "float32")
        self.assertTrue(found["right"])
        self.assertEqual(found["top1"], 7)

    def test_one_image_of_a_batch_is_wrong(self):
        # what an engine does that computes the first image of a batch and repeats it
        found = judge.verdict(flat(1) * 8, REFERENCE, 8, "float32")
        self.assertFalse(found["right"])
        self.assertIn("logits off", found["why"])

    def test_small_errors(self):
        off = lambda e: judge.verdict(flat(3, lambda k, i, v: v * (1 + e * (-1) ** i)), REFERENCE, 3, "float32")["right"]  # noqa: E731
        self.assertTrue(off(1e-6))
        self.assertFalse(off(1e-4))

    def test_no_numbers(self):
        for bad in (math.nan, math.inf):
            found = judge.verdict(flat(3, lambda k, i, v: bad if (k, i) == (2, 7) else v), REFERENCE, 3, "float16")
            self.assertFalse(found["right"])

    def test_too_few(self):
        self.assertFalse(judge.verdict(flat(2), REFERENCE, 3, "float32")["right"])


def result(engine, ms, status="ok", **more):
    rounds = {str(i): m for i, m in enumerate(ms)}
    out = {"model": "m", "batch": 1, "kind": "transfers", "engine": engine, "group": "vkinfer" if engine.startswith("vkinfer") else "cpu", "precision": "float32",
           "version": "", "device": "", "status": status, "why": "why"}
    if ms:
        out |= {"rounds": rounds, "ms_per_image": judge.spread(ms), "images_per_second": 1e3 / judge.spread(ms)["median"], "plain": 0.0, "centred": 0.0}
    return out | more


class Ranking(unittest.TestCase):
    def test_ratio_is_of_the_same_round(self):
        # the machine is three times slower in the last round, for both
        rows = judge.rank([result("vkinfer float32", [10, 10, 30]), result("a", [40, 20, 60])])
        self.assertEqual(rows[1]["ratio"], {"median": 2, "min": 2, "max": 4})

    def test_wrong_is_not_ranked(self):
        wrong = result("a", [1, 1, 1], status="WRONG")
        judge.rank([result("vkinfer float32", [10, 10, 10]), wrong])
        self.assertNotIn("rank", wrong)
        self.assertNotIn("ratio", wrong)

    def test_no_vkinfer_no_ratio(self):
        rows = judge.rank([result("vkinfer float32", [], status="WRONG"), result("a", [1, 2, 3])])
        self.assertNotIn("ratio", rows[1])

    def test_tables(self):
        out = {"date": "d", "command": "c", "machine": {"cpu": "x", "cores": 2, "system": "s", "load": 0.0}, "device": {"name": "n"}, "vkinfer": {}, "rounds": 3,
               "results": judge.rank([result("vkinfer float32", [10, 10, 10]), result("a", [20, 30, 20]), result("bad", [], status="WRONG"),
                                      result("gone", [], status="missing", batch=None)]), "starts": []}
        text = report.markdown(out)
        self.assertIn("| 1 | a | float32 | transfers | 20.0 (20.0 … 30.0) | 50.0 | **2.00** (2.00 … 3.00) | 2.00 | – |", text)
        self.assertIn("WRONG: why | – | – | – | – |", text)
        self.assertIn("gone: missing: why (m)", text)


class Data(unittest.TestCase):
    def test_noise_is_that_of_bench(self):
        # the first values of cmd/vkinfer's noise(1, …), as Go prints float32
        want = [-0.7411765, 0.23921573, -0.52156866, -0.78039217, -0.70980394, 0.3803922]
        for got, w in zip(data.noise(1, 6), want):
            self.assertAlmostEqual(got, w, delta=1e-8 + 1e-7 * abs(w))

    def test_npy(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.npy")
            data.write_npy(path, data.noise(2, 24), (2, 3, 2, 2))
            self.assertEqual(os.path.getsize(path) % 64, 24 * 4 % 64)
            values, shape = data.read_npy(path)
            self.assertEqual((list(values), shape), (list(data.noise(2, 24)), [2, 3, 2, 2]))
            with open(path, "wb") as f:
                f.write(b"nothing of that kind")
            self.assertRaises(ValueError, data.read_npy, path)

    def test_kinds(self):
        self.assertEqual(contestants.kind_of("Classifier.RunPictures, with transfers"), "transfers")
        self.assertEqual(contestants.kind_of("device-resident"), "resident")
        self.assertIsNone(contestants.kind_of("end to end from JPEG"))


class Workers(unittest.TestCase):
    """Peers whose process misbehaves, with a Python that is a script."""

    def peer(self, script, timeout=20):
        folder = tempfile.mkdtemp()
        path = os.path.join(folder, "python")
        with open(path, "w") as f:
            f.write(f"#!{sys.executable}\n" + textwrap.dedent(script))
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        job = types.SimpleNamespace(python=path, model="m", weights="w", artifacts=folder, images="i", size=1, threads=1, device_name="d", work=folder, timeout=timeout, seconds=1, runs=1)
        peer = contestants.Peer(job, "onnxruntime", "cpu")
        self.addCleanup(peer.close)
        return peer

    def test_missing(self):
        with self.assertRaises(contestants.Failed) as e:
            self.peer("""print('{"missing": "No module named ncnn"}')""").start()
        self.assertTrue(e.exception.missing)

    def test_dies(self):
        with self.assertRaisesRegex(contestants.Failed, "status 7: out of luck"):
            self.peer("import sys; print('out of luck', file=sys.stderr); sys.exit(7)").start()

    def test_hangs(self):
        peer = self.peer("import time; time.sleep(60)", timeout=0.5)
        self.assertRaisesRegex(contestants.Failed, "longer than", peer.start)
        self.assertIsNone(peer.process)

    def test_dies_later(self):
        peer = self.peer("""
            import sys
            print('{"version": "1", "device": "cpu", "precision": "float32", "first_ms": 1}', flush=True)
            sys.stdin.readline()
            sys.exit(9)""")
        peer.start()
        self.assertRaisesRegex(contestants.Failed, "status 9", peer.time, 1)
        self.assertRaisesRegex(contestants.Failed, "ended before", peer.time, 1)

    def test_no_python(self):
        peer = self.peer("")
        peer.job.python = "/nowhere/python"
        with self.assertRaises(contestants.Failed) as e:
            peer.start()
        self.assertTrue(e.exception.missing)


class Summary(unittest.TestCase):
    def test_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            bench = {"model": "m", "batch_size": 8, "timed": "with transfers", "precision": "float32", "images_per_second": 100, "device": "gpu", "driver": "d", "commit": "c", "version": "v", "go": "g"}
            with open(os.path.join(folder, "bench-m-8.jsonl"), "w") as f:
                f.write(json.dumps(bench) + "\n" + json.dumps(bench | {"batch_size": 16}) + "\n")
            with open(os.path.join(folder, "bench-m-9.jsonl"), "w") as f:
                f.write('{"model": "m", "bat')  # ended while it wrote
            peers = judge.rank([result("vkinfer float32", [10.0]), result("a", [20.0]), result("fast but wrong", [], status="WRONG")])
            data.write_json(os.path.join(folder, "peers-m.json"), {"vkinfer": {}, "results": [r | {"batch": 8} for r in peers]})
            with open(os.path.join(folder, "steps.tsv"), "w") as f:
                f.write("step\tstatus\tseconds\tcommand\nx\tok\t3\tx\ny\tlonger than 5 s\t5\ty\n")
            p = subprocess.run([sys.executable, os.path.join(HERE, "summary.py"), folder], capture_output=True, text=True)
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertIn("| m | transfers | 8 | 100 | float32 | 50.0 | a, float32 | **2.00**", p.stdout)
            self.assertIn("| m | transfers | 16 | 100 | float32 | – |", p.stdout)
            self.assertIn("- fast but wrong at batch 8, m: WRONG: why", p.stdout)
            self.assertIn("1 of 2 ok, 8 s", p.stdout)
            self.assertIn("bench-m-9.jsonl", p.stderr)


class GPUReport(unittest.TestCase):
    """scripts/gpu-report.sh with a program that misbehaves."""

    PROGRAM = """#!/bin/sh
case "$*" in
  devices*) echo '*  vulkan:0  Some GPU (x)  discrete'; [ "$2" != -o ] || echo '[]' ;;
  *verify*) echo 'layer 3 is wrong' >&2; exit 3 ;;
  *amp*) echo 'no amp here' >&2; echo "Run 'vkinfer bench --help' for usage." >&2; exit 2 ;;
  *"-b 2 "*) echo '{"half": '; sleep 60 ;;
  *"-b 4 "*) kill -9 $$ ;;
  *) ;;
esac
"""

    SCRIPT = os.path.join(HERE, "..", "..", "scripts", "gpu-report.sh")

    def write_program(self, folder):
        program = os.path.join(folder, "vkinfer")
        with open(program, "w") as f:
            f.write(self.PROGRAM)
        os.chmod(program, 0o755)
        return program

    def report(self, *args):
        folder = tempfile.mkdtemp()
        program = self.write_program(folder)
        out = os.path.join(folder, "out")
        command = [self.SCRIPT, "--vkinfer", program, "--out", out, "--models", "m", *args]
        p = subprocess.run(command, capture_output=True, text=True, timeout=100, env=os.environ | {"PYTHON": sys.executable})
        steps = {}
        if os.path.exists(out):
            with open(os.path.join(out, "steps.tsv")) as f:
                steps = {line.split("\t")[0]: line.split("\t")[1] for line in f}
        return p, steps, out

    def test_steps_fail_alone(self):
        p, steps, out = self.report("--parts", "verify,bench,summary", "--batches", "1,2,4,8", "--step", "2", "--tar", tempfile.mkdtemp() + "/r.tgz")
        self.assertEqual(p.returncode, 1, p.stderr)
        self.assertEqual(steps["verify-m"], "CHECK FAILED")
        self.assertEqual(steps["bench-m-float32-1"], "ok")
        self.assertEqual(steps["bench-m-float32-2"], "longer than 2 s")
        self.assertIn("137", steps["bench-m-float32-4"])
        self.assertEqual(steps["bench-m-float32-8"], "ok")
        self.assertEqual(steps["bench-m-amp-1"], "not there: no amp here")
        self.assertNotIn("bench-m-amp-2", steps)
        self.assertIn("CHECK FAILED", p.stdout)
        self.assertTrue(os.path.exists(p.args[-1]))

    def test_budget(self):
        p, steps, _ = self.report("--parts", "bench", "--batches", "2,8", "--precisions", "float32", "--budget", "2")
        self.assertEqual(p.returncode, 1)
        self.assertRegex(steps["bench-m-float32-2"], "longer than [12] s")
        self.assertIn("budget", steps["bench-m-float32-8"])

    def test_interrupted(self):
        folder = tempfile.mkdtemp()
        out, tar = os.path.join(folder, "out"), os.path.join(folder, "r.tgz")
        self.write_program(folder)
        p = subprocess.Popen([self.SCRIPT, "--vkinfer", os.path.join(folder, "vkinfer"), "--out", out, "--models", "m", "--parts", "bench", "--batches", "2", "--tar", tar],
                             stderr=subprocess.PIPE, text=True)
        p.stderr.readline()  # the step begins
        p.terminate()
        self.assertEqual(p.wait(20), 130)
        p.stderr.close()
        self.assertTrue(os.path.exists(tar))

    def test_usage(self):
        for args in (["--parts", "bnech"], ["--nonsense", "1"], ["--budget", "soon"], ["--vkinfer"]):
            self.assertEqual(self.report(*args)[0].returncode, 2)


if __name__ == "__main__":
    unittest.main()
