#!/usr/bin/env bash
# Unpacks Vulkan drivers that need no GPU, and newer shader tools, under one directory. The system is left as
# it is: packages are downloaded and unpacked, never installed, and no root is needed.
#
#   scripts/get-drivers.sh [DEST [SET ...]]        DEST defaults to build/drivers; without SET, all of them
#
#   swiftshader  a second, independent driver (from chromium-common): icd/swsh.json
#   lavapipe25   Mesa's driver, version 25 (from the backports):      icd/lvp25.json
#   trixie       Mesa's driver, version 26, with matrix units, a loader, validation layers 1.4, glslang 15,
#                glslc and spirv-tools (from Debian 13):              icd/lvp26.json
#                They need their own C library: run programs through DEST/tx, tests with go test -exec DEST/tx.
#
# A driver is chosen per process: VK_DRIVER_FILES=DEST/icd/swsh.json vkinfer devices
# A set that is there already is not fetched again; remove its directory to renew it. Debian 12 on amd64 only:
# the packages come from where this machine's own apt sources point, checked with its keyring.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
triple=x86_64-linux-gnu
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { printf 'get-drivers: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}
usage() {
  sed -n '2,/^set /{/^#/!d;s/^# \{0,1\}//;p}' "$0"
}

# have SET: is it unpacked?
have() { [ -e "$dest/$(library "$1")" ]; }

# library SET: the driver's file below DEST.
library() {
  case $1 in
    swiftshader) echo "swiftshader/libvk_swiftshader.so" ;;
    lavapipe25) echo "mesa25/usr/lib/$triple/libvulkan_lvp.so" ;;
    trixie) echo "trixie/usr/lib/$triple/libvulkan_lvp.so" ;;
  esac
}

check_system() {
  local why=""
  # shellcheck source=/dev/null
  if [ "$(uname -s)" != Linux ] || ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    why="it has no apt-get"
  elif [ "$(. /etc/os-release && echo "${VERSION_CODENAME-}")" != bookworm ]; then
    why="it is $(. /etc/os-release && echo "${PRETTY_NAME-something else}")"
  elif [ "$(dpkg --print-architecture)" != amd64 ]; then
    why="it is $(dpkg --print-architecture)"
  elif [ ! -r "$keyring" ]; then
    why="it lacks debian-archive-keyring"
  fi
  [ -z "$why" ] || die "this works on Debian 12 on amd64, and this machine is another: $why.
Elsewhere: build SwiftShader or take it from a Chromium or Chrome that ships libvk_swiftshader.so, and write
$dest/icd/swsh.json, a Vulkan driver manifest with its absolute path. For Mesa's driver use the system's package."
}

# mirror SUITE: the base address from which this machine's apt gets that suite's main component.
# (--no-release-info: also where no list was downloaded yet.)
mirror() {
  # shellcheck disable=SC2016 # apt expands these
  apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v suite="$1" '$1 == suite && $2 == "main" && !found { found = 1; print $3 }'
}

# apt_root DIR SUITE ...: prepares an apt of its own below DIR, with nothing installed, that knows these
# Debian suites; "apt DIR ..." then runs apt-get in it. The machine's proxy settings still apply.
apt_root() {
  local dir=$1 suite
  shift
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/none"
  : >"$dir/status"
  for suite; do
    case $suite in
      *-security) [ -z "$security" ] || echo "deb [signed-by=$keyring] $security $suite main" ;;
      *) echo "deb [signed-by=$keyring] $main $suite main" ;;
    esac
  done >"$dir/sources.list"
  cat >"$dir/apt.conf" <<CONF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
Dir::Etc::SourceList "$dir/sources.list";
Dir::Etc::SourceParts "$dir/none";
Dir::Etc::Preferences "$dir/none/preferences";
Dir::Etc::PreferencesParts "$dir/none";
Dir::State::Lists "$dir/lists";
Dir::State::Status "$dir/status";
Dir::State::Extended_States "$dir/extended";
Dir::Cache "$dir/cache";
Dir::Log "$dir";
APT::Install-Recommends "0";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
APT::Keep-Downloaded-Packages "1";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Debug::NoLocking "1";
CONF
  private_apt "$dir" update || die "the package lists cannot be had from ${main}: is the network there? Nothing was changed."
}
private_apt() {
  local dir=$1
  shift
  # In the machine's own environment, but for its configuration file, which would come too early to win.
  (cd "$dir" && apt-get -c "$dir/apt.conf" -qq "$@")
}

