#!/usr/bin/env bash
# Runs the conformance suite (device-tests.sh) on one driver after the other, and says at the end how long each
# took, which failed, and which are not to be had here.
#
#   scripts/conformance.sh DEST "SET ..." [GO TEST FLAGS]
#
# DEST is where get-drivers.sh puts drivers; with-driver.sh lists the sets. All sets run whatever fails before.
# VKINFER_REQUIRE_DRIVERS, a comma list of sets, turns a driver that is missing into a failure. The exit status
# is 1 when anything failed.
set -euo pipefail

dest=$1
read -ra sets <<<"$2"
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
skipped=$(mktemp)
trap 'rm -f "$skipped"' EXIT

# A driver that was found but has no device must not pass by skipping every test.
export VKINFER_REQUIRE_DEVICE=1 VKINFER_SKIPPED=$skipped
export VKINFER_VALIDATION=1

status=0 lines=()
for set in "${sets[@]}"; do
  flags=("$@")
  # The set has a C library of its own.
  [ "$set" != trixie ] || flags+=(-exec "$(realpath -m "$dest")/tx")
  begin=$SECONDS verdict=ok
  "$root/scripts/with-driver.sh" "$dest" "$set" "$root/scripts/device-tests.sh" "${flags[@]}" || verdict=FAILED
  if grep -qx -- "$set" "$skipped"; then verdict=skipped; fi
  [ "$verdict" != FAILED ] || status=1
  lines+=("$(printf '%-17s %-8s %4d s' "$set" "$verdict" $((SECONDS - begin)))")
done
echo "conformance:"
printf '  %s\n' "${lines[@]}"
exit $status
