#!/usr/bin/env bash
# xrayfs(5) has every path that the demo image shows.
. "${srcdir:-.}/tests/functions.sh"
requires mke2fs sfdisk cpio zstd

"$srcdir/examples/make-demo.sh" "$tmp/demo.img"
"$XRAYFS" export "$tmp/demo.img" "$tmp/out"
(cd "$tmp/out" && find . -type f ! -path './evidence/*') |
  sed -e 's|^\./||' -e 's|^partitions/[0-9]*|partitions/<N>|' -e 's|^integrity/partition-[0-9]*|integrity/partition-<N>|' -e 's|^os/kernels/[^/]*|os/kernels/<version>|' \
    -e 's|^import/[^/]*|import/<policy>|' -e 's|/codes/.*|/codes/<Code>|' -e 's|/reasons/.*|/reasons/<Code>|' |
  sort -u > "$tmp/paths"
while read -r path; do
  grep -qxF ".B $path" "$builddir/man/xrayfs.5" || fail "$path is not in xrayfs(5)"
done < "$tmp/paths"
[ "$(wc -l < "$tmp/paths")" -gt 80 ] || fail "too few paths"
