# program: dash: long pipes, here-documents, subshells, background jobs, signals
# packages: dash
# needs: dash
run() {
    dash -c '
        i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i + 1)); done | cat | cat | grep -v 3 | cat | wc -l
        (trap "echo got TERM; exit 3" TERM; kill -TERM $(exec sh -c "echo \$PPID"); sleep 1); echo $?
        x=$(echo a; exit 4); echo "$x $?"
        cat <<END | tr a-z A-Z
here $x
END
        sleep 0.05 & wait $!; echo waited $?
        yes | head -n 10000 | md5sum
        echo "$(echo "$(echo "$(echo deep)")")"
        sh -c "kill -SEGV \$\$" 2>/dev/null; echo segv $?
        sh -c "exit 300"; echo $?
        nosuchcommand 2>/dev/null; echo $?
        /etc/passwd 2>/dev/null; echo $?
    '
}
