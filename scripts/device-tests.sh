#!/usr/bin/env bash
# The tests that run on every further driver: the device code's own, conformance, and goldens of whole networks.
#
#   scripts/device-tests.sh [GO TEST FLAGS]
#
# Choose the driver by VK_DRIVER_FILES (see with-driver.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

goldens='^TestDeviceGolden'
# A renamed test must not drop out in silence.
grep -q '^func TestDeviceGolden' tests/*_test.go || {
  echo "device-tests: tests/ has no test that matches $goldens" >&2
  exit 1
}

# The device code's tests switch validation on themselves and also test it off, which the variable would forbid.
env -u VKINFER_VALIDATION go test -count=1 "$@" ./gpu/... ./tests/conformance/...
go test -count=1 "$@" -run "$goldens" ./tests
