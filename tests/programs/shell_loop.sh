# program: a shell loop of 100 times /bin/true
# needs: true
run() {
    i=0
    while [ $i -lt 100 ]; do
        /bin/true || echo failed
        i=$((i + 1))
    done
    echo $i
}
