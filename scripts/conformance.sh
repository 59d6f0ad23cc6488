#!/usr/bin/env bash
# Runs the conformance suite (device-tests.sh) on several drivers, and says at the end how long each took, which
# failed, and which are not to be had here.
#
#   scripts/conformance.sh DEST "SET ..." [GO TEST FLAGS]
#
# DEST is where get-drivers.sh puts drivers; with-driver.sh lists the sets. All sets run whatever fails before, JOBS
# at a time (2: software drivers compile on one core while the others idle); what each prints comes when it has
# ended. VKINFER_REQUIRE_DRIVERS, a comma list of sets, turns a driver that is missing into a failure. The exit status
# is 1 when anything failed.
set -euo pipefail

dest=$1
read -ra sets <<<"$2"
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)

# A driver that was found but has no device must not pass by skipping every test.
export VKINFER_REQUIRE_DEVICE=1 VKINFER_SKIPPED=$work/skipped
export VKINFER_VALIDATION=1
touch "$VKINFER_SKIPPED"

set -m # every set in a process group of its own, which can be ended as a whole
declare -A running=() # process to set
cleanup() {
  for pid in "${!running[@]}"; do kill -- "-$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

run_set() {
  local set=$1
  shift
  # The set has a C library of its own.
  [ "$set" != trixie ] || set -- "$@" -exec "$(realpath -m "$dest")/tx"
  local begin=$SECONDS verdict=ok tests=("$root/scripts/device-tests.sh" "$@")
  # Each of the two has all tests by itself.
  [ "$set" != both ] || tests=(go test -count=1 "$@" -run '^TestTwoDrivers$' .)
  "$root/scripts/with-driver.sh" "$dest" "$set" "${tests[@]}" || verdict=FAILED
  if grep -qx -- "$set" "$VKINFER_SKIPPED"; then verdict=skipped; fi
  printf '%-17s %-8s %4d s\n' "$set" "$verdict" $((SECONDS - begin)) >"$work/$set.verdict"
  [ "$verdict" != FAILED ]
}

status=0
# Waits for one of the sets that run, and prints what it had to say.
reap() {
  local pid code=0
  wait -n -p pid "${!running[@]}" || code=$?
  [ $code = 0 ] || status=1
  cat "$work/${running[$pid]}.log"
  unset "running[$pid]"
}

for set in "${sets[@]}"; do
  while ((${#running[@]} >= ${JOBS:-2})); do reap; done
  echo "conformance: $set begins"
  run_set "$set" "$@" >"$work/$set.log" 2>&1 </dev/null &
  running[$!]=$set
done
while ((${#running[@]} > 0)); do reap; done

echo "conformance:"
for set in "${sets[@]}"; do
  sed 's/^/  /' "$work/$set.verdict" 2>/dev/null || echo "  $set ended without a verdict"
done
exit $status