# bookworm_root: the private apt of this release, made at most once.
bookworm_root() {
  [ -d "$work/bookworm" ] || apt_root "$work/bookworm" bookworm bookworm-security bookworm-backports
}

get_swiftshader() {
  bookworm_root
  private_apt "$work/bookworm" download chromium-common
  mkdir "$work/swiftshader"
  dpkg-deb --fsys-tarfile "$work"/bookworm/chromium-common_*.deb |
    tar -x -O -f - ./usr/lib/chromium/libvk_swiftshader.so >"$work/swiftshader/libvk_swiftshader.so"
  mv "$work/swiftshader" "$dest/swiftshader"
}

get_lavapipe25() {
  local deb
  bookworm_root
  private_apt "$work/bookworm" download mesa-vulkan-drivers/bookworm-backports libdrm2/bookworm-backports
  for deb in "$work"/bookworm/{mesa-vulkan-drivers,libdrm2}_*.deb; do dpkg-deb -x "$deb" "$work/mesa25"; done
  mv "$work/mesa25" "$dest/mesa25"
  if ldd "$dest/$(library lavapipe25)" | grep -q 'not found'; then
    say "note: lavapipe25 also needs the libraries of this system's own package mesa-vulkan-drivers"
  fi
}

get_trixie() {
  local deb
  apt_root "$work/apt13" trixie trixie-backports
  private_apt "$work/apt13" install -y --download-only -t trixie-backports \
    mesa-vulkan-drivers libvulkan1 vulkan-tools vulkan-validationlayers glslang-tools glslc spirv-tools >/dev/null
  for deb in "$work"/apt13/cache/archives/*.deb; do dpkg-deb -x "$deb" "$work/trixie"; done
  mv "$work/trixie" "$dest/trixie"
}

# manifests writes what names the drivers by absolute path; done at every run, since DEST may have moved.
manifests() {
  local set name api
  mkdir -p "$dest/icd"
  while read -r set name api; do
    have "$set" || continue
    printf '{"file_format_version": "1.0.0", "ICD": {"api_version": "%s", "library_path": "%s"}}\n' \
      "$api" "$dest/$(library "$set")" >"$dest/icd/$name.json"
  done <<'LIST'
swiftshader swsh 1.3.0
lavapipe25 lvp25 1.4.305
trixie lvp26 1.4.354
LIST
  # Mesa 22 is this release's own, where it is installed.
  if [ -e /usr/share/vulkan/icd.d/lvp_icd.x86_64.json ]; then
    cp /usr/share/vulkan/icd.d/lvp_icd.x86_64.json "$dest/icd/lvp22.json"
  fi
  if have trixie; then
    printf '#!/bin/sh\n# Runs a program with the C library and the libraries of the set beside this file.\n%s %s %s "$@"\n' \
      "exec '$dest/trixie/usr/lib64/ld-linux-x86-64.so.2'" --library-path "'$dest/trixie/usr/lib/$triple'" >"$dest/tx"
    chmod +x "$dest/tx"
  fi
}

case ${1-} in -h | --help)
  usage
  exit 0
  ;;
esac
dest=${1:-$root/build/drivers}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- swiftshader lavapipe25 trixie
for set; do
  [ -n "$(library "$set")" ] || {
    say "no such set: $set (there are swiftshader, lavapipe25 and trixie)"
    exit 2
  }
done
mkdir -p "$dest"
dest=$(cd "$dest" && pwd)

missing=()
for set; do have "$set" || missing+=("$set"); done
if [ ${#missing[@]} -gt 0 ]; then
  check_system
  main=$(mirror bookworm)
  security=$(mirror bookworm-security)
  [ -n "$main" ] || die "apt-get knows no source for bookworm main: add one to the machine's apt sources"
  exec 9>"$dest/.lock"
  flock 9
  work=$(mktemp -d "$dest/.work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  for set in "${missing[@]}"; do
    have "$set" && continue # another run was faster
    say "fetching $set"
    "get_$set"
  done
fi
manifests
