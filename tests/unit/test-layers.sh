#!/usr/bin/env bash
# A room of src/ includes its own headers and those below, never upwards; and nothing below the front knows FUSE or prints.
. "${srcdir:-.}/tests/functions.sh"

order="base block format volume fs inspect policy tree front"

for room in $order; do
  above=${order#*"$room"}
  for up in $above; do
    if grep -nE "#include \"$up/" -r "$srcdir/src/$room"; then
      fail "$room includes a header of $up"
    fi
  done
done

below=${order% front}
for room in $below; do
  if grep -nE '#include <fuse|[^a-z_]f?printf \(|[^a-z_]puts \(|perror \(|syslog \(' -r "$srcdir/src/$room"; then
    fail "$room knows FUSE, prints or logs"
  fi
done
