# program: a bash script: arrays, traps, process substitution, coproc, subshells, jobs, arithmetic
# packages: bash
# needs: bash
prepare() {
    cat >script <<'END'
declare -A map; declare -a list
for ((i = 0; i < 300; i++)); do map[k$((i % 17))]=$((map[k$((i % 17))] + i)); list+=("$((i * i % 101))"); done
for k in $(printf '%s\n' "${!map[@]}" | sort); do echo -n "$k=${map[$k]} "; done; echo
echo "${list[@]: -5}" "${#list[@]}"
diff <(seq 1 5) <(seq 2 6); echo "diff $?"
trap 'echo trapped USR1' USR1; kill -USR1 $$; (kill -USR1 $BASHPID; echo no) ; echo "sub $?"
trap 'echo leaving' EXIT
coproc cat; echo to-coproc >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line"; kill $COPROC_PID; wait 2>/dev/null
fib() { local n=$1; ((n < 2)) && echo "$n" || echo $(($(fib $((n - 1))) + $(fib $((n - 2))))); }
fib 7
for i in 1 2 3; do (sleep 0.0$i; exit $i) & pids+=($!); done
for p in "${pids[@]}"; do wait "$p"; echo "job $?"; done
while read -r a b; do echo "$b-$a"; done <<<$'1 2\n3 4'
[[ abc123 =~ ([a-z]+)([0-9]+) ]] && echo "${BASH_REMATCH[2]}${BASH_REMATCH[1]}"
printf -v s '%05.1f|%x' 3.14159 255; echo "$s"
set -o pipefail; false | true; echo "pipe $?"
exec 5>file; echo hello >&5; exec 5>&-; cat file
(ulimit -n 20; exec bash -c 'ulimit -n')
kill -9 $BASHPID &
wait $!; echo "killed $?"
shopt -s extglob; v=aaabbb; echo "${v//+(a)/x} ${v^^} ${v:1:3}"
END
}
run() { bash script; }
