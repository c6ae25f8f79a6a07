# program: perl: hashes, regular expressions, sort, pipes, signals, fork
# packages: perl
# needs: perl
prepare() {
    cat >script.pl <<'END'
use strict; my (%h, $s);
for my $i (1 .. 30000) { my $k = ($i * 7919) % 1009; $h{"k$k"} += $i; $s .= chr(97 + $k % 26); }
print join(",", map { "$_=$h{$_}" } (sort { $h{$b} <=> $h{$a} || $a cmp $b } keys %h)[0 .. 4]), "\n";
my $n = () = $s =~ /([aeiou])(?=[^aeiou]{2})/g; print "$n\n";
(my $t = $s) =~ s/(.)(.)(.)/$3$1$2/g; print unpack("%32C*", $t), "\n";
printf "%.10f %s %x\n", sqrt(2), join("", reverse split //, "abc"), 48879;
open my $p, "-|", "echo from the pipe; exit 2" or die; print <$p>; close $p; print $? >> 8, "\n";
my $pid = fork; if (!$pid) { exit 5 } waitpid $pid, 0; print $? >> 8, "\n";
local $SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; 1 while 1; }; print "caught $@";
eval { die { code => 42 } }; print "$@->{code}\n";
print "bigint ", 2 ** 53 + 1, " ", 10 / 3, "\n"; exit 3;
END
}
run() {
    perl script.pl
    echo "status $?"
}
