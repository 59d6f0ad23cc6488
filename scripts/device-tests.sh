#!/usr/bin/env bash
# The tests that run on every further driver: the device code's own, and those in tests/ that use a device.
#
#   scripts/device-tests.sh [GO TEST FLAGS]
#
# Choose the driver by VK_DRIVER_FILES (see with-driver.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

# Whole networks against goldens, and every layer shape by itself; the short form, since the system's driver
# has run the long one. A renamed test must not drop out in silence.
for name in TestOps TestDevice; do
  grep -q "^func $name" tests/*_test.go || {
    echo "device-tests: tests/ has no $name... any more" >&2
    exit 1
  }
done

# The device code's tests switch validation on themselves and also test it off, which the variable would forbid.
env -u VKINFER_VALIDATION go test -count=1 "$@" ./gpu/... ./tests/conformance/...
go test -count=1 -short "$@" -run '^(TestOps|TestDevice)' ./tests
