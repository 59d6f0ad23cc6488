#!/usr/bin/env bash
# Runs a command on a Vulkan driver of its own.
#
#   scripts/with-driver.sh DEST SET COMMAND ...
#
#   system            what this machine has (or VK_DRIVER_FILES names)
#   lavapipe-width4   Mesa's software driver of this machine with 4 lanes to a subgroup instead of 8
#   lavapipe-width16  the same with 16
#   swiftshader, lavapipe25, trixie   what get-drivers.sh fetches to DEST
#   both              SwiftShader beside Mesa's software driver of this machine: two devices
#
# Where the driver cannot be had the command is skipped, loudly; VKINFER_REQUIRE_DRIVERS, a comma list of sets,
# turns the skip into a failure. VKINFER_SKIPPED names a file to which the sets that were skipped are added.
set -euo pipefail

dest=$1 set=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)

# The manifest of the system's own lavapipe.
own_lavapipe() {
  local f
  for f in /usr/share/vulkan/icd.d/lvp_icd*.json /usr/local/share/vulkan/icd.d/lvp_icd*.json; do
    [ ! -e "$f" ] || {
      echo "$f"
      return
    }
  done
  echo "with-driver: Mesa's lavapipe is not installed here; scripts/install-deps.sh run installs it" >&2
  return 1
}

available() {
  case $set in
    system) return 0 ;;
    lavapipe-width*) manifest_file=$(own_lavapipe) ;;
    both) "$root/scripts/get-drivers.sh" "$dest" swiftshader && manifest_file=$(own_lavapipe):$(realpath -m "$dest")/icd/swsh.json ;;
    *) "$root/scripts/get-drivers.sh" "$dest" "$set" ;;
  esac
}

if ! available; then
  case ,${VKINFER_REQUIRE_DRIVERS-}, in
    *,"$set",*)
      echo "FAIL: no $set, and VKINFER_REQUIRE_DRIVERS=$VKINFER_REQUIRE_DRIVERS asks for it" >&2
      exit 1
      ;;
  esac
  echo "SKIPPED: no $set here, so this did not run: $*" >&2
  [ -z "${VKINFER_SKIPPED-}" ] || echo "$set" >>"$VKINFER_SKIPPED"
  exit 0
fi

case $set in
  system) ;;
  both) export VKINFER_TWO_DRIVERS=1 ;;
  lavapipe-width*)
    # In bits: a lane has 32. Mesa's cache does not know the width, hence one directory for each.
    export LP_NATIVE_VECTOR_WIDTH=$((32 * ${set#lavapipe-width}))
    ;;
  *)
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
    manifest_file=$dest/icd/$manifest.json
    ;;
esac
if [ -n "${manifest_file-}" ]; then
  export VK_DRIVER_FILES=$manifest_file
  export VK_ICD_FILENAMES=$VK_DRIVER_FILES # the name that loaders before 1.3.207 know
fi
# Mesa's driver of both is that of system.
export MESA_SHADER_CACHE_DIR=$root/build/shader-cache/${set/#both/system}
mkdir -p "$MESA_SHADER_CACHE_DIR"
echo "on $set: $*"
exec "$@"
