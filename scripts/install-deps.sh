#!/usr/bin/env bash
# Installs what this machine lacks, by apt-get, and says nothing when it lacks nothing.
#
#   scripts/install-deps.sh [build] [run] [test]      default: run
#
#   build  C headers for cgo, and certificates for go's downloads
#   run    the Vulkan loader; Mesa's software driver where there is no Vulkan device
#   test   what run needs, validation layers, glslang and spirv-tools
#
# Whether a Vulkan device is there is asked of bin/vkinfer when it is built ($VKINFER names another one), and
# otherwise guessed from the driver manifests and device files. Needs root or sudo only to install.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
vkinfer=${VKINFER-$root/bin/vkinfer}

say() { printf 'install-deps: %s\n' "$*" >&2; }
usage() {
  sed -n '2,/^set /{/^#/!d;s/^# \{0,1\}//;p}' "$0"
}

# any FILE ...: is there at least one of these (unmatched patterns are not)?
any() {
  local f
  for f; do [ -e "$f" ] && return; done
  return 1
}

# The folders where the loader looks for manifests, one per line, before share/vulkan is added or below it.
data_dirs() {
  local IFS=:
  # shellcheck disable=SC2086 # split at the colons
  printf '%s/vulkan\n' ${XDG_CONFIG_HOME:-${HOME-}/.config} ${XDG_CONFIG_DIRS:-/etc/xdg} /etc /usr/local/etc \
    ${XDG_DATA_HOME:-${HOME-}/.local/share} ${XDG_DATA_DIRS:-/usr/local/share:/usr/share} /usr/share
}

# drivers prints the driver manifests of this machine, one per line.
drivers() {
  local dir f IFS=:
  if [ -n "${VK_DRIVER_FILES-}${VK_ICD_FILENAMES-}" ]; then
    # shellcheck disable=SC2086
    printf '%s\n' ${VK_DRIVER_FILES:-${VK_ICD_FILENAMES}}
    return
  fi
  # shellcheck disable=SC2086
  [ -z "${VK_ADD_DRIVER_FILES-}" ] || printf '%s\n' ${VK_ADD_DRIVER_FILES}
  data_dirs | while read -r dir; do
    for f in "$dir"/icd.d/*.json; do [ ! -e "$f" ] || printf '%s\n' "$f"; done
  done
}

has_loader() {
  PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so' ||
    any /usr/lib/*/libvulkan.so* /usr/lib64/libvulkan.so* /usr/lib/libvulkan.so* /usr/local/lib/libvulkan.so*
}

# has_device: can a program compute? The program's own answer counts; exit status 4 means no usable device.
has_device() {
  local status=0 manifest
  if [ -x "$vkinfer" ] && has_loader; then
    "$vkinfer" devices >/dev/null 2>&1 || status=$?
    case $status in
      0) return 0 ;;
      4) return 1 ;;
    esac # anything else is no answer
  fi
  while read -r manifest; do
    [ -e "$manifest" ] || continue
    case ${manifest##*/} in
      # Drivers that compute on the CPU are there when their manifest is; the others need their hardware.
      lvp* | *swiftshader* | swsh*) return 0 ;;
      *nvidia*) any /dev/nvidia[0-9]* && return 0 ;;
      dzn*) any /dev/dxg && return 0 ;;
      *) any /dev/dri/renderD* /dev/kgsl* /dev/mali* && return 0 ;;
    esac
  done < <(drivers)
  return 1
}

has_layer() {
  local dir
  if [ -n "${VK_LAYER_PATH-}" ]; then
    any "${VK_LAYER_PATH%%:*}"/VkLayer_khronos_validation.json && return
  fi
  while read -r dir; do
    any "$dir"/explicit_layer.d/VkLayer_khronos_validation.json && return
  done < <(data_dirs)
  return 1
}

has_headers() { printf '#include <dlfcn.h>\n#include <stdint.h>\n' | ${CC:-gcc} -E - >/dev/null 2>&1; }
has_certificates() {
  [ -n "${SSL_CERT_FILE-}${SSL_CERT_DIR-}" ] || any /etc/ssl/certs/*.pem /etc/ssl/certs/*.crt /etc/pki/tls/certs/*.crt /etc/ssl/cert.pem
}
has() { command -v "$1" >/dev/null; }

# missing GROUP: prints "package<tab>what it is for" for each thing that is not there.
missing() {
  case $1 in
    build)
      has_headers || printf 'libc6-dev\tC headers for cgo\n'
      has_certificates || printf "ca-certificates\tcertificates for go's downloads\n"
      ;;
    run)
      has_loader || printf 'libvulkan1\tthe Vulkan loader, libvulkan.so.1\n'
      has_device || printf "mesa-vulkan-drivers\tMesa's Vulkan drivers, also for the CPU (lavapipe)\n"
      ;;
    test)
      missing run
      has_layer || printf 'vulkan-validationlayers\tthe Khronos validation layer\n'
      has glslangValidator || printf 'glslang-tools\tglslangValidator, the shader compiler\n'
      has spirv-val || printf 'spirv-tools\tspirv-val, the shader checker\n'
      ;;
  esac
}

# as_root COMMAND ...: runs it as root, or fails when that cannot be had without waiting for a password that
# nobody is there to type.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

# install PACKAGE ...: what apt-get has to say is shown only when it fails, and then not all of it.
install() {
  local log status=0
  local env=(env DEBIAN_FRONTEND=noninteractive)
  local apt=(apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
    -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0)
  log=$(mktemp)
  # A list that cannot be renewed matters only if the packages cannot be had either.
  as_root "${env[@]}" "${apt[@]}" update >"$log" 2>&1 || true
  as_root "${env[@]}" "${apt[@]}" install -y --no-install-recommends "$@" >>"$log" 2>&1 || status=$?
  if [ $status -ne 0 ]; then
    grep -v '^[EW]:' "$log" | tail -n 3 >&2 || true
    grep '^[EW]:' "$log" | tail -n 5 >&2 || true
  fi
  rm -f "$log"
  return $status
}

groups=()
for arg; do
  arg=${arg#--} # --test is test
  case $arg in
    build | run | test) groups+=("$arg") ;;
    -h | help)
      usage
      exit 0
      ;;
    *)
      say "no such group: $arg (there are build, run and test)"
      exit 2
      ;;
  esac
done
[ ${#groups[@]} -gt 0 ] || groups=(run)

find_missing() {
  local group
  for group in "${groups[@]}"; do missing "$group"; done | sort -u
}

# What is missing can show in two steps: whether there is a device is known only once there is a loader.
before=""
while lacking=$(find_missing) && [ -n "$lacking" ]; do
  mapfile -t packages < <(cut -f1 <<<"$lacking")
  command="apt-get update && apt-get install --no-install-recommends ${packages[*]}"
  if [ "$lacking" = "$before" ]; then
    advice="installed, and still not found:"
  elif ! has apt-get; then
    advice="this machine has no apt-get; install these with its own package manager:"
  elif [ "$(id -u)" != 0 ] && ! has sudo; then
    advice="this user is not root and there is no sudo; let somebody with the right run: $command"
  else
    say "installing ${packages[*]}"
    install "${packages[@]}" && before=$lacking && continue
    advice="apt-get failed (see above: no network, or no right to install?); later run again, or: $command"
  fi
  say "$advice"
  while IFS=$'\t' read -r package purpose; do
    printf '  %s (Debian and Ubuntu: %s)\n' "$purpose" "$package" >&2
  done <<<"$lacking"
  exit 1
done
