# program: busybox, a static binary with its own shell
# packages: busybox-static
# needs: busybox
run() {
    busybox sh -c '
        for i in $(busybox seq 1 30); do echo $((i * i)); done | busybox sort -rn | busybox head -n 3
        busybox seq 1 10000 | busybox sha256sum
        echo "a b c" | busybox awk "{ print \$3 \$1; for (i = 0; i < 100000; i++) s += i; print s }"
        busybox echo hello | busybox gzip | busybox gunzip | busybox tr a-z A-Z
        busybox printf "%d\n" 0x10; busybox expr 3 + 4
        (exit 9); echo $?
    '
    busybox nosuchapplet 2>/dev/null
    echo "status $?"
}
