# bash and dash: forks, pipes, signals, programs of the other machine
$RUN $ROOT/bin/bash -c 'echo $((3**20)) ${BASH_VERSINFO[5]}; x=(a b c); echo ${#x[@]}; echo a | cat
    trap "echo T" USR1; kill -USR1 $$; (exit 3); echo $?; sleep 0.1 & wait; echo $?
    for i in {1..20}; do echo $((i * i)); done | sort -rn | head -3; diff <(echo a) <(echo b); ulimit -n'
$RUN $ROOT/bin/bash -c 'kill -9 $$' 2>/dev/null
echo $?
$RUN $ROOT/bin/dash -c 'echo $(/bin/echo x); set -- a b; shift; echo $1; ls -d /; exec /bin/echo bye'
