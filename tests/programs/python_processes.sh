# program: python's own tests of processes, hundreds of them, with native results
# packages: python3 libpython3.11-testsuite
# needs: python3 /usr/lib/python3.11/test/test_subprocess.py
# limit: 600
# tiers: default
# slow: yes
run() {
    for module in test_subprocess; do
        /usr/bin/python3 -m test -v $module >log 2>&1
        echo "$module $?"
        grep -E "\.\.\. (ok|FAIL|ERROR|skipped)|^(FAIL|ERROR):" log | sed -E "s/0x[0-9a-f]+//g" | sort
    done
}
