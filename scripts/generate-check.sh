#!/usr/bin/env bash
# Checks that the committed SPIR-V and its reflection are what the shaders compile to, in a copy: the working
# tree is not touched.
#
# The bytes depend on the compiler's version. With another glslang than the one below only the reflection is
# compared, and that is said; VKINFER_REQUIRE_GENERATE=1 turns it into a failure.
set -euo pipefail

want=12.0.0
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$root/build/generate-check
cd "$root"

command -v glslangValidator >/dev/null || {
  echo "generate-check: no glslangValidator; scripts/install-deps.sh test installs it" >&2
  exit 1
}
have=$(glslangValidator --version | sed -n 's/^Glslang Version: [0-9]*:\([0-9.]*\).*/\1/p')

rm -rf "$copy"
mkdir -p "$copy"
cp -R go.mod go.sum shaders "$copy"
(cd "$copy" && go generate ./shaders/...)

if [ "$have" = "$want" ]; then
  compare=(shaders)
else
  echo "generate-check: glslang $have here, the committed SPIR-V is from $want: bytes NOT compared, only what they declare" >&2
  [ "${VKINFER_REQUIRE_GENERATE-}" != 1 ] || exit 1
  compare=(shaders/zkernels.go)
fi
for path in "${compare[@]}"; do
  diff -r "$path" "$copy/$path" || {
    echo "generate-check: $path is not what the shaders compile to: run make generate and commit the result" >&2
    exit 1
  }
done
modules=(shaders/spv/*.spv)
if command -v spirv-val >/dev/null; then
  for module in "${modules[@]}"; do spirv-val --target-env vulkan1.1 "$module"; done
fi
rm -rf "$copy"
echo "generate-check: ${#modules[@]} modules are what the shaders compile to (glslang $have)"
