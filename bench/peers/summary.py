#!/usr/bin/env python3
"""The summary of a folder that scripts/gpu-report.sh filled: summary.py FOLDER

Prints markdown and writes FOLDER/summary.json. Needs Python's own library only. Images per second of vkinfer are
those of `vkinfer bench`, alone on the machine; ratios to peers are of times in the same round of peers.py.
"""

import csv
import glob
import json
import os
import sys

import contestants
import data
import report


def load(folder, pattern):
    """The values of JSON files, those that are damaged left out and told of."""
    for path in sorted(glob.glob(os.path.join(folder, pattern))):
        try:
            with open(path) as f:
                if path.endswith(".jsonl"):
                    yield from (json.loads(line) for line in f if line.strip())
                else:
                    yield json.load(f)
        except ValueError as e:
            print(f"summary: {path}: {e}", file=sys.stderr)


def best_peers(peers):
    """The fastest right peer of each (model, batch, kind)."""
    best = {}
    for out in peers:
        for r in out["results"]:
            key = (r["model"], r["batch"], r["kind"])
            if r["status"] == "ok" and r["group"] != "vkinfer" and (key not in best or r["images_per_second"] > best[key]["images_per_second"]):
                best[key] = r
    return best


def rows_of(benches, peers):
    """One row per model, batch and kind: vkinfer's fastest precision and kernels, the best peer, and how much faster vkinfer is."""
    own, best = {}, best_peers(peers)
    for b in benches:
        key = (b["model"], b["batch_size"], contestants.kind_of(b["timed"]))
        if key[2] and (key not in own or b["images_per_second"] > own[key]["images_per_second"]):
            own[key] = b
    rows = []
    for key in sorted(own.keys() | best.keys(), key=str):
        row = dict(zip(("model", "batch", "kind"), key))
        if key in own:
            row |= {"images_per_second": own[key]["images_per_second"], "precision": own[key]["precision"], "kernels": own[key].get("kernels", "")}
        if key in best:
            p = best[key]
            row |= {"peer": p["engine"], "peer_precision": p["precision"], "peer_images_per_second": p["images_per_second"]}
            if "ratio" in p:
                row["ratio"] = p["ratio"]
        rows.append(row)
    return sorted(rows, key=lambda r: (r["model"], r["kind"], r["batch"]))


def steps(folder):
    try:
        with open(os.path.join(folder, "steps.tsv"), newline="") as f:
            return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    except OSError:
        return []


def markdown(out):
    device, rows = out["device"], out["rows"]
    text = f"# {device.get('name', 'no device')}\n\n"
    if device:
        text += f"- driver: {device.get('driver', '')} {device.get('driver_version', '')}, Vulkan {device.get('api_version', '')}\n"
    text += "".join(f"- vkinfer: {c}\n" for c in out["commits"])
    if rows:
        lines = []
        for r in rows:
            lines.append([r["model"], r["kind"], r["batch"], report.figure(r["images_per_second"]) if "images_per_second" in r else "–", ", ".join(filter(None, (r.get("precision", "–"), r.get("kernels")))),
                          report.figure(r["peer_images_per_second"]) if "peer" in r else "–", f"{r['peer']}, {r['peer_precision']}" if "peer" in r else "–", report.ratio(r)])
        titles = ["model", "measured", "batch", "vkinfer, images/s", "precision, kernels", "best peer, images/s", "which", "vkinfer is faster by"]
        text += "\n" + report.table(titles, lines, titles[2:4] + titles[5:6])
        text += "\nThe last column is of times in the same rounds, and above 1 vkinfer is faster.\n"
    if out["verify"]:
        text += "\n## verify\n\n"
    for v in out["verify"]:
        text += f"- {', '.join(v['models'])}: {'ok' if v['ok'] else 'FAILED'}; {v['layers']} results of layers alone, {v['networks']} of networks"
        text += "".join(f"; not there: {u}" for u in v["unavailable"]) + (f"; ended early: {v['ended']}" if v["ended"] else "") + "\n"
    if out["absent"]:
        text += "\n## Peers that did not take part\n\n" + "".join(f"- {a}\n" for a in out["absent"])
    bad = [s for s in out["steps"] if s["status"] != "ok"]
    text += f"\n## Steps\n\n{len(out['steps']) - len(bad)} of {len(out['steps'])} ok, {sum(int(s['seconds']) for s in out['steps'])} s.\n"
    if bad:
        text += "\n" + report.table(["step", "what", "s"], [[s["step"], s["status"], s["seconds"]] for s in bad], ["s"])
    return text


def main():
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        sys.exit("usage: summary.py FOLDER, as gpu-report.sh fills it")
    folder = sys.argv[1]
    benches, peers = list(load(folder, "bench-*.jsonl")), list(load(folder, "peers-*.json"))
    device = next((report.find_device([d], "vulkan") for ds in load(folder, "devices.json") for d in ds if d.get("default")), {})
    if benches and benches[0]["device"] != device.get("name"):
        device = {"name": benches[0]["device"], "driver": benches[0]["driver"]}
    verify = [{"models": v["settings"]["models"], "ok": v["ok"], "layers": len(v.get("ops") or []), "networks": len(v.get("networks") or []),
               "ended": v.get("ended", ""), "unavailable": [f"{u['precision']} {u['kernels']}: {u['why']}" for u in v.get("unavailable") or []]}
              for v in load(folder, "verify-*.json")]
    commits = sorted({f"{b['commit'] or b['version']}, {b['go']}" for b in benches} | {p["vkinfer"].get("commit") or "" for p in peers} - {""})
    absent = sorted({f"{r['engine']}{' at batch ' + str(r['batch']) if r['batch'] else ''}, {r['model']}: {r['status']}: {r['why']}" for p in peers for r in p["results"] if r["status"] != "ok"})
    out = {"device": device, "commits": commits, "rows": rows_of(benches, peers), "verify": verify, "absent": absent, "steps": steps(folder)}
    data.write_json(os.path.join(folder, "summary.json"), out)
    print(markdown(out), end="")


if __name__ == "__main__":
    main()
