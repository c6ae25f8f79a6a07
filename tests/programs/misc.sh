# program: small tools that load many libraries: file, bc, curl --version, man's formatter, awk
# packages: file bc curl
# needs: file bc curl
run() {
    file -b /bin/sh /etc/passwd | cut -c1-30
    echo 'scale=60; 4*a(1)' | bc -l
    curl --version | head -n 1 | cut -d' ' -f1-2
    awk 'BEGIN { for (i = 0; i < 200000; i++) s += sin(i); printf "%.10f\n", s }'
    ldd /bin/ls | awk '{ print $1 }'
    ps -o comm= -p $$
    getconf PAGESIZE
    id -u
}
