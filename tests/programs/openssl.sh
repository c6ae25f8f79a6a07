# program: openssl: a short speed run, digests, ciphers, key generation and signatures
# packages: openssl
# needs: openssl
run() {
    seq 1 50000 >data
    for d in md5 sha1 sha256 sha512 sha3-256 blake2b512; do openssl dgst -$d data; done
    for c in aes-256-cbc aes-128-ctr chacha20 camellia-128-cbc; do
        openssl enc -$c -pbkdf2 -iter 1000 -k password -S 0102030405060708 -in data | md5sum
    done
    openssl genrsa -out key 2048 2>/dev/null
    openssl dgst -sha256 -sign key -out sig data
    openssl rsa -in key -pubout -out pub 2>/dev/null
    openssl dgst -sha256 -verify pub -signature sig data
    openssl ecparam -genkey -name prime256v1 -noout -out ec && openssl ec -in ec -check -noout 2>&1 | head -n 1
    openssl speed -seconds 1 -bytes 1024 sha256 aes-128-cbc 2>/dev/null | grep -c '^sha256\|^aes-128'
    openssl prime 1000000007
    openssl version
}
