#!/usr/bin/env bash
# Everything one wants to know of a GPU machine, in one go: gpu-report.sh [OPTION...]
#
#   --vkinfer FILE      the program (VKINFER, or bin/vkinfer): no Go and no network are needed here
#   --device DEVICE     vulkan, vulkan:N or a part of its name (DEVICE)
#   --parts LIST        devices,verify,bench,profile,peers,summary: these parts only (PARTS)
#   --models LIST       (MODELS) all three
#   --batches LIST      of bench and peers (BATCHES) 1,2,4,8,16,32,64,128,256,512,1024
#   --profile-batches LIST  (PROFILE_BATCHES) 1,256
#   --compile-batches LIST  of peers that compile for each batch (COMPILE_BATCHES) 1,64,256,1024
#   --precisions LIST   (PRECISIONS) float32,amp
#   --kernels LIST      of bench (KERNELS) auto,lane: the device's and those for CPUs, to compare
#   --verify-flags STRING  (VERIFY_FLAGS) further ones, such as "--only network,replays"; verify covers all precisions
#   --groups LIST       of peers: cpu, vulkan, cuda, cuda-max (GROUPS_OF_PEERS) cuda
#   --python FILE       the Python that has the peers (PYTHON) python3
#   --budget SECONDS    for everything (BUDGET) 3000; steps that no longer fit are listed as not run
#   --step SECONDS      for one step at most (STEP) 600
#   --out FOLDER        (OUT_DIR) bench/results/<device>-<date>; a folder that is there is added to
#   --tar FILE          pack the folder there at the end (TAR), also after an interruption
#
# Every step fails alone. What was run, for how long and how it ended is in steps.tsv, and what each said in *.log;
# summary.md and summary.json have the rest. The exit status is 0 when all steps went well, 1 when one did not, 2 on
# wrong usage; a precision that a device lacks is no failure.
set -uo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
vkinfer=${VKINFER-$root/bin/vkinfer} device=${DEVICE-vulkan} parts=${PARTS-devices,verify,bench,profile,peers,summary}
models=${MODELS-efficientnet_b1_pruned,efficientnet_b2_pruned,efficientnet_b3_pruned}
batches=${BATCHES-1,2,4,8,16,32,64,128,256,512,1024} profile_batches=${PROFILE_BATCHES-1,256}
compile_batches=${COMPILE_BATCHES-1,64,256,1024} precisions=${PRECISIONS-float32,amp} kernels=${KERNELS-auto,lane} groups=${GROUPS_OF_PEERS-cuda}
python=${PYTHON-python3} budget=${BUDGET-3000} step_limit=${STEP-600} verify_flags=${VERIFY_FLAGS-} out=${OUT_DIR-} tar=${TAR-}

usage() {
  sed -n '2,/^set /{/^#/!d;s/^# \{0,1\}//;p}' "$0"
}
wrong() {
  echo "gpu-report: $*" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
  esac
  [ $# -ge 2 ] || wrong "$1: want a value (--help)"
  case $1 in
    --vkinfer) vkinfer=$2 ;;
    --device) device=$2 ;;
    --parts) parts=$2 ;;
    --models) models=$2 ;;
    --batches) batches=$2 ;;
    --profile-batches) profile_batches=$2 ;;
    --compile-batches) compile_batches=$2 ;;
    --precisions) precisions=$2 ;;
    --verify-flags) verify_flags=$2 ;;
    --kernels) kernels=$2 ;;
    --groups) groups=$2 ;;
    --python) python=$2 ;;
    --budget) budget=$2 ;;
    --step) step_limit=$2 ;;
    --out) out=$2 ;;
    --tar) tar=$2 ;;
    *) wrong "no option $1 (--help)" ;;
  esac
  shift 2
done
for part in ${parts//,/ }; do
  case $part in
    devices | verify | bench | profile | peers | summary) ;;
    *) wrong "no part $part, there are devices, verify, bench, profile, peers and summary" ;;
  esac
done
[[ $budget =~ ^[1-9][0-9]*$ && $step_limit =~ ^[1-9][0-9]*$ ]] || wrong "--budget and --step: want seconds"
command -v "$vkinfer" >/dev/null || wrong "no program $vkinfer, want --vkinfer FILE (make build)"

# The device's name: that of the line marked * where the best device is meant.
if [ -z "$out" ]; then
  name=$device
  if [ "$device" = vulkan ]; then
    name=$("$vkinfer" devices 2>/dev/null | awk -F '  +' '/^\*/ {print $3}')
  fi
  slug=$(tr '[:upper:]' '[:lower:]' <<<"${name:-none}" | sed 's/([^)]*)//g; s/[^a-z0-9]\{1,\}/-/g; s/^-//; s/-$//')
  out=$root/bench/results/$slug-$(date -u +%Y-%m-%d)
fi
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
failed=0 work=
[ -e "$out/steps.tsv" ] || printf 'step\tstatus\tseconds\tcommand\n' >"$out/steps.tsv"

pack() {
  [ -z "$tar" ] || tar -C "$(dirname "$out")" -czf "$tar" "$(basename "$out")"
}
finish() {
  trap - EXIT INT TERM
  local running
  running=$(jobs -p)
  # shellcheck disable=SC2086 # several numbers
  [ -z "$running" ] || kill $running
  [ -z "$work" ] || rm -rf "$work"
  pack
  exit "$1"
}
trap 'finish 130' INT TERM
trap 'finish $failed' EXIT

