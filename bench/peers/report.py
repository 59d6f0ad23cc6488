"""The results as markdown. Standard library only."""

import statistics


# A machine whose cores others take more of than this is not quiet.
QUIET = 0.1


def find_device(devices, wanted):
    """The device of `vkinfer devices -o json` that --device means."""
    for d in devices:
        if wanted in (d["device"], "vulkan" if d["default"] else "") or (wanted not in ("vulkan", "cpu") and wanted.lower() in d["name"].lower()):
            return {k: d[k] for k in ("device", "name", "driver", "driver_version", "api_version") if k in d}
    return {"name": wanted}


def figure(v):
    """Three significant digits."""
    if v >= 100:
        return f"{v:.0f}"
    return f"{v:.1f}" if v >= 10 else f"{v:.2f}"


def table(titles, rows, right=()):
    lines = ["| " + " | ".join(titles) + " |", "|" + "|".join("---:" if t in right else "---" for t in titles) + "|"]
    lines += ["| " + " | ".join(str(c).replace("|", "\\|") for c in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def ratio(r):
    if "ratio" not in r:
        return "–"
    v = r["ratio"]
    return f"**{figure(v['median'])}** ({figure(v['min'])} … {figure(v['max'])})"


def heading(out):
    m, d, v = out["machine"], out["device"], out["vkinfer"]
    load = f"load average {m['load']:.1f} before" + (f", {m['load_after']:.1f} after" if "load_after" in m else "")
    commit = (v.get("commit") or "unknown") + ("+modified" if v.get("modified") else "")
    others = [r["others"] for r in out["results"] if r.get("others") is not None]
    if others:
        load += f"; while somebody was timed, processes of others took {100 * statistics.median(others):.0f} % of the cores (median; at most {100 * max(others):.0f} %)"
        if statistics.median(others) > QUIET:
            load += ". **So it was not quiet**: threads that wait for each other suffer most, and the least times say more than the medians"
    return f"""- date: {out['date']}
- machine: {m['cpu']}, {m['cores']} cores used; {m['system']}; {load}
- Vulkan device: {d.get('name')}, {d.get('driver', '')}
- vkinfer: commit {commit}
- command: `{out['command']}`
- figures: median of at most {out["rounds"]} interleaved rounds, with the least and the largest. Ratio: time divided by vkinfer's in the
  same round, so above 1 vkinfer is faster. "transfers": picture in host memory to logits in host memory; "resident":
  input and output stay on the device
"""


def speeds(out, model):
    rows = [r for r in out["results"] if r["model"] == model and r["batch"]]
    lines = []
    for r in sorted(rows, key=lambda r: (r["batch"], r["kind"] or "", r.get("rank", 1000), r["engine"])):
        others = f"{100 * r['others']:.0f} %" if r.get("others") is not None else "–"
        off = f"{r['plain']:.1e} / {r['centred']:.1e}" if "plain" in r else "–"
        first = [r["batch"], r["engine"], r["precision"], r["kind"] or "–"]
        if r["status"] == "ok":
            ms = r["ms_per_image"]
            lines.append(first + [f"{figure(ms['median'])} ({figure(ms['min'])} … {figure(ms['max'])})", figure(r["images_per_second"]), ratio(r), figure(r["ratio_of_least"]) if "ratio_of_least" in r else "–", others, off])
        else:
            lines.append(first + [f"{r['status']}: {r['why']}", "–", "–", "–", "–", off])
    if not lines:
        return ""
    titles = ["batch", "engine", "precision", "measured", "ms/image", "images/s", "time / vkinfer's", "least / vkinfer's least", "cores taken by others", "error of the logits: plain / centred"]
    return table(titles, lines, ("batch", "images/s"))


def starts(out):
    rows = []
    for s in out["starts"]:
        cell = lambda v: f"{figure(v['median'] / 1e3)} ({figure(v['first'] / 1e3)})" if v else "–"  # noqa: E731
        rows.append([s["model"], s["engine"], cell(s["first_ms"]), cell(s["process_ms"])])
    if not rows:
        return ""
    text = "\n## Start to first answer\n\nSeconds, batch 1, median, and in parentheses the first start of this measurement. In the process: from before loading\nweights and libraries to the first logits. Of the process: the whole program, Python's start included.\n\n"
    return text + table(["model", "engine", "in the process", "of the process"], rows, ("in the process", "of the process"))


def absent(out):
    """Who did not take part, once per reason."""
    reasons = {}
    for r in out["results"]:
        if not r["batch"]:
            reasons.setdefault((r["engine"], f"{r['status']}: {r['why']}"), []).append(r["model"])
    if not reasons:
        return ""
    return "\n## Not there\n\n" + "".join(f"- {engine}: {why} ({', '.join(models)})\n" for (engine, why), models in reasons.items())


def markdown(out):
    text = heading(out)
    models = list(dict.fromkeys(r["model"] for r in out["results"]))
    for model in models:
        body = speeds(out, model)
        if body:
            text += f"\n## {model}\n\n{body}"
    versions = sorted({r["version"] for r in out["results"] if r["version"] and r["group"] != "vkinfer"})
    text += starts(out) + absent(out)
    if versions:
        text += "\nVersions: " + "; ".join(versions) + ".\n"
    return text
