# program: nginx serves pages from several workers
# packages: nginx-light curl
# needs: nginx curl
prepare() {
    mkdir -p www tmp
    seq 1 5000 >www/numbers.txt
    echo '<p>hello</p>' >www/index.html
    chmod -R a+rX .
}
run() {
    chmod 755 "$PWD"
    port=$((20000 + $$ % 20000))
    cat >conf <<END
daemon off; worker_processes 2; pid $PWD/tmp/pid; error_log $PWD/tmp/error.log;
events { worker_connections 64; }
http { access_log off; gzip on; gzip_min_length 10; gzip_types text/plain; root $PWD/www;
  client_body_temp_path $PWD/tmp; proxy_temp_path $PWD/tmp; fastcgi_temp_path $PWD/tmp; uwsgi_temp_path $PWD/tmp; scgi_temp_path $PWD/tmp;
  server { listen 127.0.0.1:$port; location /moved { return 301 /index.html; } location ~ ^/n(.*)\$ { rewrite ^ /numbers.txt last; } } }
END
    nginx -p "$PWD" -c "$PWD/conf" 2>/dev/null &
    server=$!
    i=0
    while [ $i -lt 100 ] && ! curl -s -o /dev/null http://127.0.0.1:$port/; do sleep 0.05; i=$((i + 1)); done
    curl -s http://127.0.0.1:$port/
    curl -s --compressed http://127.0.0.1:$port/numbers.txt | md5sum
    curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:$port/missing
    curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:$port/moved
    for i in 1 2 3 4 5 6 7 8 9 10; do curl -s -r 100-199 http://127.0.0.1:$port/numbers.txt; done | md5sum
    kill -QUIT $server
    wait $server
    echo "server $?"
}