has() { [[ ,$parts, == *,$1,* ]]; }
left() { echo $((budget - SECONDS)); }
note() { printf '%s\t%s\t%s\t%s\n' "$@" >>"$out/steps.tsv"; }

# step NAME FILE COMMAND ...: standard output to FILE, the rest to NAME.log. What a step that was ended had printed
# stays in FILE. Returns the command's status.
step() {
  local name=$1 file=$2 begin=$SECONDS limit status=0 word
  shift 2
  limit=$(left)
  if [ "$limit" -le 0 ]; then
    note "$name" "not run: the budget of $budget s is spent" 0 "$*"
    failed=1
    return 1
  fi
  [ "$limit" -le "$step_limit" ] || limit=$step_limit
  printf 'gpu-report: %s (at most %d s)\n' "$name" "$limit" >&2
  timeout -k 10 "$limit" "$@" >"$out/$file" 2>"$out/$name.log" </dev/null &
  wait $! || status=$? # as a job, so that an interruption does not wait for it
  case $status in
    0) word=ok ;;
    2 | 4) word="not there: $(said "$name")" ;;
    3) word="CHECK FAILED" ;;
    124) word="longer than $limit s" ;;
    *) word="failed, status $status: $(said "$name")" ;;
  esac
  word=${word//$'\t'/ }
  note "$name" "$word" $((SECONDS - begin)) "$*"
  printf 'gpu-report: %s: %s\n' "$name" "$word" >&2
  case $status in
    0) [ -s "$out/$name.log" ] || rm -f "$out/$name.log" ;;
    2 | 4) [ -s "$out/$file" ] || rm -f "$out/$file" ;;
    *) failed=1 ;;
  esac
  return $status
}

# said NAME: the last line of a log that is not advice.
said() { grep -v "^Run '" "$out/$1.log" | grep . | tail -n 1; }

# each COMMAND: runs it for every network and precision, as COMMAND model precision.
each() {
  local model precision
  for model in ${models//,/ }; do
    for precision in ${precisions//,/ }; do
      "$1" "$model" "$precision"
    done
  done
}

run_verify() {
  # shellcheck disable=SC2086 # several words
  step "verify-$1" "verify-$1.json" "$vkinfer" verify "$1" --device "$device" -o json --report "$out/verify-$1.html" $verify_flags
}
# Lines as they come: what was measured before the time was over is kept. Small batches first, one by one, so that a
# batch that is too large costs only itself.
run_bench() {
  local batch
  for batch in ${batches//,/ }; do
    step "bench-$1-$2-$batch" "bench-$1-$2-$batch.jsonl" "$vkinfer" bench "$1" --device "$device" --precision "$2" --kernels "$kernels" -b "$batch" -o jsonl || {
      case $? in 2 | 4) break ;; esac
    }
  done
}
run_profile() {
  local batch form
  for batch in ${profile_batches//,/ }; do
    for form in json html; do
      step "profile-$1-$2-$batch-$form" "profile-$1-$2-$batch.$form" "$vkinfer" profile "$1" --device "$device" --precision "$2" -b "$batch" -o $form || return
    done
  done
}
run_peers() {
  local limit
  limit=$(left)
  [ "$limit" -le "$step_limit" ] || limit=$step_limit
  # Its own budget is shorter, so that it can end in order.
  step "peers-$1" "peers-$1.md" "$python" "$root/bench/peers/peers.py" "$1" --vkinfer "$vkinfer" --python "$python" --device "$device" \
    --precisions "$precisions" --groups "$groups" -b "$batches" --compile-batches "$compile_batches" --rounds 3 --seconds 0.5 --starts 1 \
    --timeout 240 --budget $((limit * 8 / 10)) --work "$work" --json "$out/peers-$1.json"
}

if has devices; then
  step devices devices.json "$vkinfer" devices -o json
  step doctor doctor.json "$vkinfer" doctor -o json
  step version version.json "$vkinfer" version -o json
  if command -v nvidia-smi >/dev/null; then step nvidia-smi nvidia-smi.txt nvidia-smi -q; fi
  if command -v lscpu >/dev/null; then step lscpu lscpu.txt lscpu; fi
fi
if has verify; then
  for model in ${models//,/ }; do run_verify "$model"; done
fi
if has bench; then each run_bench; fi
if has profile; then
  if "$vkinfer" profile --help >/dev/null 2>&1; then
    each run_profile
  else
    note profile "not there: this program has no such subcommand" 0 "$vkinfer profile"
  fi
fi
if has peers; then
  if command -v "$python" >/dev/null; then
    work=$(mktemp -d)
    for model in ${models//,/ }; do run_peers "$model"; done
  else
    note peers "not there: no $python" 0 "$python"
  fi
fi
if has summary; then
  if command -v "$python" >/dev/null; then
    budget=$((SECONDS + 60)) # whatever was spent: this takes a moment
    step summary summary.md "$python" "$root/bench/peers/summary.py" "$out"
    cat "$out/summary.md"
  else
    echo "gpu-report: no $python, so no summary; see $out" >&2
  fi
fi
echo "gpu-report: $out" >&2
