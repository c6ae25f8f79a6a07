# program: stress-ng: cpu methods, vm, signals, forks, clones, threads, pipes, with verification, a second each
# packages: stress-ng
# needs: stress-ng
# limit: 240
run() {
    for class in 'cpu 1 --cpu-ops 60' 'vm 1 --vm-bytes 32m --vm-ops 2000' 'fork 1 --fork-ops 100' 'clone 1 --clone-ops 50' \
        'sigq 1 --sigq-ops 1000' 'signal 1 --signal-ops 5000' 'sigsegv 1 --sigsegv-ops 500' 'pthread 1 --pthread-ops 200' 'pipe 1 --pipe-ops 5000' \
        'timer 1 --timer-ops 500' 'futex 1 --futex-ops 1000' 'vfork 1 --vfork-ops 50' 'exec 1 --exec-ops 20' 'context 1 --context-ops 1000' \
        'matrix 1 --matrix-ops 50' 'longjmp 1 --longjmp-ops 5000' 'mmap 1 --mmap-bytes 8m --mmap-ops 10' 'sigsuspend 1 --sigsuspend-ops 500' 'switch 1 --switch-ops 1000'; do
        set -- $class
        stress-ng --temp-path . --verify --timeout 20 --$* >log 2>&1
        echo "$1 $?"
        grep -i 'fail' log | head -n 3
    done
}
