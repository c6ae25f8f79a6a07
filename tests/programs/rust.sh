# program: a Rust binary: threads, channels, panics that unwind, collections, closures
# needs: rustc
prepare() {
    cat >main.rs <<'END'
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, mpsc};
use std::{panic, process, thread};
fn fib(n: u32) -> u64 { if n < 2 { n as u64 } else { fib(n - 1) + fib(n - 2) } }
trait Shape { fn area(&self) -> f64; }
struct A(f64);
struct B(f64, f64);
impl Shape for A { fn area(&self) -> f64 { self.0 * self.0 } }
impl Shape for B { fn area(&self) -> f64 { self.0 * self.1 } }
fn main() {
    println!("{}", fib(30));
    let shapes: Vec<Box<dyn Shape>> = (0..1000).map(|i| if i % 3 == 0 { Box::new(A(i as f64)) as Box<dyn Shape> } else { Box::new(B(i as f64, 2.0)) }).collect();
    println!("{}", (0..500).map(|_| shapes.iter().map(|s| s.area()).sum::<f64>()).sum::<f64>());
    let mut map = HashMap::new();
    for i in 0..200000u64 { *map.entry(i.wrapping_mul(2654435761) % 1009).or_insert(0u64) += i; }
    let sorted: BTreeMap<_, _> = map.into_iter().collect();
    println!("{:?}", sorted.iter().take(3).collect::<Vec<_>>());
    let (tx, rx) = mpsc::channel();
    let total = Arc::new(Mutex::new(0u64));
    let threads: Vec<_> = (0..8).map(|n| { let (tx, total) = (tx.clone(), total.clone()); thread::spawn(move || { for k in 0..1000 { *total.lock().unwrap() += n * k; tx.send(n * k).unwrap(); } }) }).collect();
    drop(tx);
    println!("{}", rx.iter().sum::<u64>());
    threads.into_iter().for_each(|t| t.join().unwrap());
    println!("{}", total.lock().unwrap());
    panic::set_hook(Box::new(|_| {}));
    let caught = (0..500).filter(|i| panic::catch_unwind(|| if i % 2 == 0 { panic!("even") }).is_err()).count();
    println!("{caught}");
    let mut text: Vec<String> = (0..20000).map(|i| format!("{:x}", i * 7919 % 65537)).collect();
    text.sort();
    println!("{} {}", text[0], text[10000]);
    process::exit(6);
}
END
    rustc -O -C target-cpu=native -o program main.rs
    rustc -o slow main.rs
}
run() {
    ./program
    echo "status $?"
    ./slow | md5sum
}
