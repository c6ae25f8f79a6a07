# program: python's own tests of json, re, threading and signal, each with its native result
# packages: python3 libpython3.11-testsuite
# needs: python3 /usr/lib/python3.11/test/test_json/__init__.py
# limit: 600
# tiers: trace
# slow: yes
run() {
    for module in test_json test_re test_threading test_signal; do
        /usr/bin/python3 -m test -v $module >log 2>&1
        echo "$module $?"
        grep -E "\.\.\. (ok|FAIL|ERROR|skipped)|^(FAIL|ERROR):" log | sed -E "s/0x[0-9a-f]+//g" | sort
    done
}
