#!/usr/bin/env bash
# What a module says of who built its kernel, beside what packages say.
. "${srcdir:-.}/tests/functions.sh"
. "$srcdir/tests/golden/guests.sh"
requires openssl xz

# byte NUMBER...
byte ()
{
  local n
  for n; do
    # shellcheck disable=SC2059 # the format is an escape
    printf "\\x$(printf %02x "$n")"
  done
}
# module VERSION: an unsigned one on stdout
module () { printf '\177ELF some code\0name=virtio_blk\0vermagic=%s SMP mod_unload \0' "$1"; }
# trailer TYPE NAME-LENGTH KEY-LENGTH SIGNATURE-LENGTH
trailer ()
{
  byte 0 0 "$1" "$2" "$3" 0 0 0 $(($4 >> 24 & 255)) $(($4 >> 16 & 255)) $(($4 >> 8 & 255)) $(($4 & 255))
  printf '~Module signature appended~\n'
}
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/O=Nobody/CN=Some kernel key' \
  -keyout "$tmp/key" -out "$tmp/cert" 2> /dev/null
signed ()
{
  module "$1" > "$tmp/module"
  openssl cms -sign -binary -noattr -nocerts -md sha256 -signer "$tmp/cert" -inkey "$tmp/key" \
    -outform DER -in "$tmp/module" > "$tmp/signature"
  cat "$tmp/module" "$tmp/signature"
  trailer 2 0 0 "$(stat -c %s "$tmp/signature")"
}
native=os/kernels/$v/native
# For the commands.
# shellcheck disable=SC2034
file=kernel/drivers/block/virtio_blk.ko

# evidence TEXT...: of the finding
after_image () { "$XRAYFS" cat "$tmp/disk.img" "evidence/$native" > "$tmp/evidence"; }
evidence ()
{
  local text
  for text; do
    grep -qF "$text" "$tmp/evidence" || { note "'$text' is not said:" >&2; cat "$tmp/evidence" >&2; failed=1; }
  done
}

guest signed has_virtio=yes $native=yes << 'END'
signed "$v" > "$m/$file"
END
evidence "signed by 'Some kernel key'" "built for '$v SMP mod_unload '"

# Packed, of before Linux 4.3, and from another kernel.
guest old has_virtio=yes << 'END'
{ module 3.10.0; printf 'CentOS Linux kernel signing keyKEYSIGNATURE'; trailer 1 31 3 9; } |
  xz > "$m/$file.xz"
rm "$m/$file"
sed -i "s|^$file:|$file.xz:|" "$m/modules.dep"
END
evidence "signed by 'CentOS Linux kernel signing key'" 'which is another kernel'

guest unsigned $native=yes << 'END'
module "$v" > "$m/$file"
END
evidence 'not signed'

# Lengths that lead nowhere.
guest hostile $native=yes << 'END'
{ module "$v"; trailer 2 255 255 4294967295; } > "$m/$file"
END
evidence "signed by '(not named)'"

guest cannot-be-unpacked has_virtio=yes $native=yes << 'END'
printf '\375\067zXZ\0 and so on' > "$m/$file"
END

[ $failed = 0 ]
