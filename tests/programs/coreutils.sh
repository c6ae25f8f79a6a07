# program: coreutils, grep, sed, awk and find in pipes
# packages: coreutils grep sed mawk findutils
# needs: sort grep sed awk find
run() {
    seq 1 20000 | sort -R --random-source=/bin/ls | sort -n | uniq -c | awk '{ s += $2 } END { print s }'
    seq 1 3000 | sed -n 's/7$/seven/p' | tr a-z A-Z | cut -c1-4 | sort | uniq -c | sort -rn | head -3
    seq 1 5000 | paste - - - | tail -n 2 | nl | od -c | md5sum
    factor 1234567890123 999999000001 600851475143
    date -u -d @1000000000 '+%F %T'
    printf '%s\n' b a c | tee copy | sort | comm -12 - copy 2>/dev/null
    mkdir -p tree/a/b tree/c
    for i in 1 2 3 4 5; do echo "file $i" >tree/a/b/$i; done
    cp -r tree tree2
    find tree tree2 -type f | sort | xargs sha256sum | sha256sum
    find tree -name '[1-3]' -exec grep -H file {} + | sort
    dd if=/dev/zero bs=1k count=100 2>/dev/null | sha512sum
    head -c 100000 /bin/ls | base64 | base64 -d | cmp - /bin/ls -n 100000 && echo same
    ls -l tree/a/b | awk '{ print $1, $5, $9 }'
    du --apparent-size -b tree | sort -k2 | tail -1 | cut -f2
    expr 6 \* 7
    join tree/a/b/1 tree/a/b/2 | wc -l
    split -n 3 copy part && cat part* | cksum
    env -i A=1 B=2 printenv | sort
    timeout 0.1 sleep 5
    echo "timeout says $?"
    numfmt --to=iec 123456789
    shuf -i 1-10 --random-source=/bin/ls | tr '\n' ' '
    stat -c '%a %F' tree
    ls /nonexistent
    echo "ls says $?"
}
after() { find tree tree2 -type f | sort | xargs md5sum; }
