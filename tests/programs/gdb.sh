# program: gdb --version, expressions, and the symbols of a program
# packages: gdb
# needs: gdb
prepare() { printf 'int answer = 42; struct s { int a; char b[3]; } v = {1, "x"}; int main(void) { return answer; }\n' >p.c && gcc -g -o p p.c; }
run() {
    gdb --version | head -n 1
    gdb -nx -batch -ex 'p 6 * 7' -ex 'p answer' -ex 'ptype v' -ex 'info line main' -ex 'disassemble main' ./p
}
