#!/usr/bin/env bash
# No leak and no wrong access when the tree is read.  Usage: valgrind.sh XRAYFS
set -euo pipefail
xrayfs=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$(dirname "$0")/../examples/make-demo.sh" "$work/demo.img"
qemu-img convert -c -O qcow2 "$work/demo.img" "$work/demo.qcow2"

run () { valgrind -q --leak-check=full --errors-for-leak-kinds=definite,indirect,possible --error-exitcode=99 "$@" > /dev/null; }

for image in "$work/demo.img" "$work/demo.qcow2"; do
  run "$xrayfs" report --format json "$image"
  run "$xrayfs" ls -lR "$image"
  run "$xrayfs" cat "$image" disk
  run "$xrayfs" check "$image" || [ $? = 1 ]
done
