#!/usr/bin/env bash
# Runs a command on one of the drivers that get-drivers.sh fetches.
#
#   scripts/with-driver.sh DEST SET COMMAND ...
#
# Where the driver cannot be had the command is skipped, loudly; VKINFER_REQUIRE_DRIVERS, a comma list of sets,
# turns the skip into a failure.
set -euo pipefail

dest=$1 set=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)

if ! "$root/scripts/get-drivers.sh" "$dest" "$set"; then
  case ,${VKINFER_REQUIRE_DRIVERS-}, in
    *,"$set",*)
      echo "FAIL: no $set, and VKINFER_REQUIRE_DRIVERS=$VKINFER_REQUIRE_DRIVERS asks for it" >&2
      exit 1
      ;;
  esac
  echo "SKIPPED: no $set here, so this did not run: $*" >&2
  exit 0
fi

dest=$(cd "$dest" && pwd)
case $set in
  swiftshader) manifest=swsh ;;
  lavapipe25) manifest=lvp25 ;;
  trixie)
    manifest=lvp26
    export VK_LAYER_PATH=$dest/trixie/usr/share/vulkan/explicit_layer.d
    # The heuristic that lets these layers see hazards in shaders is off by default.
    export VK_LAYER_SYNCVAL_SHADER_ACCESSES_HEURISTIC=1
    ;;
esac
export VK_DRIVER_FILES=$dest/icd/$manifest.json
export VK_ICD_FILENAMES=$VK_DRIVER_FILES # the name that loaders before 1.3.207 know
export MESA_SHADER_CACHE_DIR=$root/build/shader-cache/$manifest
mkdir -p "$MESA_SHADER_CACHE_DIR"
echo "on $set: $*"
exec "$@"
