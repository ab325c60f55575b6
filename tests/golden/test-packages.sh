#!/usr/bin/env bash
# os/packages equals what dpkg-query, rpm -qa (over its three stores), apk and
# pacman would print.
. "${srcdir:-.}/tests/functions.sh"
requires mke2fs rpm rpmbuild sqlite3 python3 db5.3_load dpkg-query

# guest NAME: an image of $tmp/NAME, a tree with a package database in it
guest ()
{
  mkdir -p "$tmp/$1/etc" "$tmp/$1/usr/bin" "$tmp/$1/bin"
  echo ID=test > "$tmp/$1/etc/os-release"
  rm -f "$tmp/$1.img"
  mke2fs -q -t ext4 -d "$tmp/$1" "$tmp/$1.img" 32M > "$tmp/log"
}

# check NAME: os/packages of the image against $tmp/wanted
check ()
{
  "$XRAYFS" cat "$tmp/$1.img" os/packages > "$tmp/got" ||
    fail "$1: $("$XRAYFS" cat "$tmp/$1.img" evidence/os/packages)"
  sort "$tmp/wanted" | cmp -s - "$tmp/got" ||
    fail "$1: $(sort "$tmp/wanted" | diff - "$tmp/got" | head -n 4)"
  note "$1: $(wc -l < "$tmp/got") packages"
}

unknown ()
{
  assert_equal "$1" "$("$XRAYFS" cat "$tmp/$1.img" os/packages 2>/dev/null)" unknown
  "$XRAYFS" cat "$tmp/$1.img" evidence/os/packages | grep -q "$2" ||
    fail "$1: $("$XRAYFS" cat "$tmp/$1.img" evidence/os/packages)"
}

# --- dpkg ---
mkdir -p "$tmp/deb/var/lib/dpkg"
cp /var/lib/dpkg/status "$tmp/deb/var/lib/dpkg/"
cat >> "$tmp/deb/var/lib/dpkg/status" << 'END'

Package: removed
Status: deinstall ok config-files
Maintainer: nobody
Description: none
Architecture: all
Version: 1
END
guest deb
dpkg-query --admindir="$tmp/deb/var/lib/dpkg" -W \
  -f '${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n' |
  sed -n 's/^installed\t//p' > "$tmp/wanted"
check deb

# --- rpm ---
{
  echo 'Name: many'; echo 'Version: 1'; echo 'Release: 1'
  echo 'Summary: test'; echo 'License: none'; echo 'BuildArch: noarch'
  echo '%description'; echo test
  for i in $(seq 120); do
    printf '%%package sub%s\nSummary: test\nVersion: 1.%s~rc\n' "$i" "$i"
    [ $((i % 3)) != 0 ] || echo "Epoch: $i"
    # Headers of all sizes: inline and over many pages.
    printf '%%description sub%s\n%s\n' "$i" "$(head -c $((i * i * 7)) /dev/zero | tr '\0' "$((i % 10))")"
    printf '%%files sub%s\n' "$i"
  done
  echo '%files'
} > "$tmp/many.spec"
rpmbuild --quiet -bb --define "_topdir $tmp/build" "$tmp/many.spec" > "$tmp/log" 2>&1 ||
  fail "rpmbuild: $(tail -n 3 "$tmp/log")"

db=$tmp/sqlite/var/lib/rpm
mkdir -p "$db"
in_rpm () { rpm --define '_db_backend sqlite' --dbpath "$db" "$@" 2> "$tmp/log"; }
find "$tmp/build/RPMS" -name '*.rpm' | sort -V | xargs \
  rpm --define '_db_backend sqlite' --dbpath "$db" --justdb --nodeps --nosignature -i 2> "$tmp/log" ||
  fail "rpm: $(tail -n 3 "$tmp/log")"
in_rpm --justdb --nodeps -e many-sub7 many-sub100
in_rpm -qa --qf '%{NAME}\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\t%{ARCH}\n' > "$tmp/wanted"
[ "$(wc -l < "$tmp/wanted")" -gt 100 ] || fail "too few packages"
rm -f "$db"/.rpm.lock

# rpm leaves it in WAL mode, as on RHEL 9.
guest sqlite
check sqlite
# Where SQLite cannot be loaded it is unknown, not empty.
mkdir "$tmp/lib"
: > "$tmp/lib/libsqlite3.so.0"
(LD_LIBRARY_PATH=$tmp/lib; export LD_LIBRARY_PATH; unknown sqlite 'libsqlite3\.so\.0')

