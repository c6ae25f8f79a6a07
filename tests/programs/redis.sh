# program: redis-server and redis-benchmark on a Unix socket
# packages: redis-server redis-tools
# needs: redis-server redis-benchmark redis-cli
run() {
    redis-server --port 0 --unixsocket "$PWD/sock" --save '' --dir "$PWD" --daemonize no --loglevel warning >server.log 2>&1 &
    server=$!
    i=0
    while [ $i -lt 200 ] && ! redis-cli -s "$PWD/sock" ping 2>/dev/null | grep -q PONG; do sleep 0.05; i=$((i + 1)); done
    cli="redis-cli -s $PWD/sock"
    $cli set a 1 && $cli incrby a 41 && $cli get a
    $cli eval 'local s = 0 for i = 1, 10000 do s = s + i end return s' 0
    seq 1 500 | sed 's/.*/rpush list &/' | $cli >/dev/null
    $cli lrange list 0 3 && $cli llen list
    $cli hset h f 1 g 2 && $cli hgetall h
    redis-benchmark -s "$PWD/sock" -n 3000 -c 10 -t set,get,lpush,zadd -q 2>&1 | grep -c 'requests per second'
    $cli dbsize
    $cli shutdown nosave
    wait $server
    echo "server $?"
}
