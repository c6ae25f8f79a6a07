# coreutils, grep, sed, gawk, find: one process each
c=$ROOT/bin
$RUN $c/uname -srm
$RUN $c/ls -la /etc/apt
$RUN $c/ls /nonexistent
$RUN $ROOT/usr/bin/stat /etc/passwd
$RUN $ROOT/usr/bin/sort -R --random-source=/etc/passwd /etc/services | $RUN $ROOT/usr/bin/sort -k2 | $RUN $ROOT/usr/bin/uniq -c |
    $RUN $ROOT/usr/bin/sha256sum
for s in md5sum sha1sum sha512sum b2sum cksum sum; do $RUN $ROOT/usr/bin/$s /etc/services; done
$RUN $c/mkdir a
$RUN $c/touch a/f
$RUN $c/ln -s f a/l
$RUN $c/cp -a a b
$RUN $c/mv b c
$RUN $c/chmod 640 a/f
$RUN $c/readlink a/l
$RUN $ROOT/usr/bin/truncate -s 100 a/f
$RUN $c/dd if=/etc/services of=a/d bs=100 count=3 2>/dev/null
$RUN $ROOT/usr/bin/tail -c 20 a/d
$RUN $ROOT/usr/bin/split -n 3 a/d
$RUN $c/rm -r c
$RUN $c/ls -R .
$RUN $c/grep -c root /etc/passwd
$RUN $c/grep -P '\d{4}/tcp' /etc/services | wc -l
$RUN $c/sed -n 's/\(.*\):x:.*/\1/p' /etc/passwd
$RUN $ROOT/usr/bin/gawk 'BEGIN { for (i = 0; i < 1000; i++) s += sin(i); printf "%.15g\n", s; "echo cmd" | getline x; print x }'
$RUN $ROOT/usr/bin/find /etc/apt -type f -printf '%f %s %m\n'
$RUN $c/gzip -9 -c /etc/services | cksum
$RUN $c/bzip2 -c /etc/services | $RUN $c/bzip2 -dc | cksum
echo 'scale=50; 4*a(1); 2^200' | $RUN $ROOT/usr/bin/bc -lq