# Debian's rpm writes no other store: the same headers in the forms of rpm's
# ndb and of Berkeley DB.
ndb ()
{
  mkdir -p "$tmp/$1/usr/lib/sysimage/rpm"
  python3 - "$db/rpmdb.sqlite" "$tmp/$1/usr/lib/sysimage/rpm/Packages.db" << 'END'
import sqlite3, struct, sys, zlib
rows = list(sqlite3.connect("file:%s?immutable=1" % sys.argv[1],
                            uri=True).execute("SELECT * FROM Packages"))
pages = 2
slots, blobs, at = [], b"", pages * 4096 // 16
for n, blob in rows:
    if n % 10 == 0:
        slots.append(struct.pack("<4sIII", b"Slot", 0, 0, 0))
    whole = struct.pack("<4sIII", b"BlbS", n, 0, len(blob)) + blob
    whole += b"\0" * (-(len(whole) + 12) % 16)
    whole += struct.pack("<II4s", zlib.adler32(whole), len(blob), b"BlbE")
    slots.append(struct.pack("<4sIII", b"Slot", n, at, len(whole) // 16))
    blobs += whole
    at += len(whole) // 16
while len(slots) < pages * 256 - 2:
    slots.append(struct.pack("<4sIII", b"Slot", 0, 0, 0))
with open(sys.argv[2], "wb") as f:
    f.write(struct.pack("<4sIIII12x", b"RpmP", 0, 1, pages, len(rows) + 1))
    f.write(b"".join(slots) + blobs)
END
}
ndb ndb
guest ndb
check ndb
printf 'Slop' | dd of="$tmp/ndb/usr/lib/sysimage/rpm/Packages.db" bs=1 seek=32 conv=notrunc status=none
guest ndb
unknown ndb 'wrong magic'

bdb ()
{
  mkdir -p "$tmp/$1/var/lib/rpm"
  python3 - "$db/rpmdb.sqlite" "$2" << 'END' |
import sqlite3, struct, sys
order = sys.argv[2]
print("VERSION=3\nformat=bytevalue\ntype=hash\ndb_lorder=%s\nHEADER=END"
      % (1234 if order == "<" else 4321))
print(" " + struct.pack(order + "I", 0).hex())
print(" " + struct.pack(order + "I", 200).hex())
for n, blob in sqlite3.connect("file:%s?immutable=1" % sys.argv[1],
                               uri=True).execute("SELECT * FROM Packages"):
    print(" " + struct.pack(order + "I", n).hex())
    print(" " + blob.hex())
print("DATA=END")
END
    db5.3_load "$tmp/$1/var/lib/rpm/Packages"
}
bdb bdb '<'
guest bdb
check bdb
bdb bdb-big '>'
guest bdb-big
check bdb-big
truncate -s -100000 "$tmp/bdb/var/lib/rpm/Packages"
guest bdb
unknown bdb 'the file is shorter'

# A journal that is left has what the file lacks.
printf x > "$db/rpmdb.sqlite-wal"
guest sqlite
unknown sqlite 'changes that are not in the database'
mv "$db/rpmdb.sqlite-wal" "$db/rpmdb.sqlite-journal"
guest sqlite
unknown sqlite 'changes that are not in the database'

# --- apk and pacman ---
mkdir -p "$tmp/apk/lib/apk/db"
cat > "$tmp/apk/lib/apk/db/installed" << 'END'
C:Q1bTtF5526tETKfL+lnigzIDvm+2o=
P:musl
V:1.2.4-r2
A:x86_64
F:lib
R:libc.musl-x86_64.so.1

C:Q1
P:busybox
V:1.36.1-r5
A:x86_64
END
guest apk
printf 'musl\t1.2.4-r2\tx86_64\nbusybox\t1.36.1-r5\tx86_64\n' > "$tmp/wanted"
check apk

for p in linux-6.7.arch3-1 bash-5.2.026-2; do
  mkdir -p "$tmp/pacman/var/lib/pacman/local/$p"
  printf '%%NAME%%\n%s\n\n%%VERSION%%\n%s\n\n%%ARCH%%\nx86_64\n' "${p%%-*}" "${p#*-}" \
    > "$tmp/pacman/var/lib/pacman/local/$p/desc"
done
echo 9 > "$tmp/pacman/var/lib/pacman/local/ALPM_DB_VERSION"
guest pacman
printf 'linux\t6.7.arch3-1\tx86_64\nbash\t5.2.026-2\tx86_64\n' > "$tmp/wanted"
check pacman
