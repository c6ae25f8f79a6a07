// What the node row of the start-up class runs: recursion, maps, strings, typed arrays,
// classes and JSON, hot enough that the compiler of the engine gets to work.
"use strict";

const fib = n => (n < 2 ? n : fib(n - 1) + fib(n - 2));

class Point {
  constructor(x, y) { this.x = x; this.y = y; }
  add(other) { return new Point(this.x + other.x, this.y + other.y); }
}

let sum = fib(25);
const map = new Map();
for (let i = 0; i < 200000; i++) map.set((i * 7919) % 5003, i);
for (const [key, value] of map) sum = (sum * 31 + key + value) % 1000000007;
let at = new Point(0, 0);
for (let i = 0; i < 300000; i++) at = at.add(new Point(i & 7, -(i & 3)));
sum += at.x + at.y;
const words = Array.from({ length: 5000 }, (_, i) => "item" + ((i * 31) % 997));
sum += words.sort().join(",").replace(/m\d/g, "x").length;
const list = new Float64Array(100000).map((_, i) => Math.sqrt(i));
sum += Math.floor(list.reduce((a, b) => a + b, 0));
sum += JSON.stringify(JSON.parse(JSON.stringify(words.map((w, i) => ({ w, i }))))).length;
console.log("node", sum);
