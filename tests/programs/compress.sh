# program: tar, gzip, bzip2, xz with two threads, zstd with two threads: round trips
# packages: tar gzip bzip2 xz-utils zstd
# needs: tar gzip xz zstd
run() {
    mkdir in
    seq 1 200000 >in/numbers
    head -c 2000000 "$(readlink -f /usr/bin/python3)" >in/binary
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf in.tar in
    gzip -9 -n -k in.tar
    xz -1 -T2 -k in.tar
    zstd -q -T2 -5 -k in.tar
    mkdir out && tar -xJf in.tar.xz -C out && diff -r in out/in && echo xz same
    zstd -q -d -c in.tar.zst | cmp - in.tar && echo zstd same
    gzip -d -c in.tar.gz | cmp - in.tar && echo gzip same
    tar -cf - in | tar -tf - | sort
}
after() { md5sum in.tar in.tar.gz; }
