// Mixed work for a JavaScript interpreter: numbers, arrays, objects, classes, strings,
// regular expressions, closures, maps, JSON, generators. `units` says how often.
"use strict";

function sieve(n) {
  const composite = new Uint8Array(n + 1);
  let count = 0;
  for (let i = 2; i <= n; i++) {
    if (composite[i]) continue;
    count++;
    for (let j = i * i; j <= n; j += i) composite[j] = 1;
  }
  return count;
}

class Shape {
  constructor(size) { this.size = size; }
  area() { return this.size; }
}
class Square extends Shape { area() { return this.size * this.size; } }
class Circle extends Shape { area() { return Math.floor(super.area() * 3.25); } }

function shapes(n) {
  const all = [];
  for (let i = 0; i < n; i++) all.push(i % 3 === 0 ? new Shape(i) : i % 3 === 1 ? new Square(i) : new Circle(i));
  return all.reduce((sum, s) => (sum + s.area()) % 1000003, 0);
}

function words(n) {
  const seen = new Map();
  let text = "";
  for (let i = 0; i < n; i++) text += "w" + ((i * 7919) % 300) + " ";
  for (const m of text.matchAll(/[a-z]\d+/g)) seen.set(m[0], (seen.get(m[0]) || 0) + 1);
  return [...seen].map(([w, c]) => `${w}:${c}`).sort().join(",").replace(/\d/g, "x").length;
}

function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

function json(n) {
  const list = [];
  for (let i = 0; i < n; i++) list.push({ id: i, name: "item " + i, tags: ["a", "b", i % 7], ratio: i / 4 });
  const again = JSON.parse(JSON.stringify(list));
  return again.filter(x => x.tags[2] > 3).reduce((s, x) => s + x.id + x.name.length + x.ratio, 0);
}

function* squares(n) { for (let i = 0; i < n; i++) yield i * i; }

function generator(n) {
  let sum = 0;
  for (const x of squares(n)) sum = (sum + x) % 1000003;
  return sum;
}

function matrix(n) {
  const a = [], b = [];
  for (let i = 0; i < n; i++) {
    a.push([]);
    b.push([]);
    for (let j = 0; j < n; j++) { a[i][j] = i + j * 0.5; b[i][j] = i - j * 0.25; }
  }
  let last = 0;
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      let s = 0;
      for (let k = 0; k < n; k++) s += a[i][k] * b[k][j];
      last = s;
    }
  return last;
}

let sum = 0;
for (let u = 0; u < units; u++) {
  const part = sieve(4000) + shapes(800) + words(400) + fib(15) + json(100) + generator(800) + matrix(15);
  sum = (sum * 31 + part + u) % 1000000007;
}
print("quickjs", sum);
