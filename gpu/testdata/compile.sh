#!/bin/sh
# Compiles the tests' kernels with glslangValidator 12; the results are committed.
set -e
cd "$(dirname "$0")"
for f in *.comp; do glslangValidator --quiet --target-env vulkan1.1 -o "${f%.comp}.spv" "$f"; done
