# perl, lua, sqlite3, openssl, python3
$RUN $ROOT/usr/bin/perl -e 'my %h; $h{$_ % 7} += $_ for 1..1000; print join(",", map { "$_=$h{$_}" } sort keys %h), "\n";
    printf "%.17g %s\n", exp(1), 2**0.5; $| = 1; system("echo sub; exit 3"); print $? >> 8, "\n";
    if (fork() == 0) { exit 7 } wait; print $? >> 8, "\n";
    local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select(undef, undef, undef, 30);'
$RUN $ROOT/usr/bin/lua5.4 -e 'local t = {} for i = 1, 300 do t[i] = i * 1.5 end print(#t, t[300], 7 // 2, string.format("%5.3f", math.pi))'
$RUN $ROOT/usr/bin/sqlite3 x.db 'create table t(a, b); with recursive c(x) as (select 1 union all select x + 1 from c where x < 200)
    insert into t select x, x * x from c; select count(*), sum(b), avg(b) from t; create index i on t(b);
    select a from t where b = 144; pragma integrity_check;'
$RUN $ROOT/usr/bin/openssl dgst -sha256 /etc/passwd
$RUN $ROOT/usr/bin/openssl prime 1000003
$RUN $ROOT/usr/bin/python3.11 -S -E -c '
import os, subprocess, sys, threading
print(sys.version_info[:2], os.uname().machine, sys.maxsize, sum(x * x for x in range(1000)), hash(1.5), 2**100, 0.1 + 0.2)
done = []
threads = [threading.Thread(target=done.append, args=(i,)) for i in range(5)]
[t.start() for t in threads]
[t.join() for t in threads]
print(sorted(done), os.stat("/etc/passwd").st_size)
print(subprocess.run(["/bin/echo", "sub"], capture_output=True).stdout)'
