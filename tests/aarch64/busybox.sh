# busybox, a static program that executes itself
b=$ROOT/bin/busybox
$RUN $b sh -c 'for i in 1 2 3; do echo $i; done; uname -m; f() { return 5; }; f; echo $?; (exit 3); echo $?'
$RUN $b ls -l /etc/passwd
$RUN $b find /etc/apt -type f
$RUN $b md5sum /etc/passwd
$RUN $b tar cf x.tar -C / etc/apt
$RUN $b tar tf x.tar
$RUN $b gzip -c x.tar | $RUN $b zcat | cksum
