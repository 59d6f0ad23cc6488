#!/usr/bin/env bash
# Gets weights for a model and classifies a picture with bin/vkinfer (make run).
#
#   scripts/demo.sh MODEL PICTURE
#
# The weights are fetched where the network allows it, and made up otherwise.
set -euo pipefail

model=$1 picture=$2
root=$(cd "$(dirname "$0")/.." && pwd)
vkinfer=$root/bin/vkinfer

status=0
weights=$("$vkinfer" fetch "$model") || status=$?
case $status in
  0) ;;
  130) exit 130 ;; # interrupted
  *)
    weights=$root/build/$model.synth.safetensors
    mkdir -p "$root/build"
    "$vkinfer" synth "$model" -o "$weights" --seed 1 >/dev/null
    echo "The published weights could not be fetched (see above), so these are random ones: the network runs as"
    echo "it would, but THE LABELS BELOW MEAN NOTHING. With a checkpoint of your own:"
    echo "  bin/vkinfer classify $model --checkpoint FILE.pth PICTURE ..."
    echo
    ;;
esac >&2
exec "$vkinfer" classify "$model" --checkpoint "$weights" "$picture"
