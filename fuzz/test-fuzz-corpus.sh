#!/usr/bin/env bash
# Each fuzz target replays its corpus: seeds, and what once crashed.
. "${srcdir:-.}/tests/functions.sh"

replayed=0
for corpus in "$srcdir"/fuzz/corpus/*; do
  target=$builddir/fuzz/fuzz-$(basename "$corpus")
  [ -x "$target" ] || fail "there is no target for $corpus"
  timeout 120 "$target" "$corpus" > "$tmp/log" 2>&1 || { cat "$tmp/log"; fail "$target"; }
  replayed=$((replayed + $(find "$corpus" -type f | wc -l)))
done
note "$replayed inputs"
[ "$replayed" -gt 20 ] || fail "the corpus is gone"
