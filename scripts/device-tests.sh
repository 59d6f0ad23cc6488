#!/usr/bin/env bash
# The tests that run on every driver (make conformance): the device code's own, every layer shape by itself,
# and whole networks against goldens, against each other, and with every switch.
#
#   scripts/device-tests.sh [GO TEST FLAGS]
#
# Choose the driver by VK_DRIVER_FILES (see with-driver.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

# TestMutant without a fault has a look by every layer at once, the validation layers among them.
networks=(TestDevice TestInvariances TestSwitches TestProcesses TestAgree TestFingerprint TestMutant)
# A renamed test must not drop out in silence.
for name in TestOps "${networks[@]}"; do
  grep -q "^func $name" tests/*_test.go || {
    echo "device-tests: tests/ has no $name... any more" >&2
    exit 1
  }
done

# The device code's tests switch validation on themselves and also test it off, which the variable would forbid.
# In the short form, like the networks: make test runs the long one on the system's driver.
env -u VKINFER_VALIDATION go test -count=1 -short "$@" ./gpu/...
go test -count=1 "$@" -run '^TestOps' ./tests
run=$(IFS='|' && echo "^(${networks[*]})")
go test -count=1 -short "$@" -run "$run" ./tests
