# program: python3: classes, generators, regular expressions, json, threads, subprocess, ctypes
# packages: python3
# needs: python3
prepare() {
    cat >script.py <<'END'
import collections, ctypes, decimal, hashlib, itertools, json, random, re, subprocess, sys, threading, zlib
random.seed(5)
words = ["".join(random.choice("abcdef") for _ in range(4)) for _ in range(5000)]
print(collections.Counter(words).most_common(3))
print(hashlib.sha256(json.dumps(sorted(words)).encode()).hexdigest())
print(len(re.findall(r"(a|b)+c", " ".join(words))), zlib.crc32(" ".join(words).encode()))
def sieve(n):
    s = bytearray([1]) * (n + 1)
    for i in range(2, int(n ** .5) + 1):
        if s[i]: s[i * i::i] = bytes(len(s[i * i::i]))
    return sum(s) - 2
print(sieve(200000), decimal.Decimal(2).sqrt(), 3 ** 500 % 10 ** 30)
out = []
def work(n): out.append(sum(i * i for i in range(n)))
ts = [threading.Thread(target=work, args=(20000 + i,)) for i in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]
print(sum(out))
print(subprocess.run(["sh", "-c", "echo child; exit 3"], capture_output=True))
libc = ctypes.CDLL(None)
CMP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
a = (ctypes.c_int * 6)(5, 3, 9, 1, 7, 2)
libc.qsort(a, 6, 4, CMP(lambda x, y: x[0] - y[0])); print(list(a))
try:
    [][1]
except IndexError as e:
    print(type(e).__name__, e)
def deep(n): return 0 if n == 0 else 1 + deep(n - 1)
print(deep(900))
print(sorted(itertools.permutations("abc"))[-1], sys.flags.isolated)
sys.exit(7)
END
}
run() {
    python3 script.py
    echo "status $?"
    python3 -c pass
}
