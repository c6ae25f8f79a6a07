# program: gcc -O2 -c and g++ (driver, cc1, as, collect2, ld: a chain of execve), and what they built
# packages: gcc g++ binutils
# needs: gcc g++
# limit: 180
prepare() {
    {
        echo '#include <stdio.h>'
        i=0
        while [ $i -lt 60 ]; do
            echo "static int f$i(int x, int *p) { int s = $i; for (int k = 0; k < x; k++) { s += p[k] * $i; if (s & 1) s ^= k; switch (s % 7) { case 1: s += 3; break; case 2: s *= 5; break; case 4: s -= k; } } return s; }"
            i=$((i + 1))
        done
        echo 'int main(void) { int p[64], s = 0; for (int i = 0; i < 64; i++) p[i] = i * 37 % 23;'
        i=0
        while [ $i -lt 60 ]; do echo "s += f$i($i, p);"; i=$((i + 1)); done
        echo 'printf("%d\n", s); return 0; }'
    } >big.c
    cat >small.cpp <<'END'
#include <algorithm>
#include <iostream>
#include <map>
#include <string>
#include <vector>
int main() { std::map<std::string, std::vector<int>> m; for (int i = 0; i < 100; i++) m[std::to_string(i % 7)].push_back(i);
  for (auto &[k, v] : m) { std::sort(v.rbegin(), v.rend()); std::cout << k << ' ' << v[0] << '\n'; } }
END
}
run() {
    gcc -O2 -c big.c -o big.o && gcc big.o -o big && ./big
    g++ -O1 -std=c++17 small.cpp -o small && ./small
    echo 'int main( {' >bad.c
    gcc bad.c 2>&1
    echo "status $?"
}
after() { md5sum big.o big small; }
