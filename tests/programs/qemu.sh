# program: qemu-x86_64 runs /bin/true and another program: a translator inside a translator
# packages: qemu-user
# needs: qemu-x86_64
run() {
    qemu-x86_64 /bin/true
    echo "true $?"
    qemu-x86_64 /bin/false
    echo "false $?"
    qemu-x86_64 /bin/echo hello from inside
    seq 1 1000 | qemu-x86_64 /usr/bin/sort -rn | head -n 3
}
