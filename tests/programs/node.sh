# program: node: V8's JIT, regular expressions, JSON, promises, workers, WebAssembly
# packages: nodejs
# needs: node
# limit: 180
prepare() {
    cat >script.js <<'END'
const { Worker, isMainThread, parentPort } = require('worker_threads');
if (!isMainThread) { let s = 0; for (let i = 0; i < 3e6; i++) s = (s * 31 + i) | 0; parentPort.postMessage(s); }
else {
  function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
  console.log(fib(27));
  const a = []; let x = 12345; for (let i = 0; i < 100000; i++) { x = (x * 1103515245 + 12345) & 0x7fffffff; a.push(x % 1000); }
  a.sort((p, q) => p - q); console.log(a[0], a[50000], a[99999]);
  const o = {}; for (let i = 0; i < 50000; i++) o['k' + i % 1000] = (o['k' + i % 1000] || 0) + i * 0.5;
  console.log(JSON.stringify(o).length, Object.values(o).reduce((p, q) => p + q));
  console.log('abcabcabc'.repeat(2000).replace(/b(c)/g, '$1b').length, /(\d+)-(\w+)/.exec('x 12-ab')[2]);
  class P { constructor(v) { this.v = v; } get d() { return this.v * 2; } } let t = 0; for (let i = 0; i < 1e6; i++) t += new P(i).d; console.log(t);
  const m = new Float64Array(128 * 128).map((_, i) => i % 7); let r = 0; for (let i = 0; i < 128; i++) for (let j = 0; j < 128; j++) { let s = 0; for (let k = 0; k < 128; k++) s += m[i * 128 + k] * m[k * 128 + j]; r += s; } console.log(r);
  const wasm = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11])));
  let w = 0; for (let i = 0; i < 1e5; i++) w = wasm.exports.add(w, i); console.log(w);
  try { null.x } catch (e) { console.log(e.constructor.name); }
  const g = function* () { for (let i = 0; i < 5; i++) yield i * i; }; console.log([...g()].join());
  eval('for (let i = 0; i < 200; i++) (new Function("a", "return a + " + i))(i)');
  const ws = [1, 2].map(() => new Promise(ok => new Worker(__filename).on('message', ok)));
  Promise.all(ws).then(v => { console.log(v.join()); return new Promise(ok => setTimeout(ok, 10)); }).then(() => {
    console.log(require('child_process').execSync('echo child').toString().trim());
    console.log(require('crypto').createHash('sha256').update('x').digest('hex'));
    process.exitCode = 0; });
}
END
}
run() { node script.js; }
