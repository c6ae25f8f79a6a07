//! What `dynrun` writes besides the program's own output: `--stats`, `--report`, `--events`, `--timeline`, `--drcov`, `--dump`,
//! `--perf-map`, `--jitdump`. Each is read back the way its reader would, for a program with one hot function that
//! writes two lines and ends with status 3; these must be as without the option. What the walkthrough in the documentation
//! shows is compared with what is written, too, and what a process needs besides the program is counted.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use e2e_tests::suite;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

const PROGRAM: &str = r#"
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>
#include <sys/wait.h>
__attribute__((noinline)) unsigned hot_function(const unsigned char *p, int n)
{
    unsigned sum = 1;
    for (int i = 0; i < n; i++)
        sum = sum * 31 + p[i];
    return sum;
}
__attribute__((noinline)) void never_called(void)
{
    puts("never");
}
static volatile int ticks;
static void tick(int number) { ticks++; }
int main(int argc, char **argv)
{
    if (argc > 1 && argv[1][0] == 't') {
        struct itimerval often = {{0, 200000}, {0, 200000}};
        signal(SIGALRM, tick);
        setitimer(ITIMER_REAL, &often, 0);
        static unsigned char few[4096];
        unsigned sum = 0;
        while (ticks < 3) {
            few[ticks]++;
            sum += hot_function(few, 4096);
        }
        return sum == 0 ? 4 : 3;
    }
    if (argc > 5)
        never_called();
    static unsigned char bytes[4096];
    for (int i = 0; i < 4096; i++)
        bytes[i] = i * 7;
    unsigned sum = 0;
    for (int i = 0; i < 20000; i++) {
        bytes[i & 4095]++;
        sum += hot_function(bytes, 4096);
    }
    printf("%u\n", sum);
    fflush(stdout);
    if (argc > 1 && fork() == 0)
        _exit(0);
    wait(NULL);
    if (argc > 1)
        *(volatile char *)8 = 1;
    puts("done");
    return 3;
}
"#;

type Check = fn(&Context<'_>) -> Result<(), Failed>;

/// Names of the tests with what they do.
const CHECKS: &[(&str, Check)] = &[
    ("stats", stats),
    ("report", report),
    ("report_of_straight_traces", report_of_straight_traces),
    ("report_when_killed", report_when_killed),
    ("events", events),
    ("timeline", timeline),
    ("drcov", drcov),
    ("dump", dump),
    ("perf_map", perf_map),
    ("jitdump", jitdump),
    ("gdb", gdb),
    ("unwritable", unwritable),
    ("without", without),
    ("memory", memory),
    ("walkthrough", walkthrough),
];

fn main() -> ExitCode {
    suite::main(|setting| {
        let Some(dynrun) = &setting.dynrun else { return Ok(Vec::new()) };
        let dir = tempfile::tempdir()?.keep();
        fs::write(dir.join("program.c"), PROGRAM)?;
        let status = Command::new("gcc")
            .args(["-O1", "-g", "-w", "program.c", "-o", "program"])
            .current_dir(&dir)
            .status()?;
        anyhow::ensure!(status.success(), "gcc failed");
        let trial = |&(name, check): &(&'static str, Check)| {
            let (dynrun, dir) = (dynrun.clone(), dir.clone());
            Trial::test(name, move || {
                let own = tempfile::tempdir()?;
                check(&Context { dynrun: &dynrun, program: &dir.join("program"), dir: own.path() })
            })
        };
        Ok(CHECKS.iter().map(trial).collect())
    })
}

struct Context<'a> {
    dynrun: &'a Path,
    program: &'a Path,
    /// Where files go.
    dir: &'a Path,
}

impl Context<'_> {
    fn run(&self, options: &[&str]) -> Result<Output, Failed> {
        let mut command = Command::new(self.dynrun);
        suite::surroundings(&mut command, self.dir);
        Ok(command.args(options).arg("--").arg(self.program).output()?)
    }

    /// Runs the program, which must end as it does natively.
    fn good(&self, options: &[&str]) -> Result<Output, Failed> {
        let output = self.run(options)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let right = output.status.code() == Some(3) && said.ends_with("\ndone\n");
        if right { Ok(output) } else { Err(format!("{output:?}").into()) }
    }

    fn read(&self, name: &str) -> Result<String, Failed> {
        fs::read_to_string(self.dir.join(name)).map_err(|e| format!("{name}: {e}").into())
    }
}

fn need(holds: bool, what: impl std::fmt::Display) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(what.to_string().into()) }
}

fn stats(c: &Context<'_>) -> Result<(), Failed> {
    c.good(&["--stats=s.json", "-O3"])?;
    let s: Value = serde_json::from_str(&c.read("s.json")?)?;
    for pointer in [
        "/time/cache_ms",
        "/time/translate_ms",
        "/time/dispatch_ms",
        "/code/blocks",
        "/code/traces",
        "/exits/direct",
        "/exits/indirect",
        "/exits/system_calls",
        "/lookups/total",
        "/lookups/misses",
        "/dropped/invalidated",
        "/dropped/flushes",
        "/memory/cache_bytes",
        "/memory/peak_bytes",
        "/samples/total",
        "/optimizer/traces",
    ] {
        need(s.pointer(pointer).is_some_and(Value::is_number), format!("{pointer}: {s}"))?;
    }
    let table = c.good(&["--stats"])?;
    need(String::from_utf8_lossy(&table.stderr).contains("traces"), "no table")
}

/// The data in a page.
fn page(text: &str) -> Result<Value, Failed> {
    let start = text.find("<script id=\"data\"").ok_or("no data")?;
    let start = start + text[start..].find('>').ok_or("no data")? + 1;
    let end = start + text[start..].find("</script>").ok_or("no end")?;
    Ok(serde_json::from_str(&text[start..end])?)
}

fn hot(page: &Value) -> Result<&Value, Failed> {
    let fragments = page["fragments"].as_array().ok_or("no fragments")?;
    let is_hot = |f: &&Value| f["trace"] == true && f["name"] == "hot_function";
    fragments.iter().find(is_hot).ok_or_else(|| "no trace of hot_function".into())
}

fn report(c: &Context<'_>) -> Result<(), Failed> {
    c.good(&["--report=r.html", "-O3", "--always-optimize"])?;
    let page = page(&c.read("r.html")?)?;
    let trace = hot(&page)?;
    need(trace["kind"] == "optimised trace" && trace["loops"] == true, &trace["kind"])?;
    need(trace["source"].as_str().is_some_and(|s| s.contains("program.c:")), &trace["source"])?;
    let stages = trace["stages"].as_array().ok_or("no stages")?;
    need(stages.len() >= 2 && stages[0]["name"] == "as recorded", format!("{} stages", stages.len()))?;
    // Every column is tied to the guest's instructions.
    let guest = trace["guest"].as_array().ok_or("no guest code")?;
    let has_origins =
        |lines: &Value| lines.as_array().is_some_and(|l| l.iter().any(|l| l["origin"].is_u64()));
    need(
        guest.len() >= 4 && guest.iter().any(|g| g["source_text"] == "sum = sum * 31 + p[i];"),
        "no source",
    )?;
    // The loop is left once in each call, of which most came when traces were there.
    let fragments = page["fragments"].as_array().ok_or("no fragments")?;
    let exits = fragments.iter().filter_map(|f| f["exits"].as_array()).flatten();
    let most = exits.filter_map(|e| e["taken"].as_u64()).max();
    need(most.is_some_and(|n| (10_000..=20_000).contains(&n)), format!("exits taken: {most:?}"))?;
    need(has_origins(&trace["host"]) && has_origins(&stages[1]["lines"]), "no origins")?;
    need(page["reasons"].is_array() && page["phases"].as_array().is_some_and(|p| p.len() > 1), "no phases")
}

fn report_of_straight_traces(c: &Context<'_>) -> Result<(), Failed> {
    c.good(&["--report=r.html", "-O1"])?;
    let page = page(&c.read("r.html")?)?;
    need(hot(&page)?["kind"] == "straight trace", "not a straight trace")
}

/// In a debugger the hot loop has its function's name and its line. The program's timer stops it where it is, which is in the
/// trace almost always.
fn gdb(c: &Context<'_>) -> Result<(), Failed> {
    if Command::new("gdb").arg("--version").output().is_err() {
        return need(std::env::var_os("E2E_REQUIRE_ALL").is_none(), "gdb is missing");
    }
    let mut command = Command::new("gdb");
    suite::surroundings(&mut command, c.dir);
    command.args([
        "-nx",
        "-batch",
        "-ex",
        "handle SIGSEGV nostop noprint pass",
        "-ex",
        "handle SIGALRM stop print pass",
    ]);
    command.args(["-ex", "run"]);
    for _ in 0..3 {
        command.args(["-ex", "backtrace 1", "-ex", "continue"]);
    }
    let output = command.arg("--args").arg(c.dynrun).arg("--gdb").arg(c.program).arg("ticks").output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let named = said.lines().any(|l| l.contains("hot_function [trace ") && l.contains("program.c:"));
    need(named && said.contains("exited with code 03"), said)
}

/// A process that a fault kills reports, and so does its child, into a file of its own.
fn report_when_killed(c: &Context<'_>) -> Result<(), Failed> {
    let mut command = Command::new(c.dynrun);
    suite::surroundings(&mut command, c.dir);
    let output =
        command.args(["--report=r.html", "--stats=s.json", "--"]).arg(c.program).arg("die").output()?;
    need(output.status.code().is_none(), format!("{output:?}"))?;
    hot(&page(&c.read("r.html")?)?)?;
    let children = fs::read_dir(c.dir)?
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|n| n.starts_with("r.html."))
        .count();
    need(children == 1, format!("{children} reports of children"))?;
    serde_json::from_str::<Value>(&c.read("s.json")?)?;
    Ok(())
}

fn events(c: &Context<'_>) -> Result<(), Failed> {
    c.good(&["--events=e.jsonl"])?;
    let mut kinds = Vec::new();
    for line in c.read("e.jsonl")?.lines() {
        let event: Value = serde_json::from_str(line)?;
        kinds.extend(event["kind"].as_str().map(str::to_owned));
    }
    need(["record", "trace"].iter().all(|k| kinds.iter().any(|x| x == k)), format!("{kinds:?}"))
}

fn timeline(c: &Context<'_>) -> Result<(), Failed> {
    c.good(&["--timeline=t.json"])?;
    let value: Value = serde_json::from_str(&c.read("t.json")?)?;
    let events = value["traceEvents"].as_array().ok_or("no events")?;
    need(events.iter().any(|e| e["name"] == "trace" && e["ts"].is_number()), "no trace in it")
}

/// The table of modules names the program; the blocks in it hold the hot function's first byte and not that of a
/// function that is never called.
fn drcov(c: &Context<'_>) -> Result<(), Failed> {
    c.good(&["--drcov=c.log"])?;
    let bytes = fs::read(c.dir.join("c.log"))?;
    let start = bytes.windows(9).position(|w| w == b"BB Table:").ok_or("no blocks")?;
    let head = String::from_utf8_lossy(&bytes[..start]).into_owned();
    let module = head.lines().find(|l| l.ends_with("/program")).ok_or("the program is no module")?;
    let id: u16 = module.split(',').next().unwrap_or_default().trim().parse()?;
    let line = bytes[start..].iter().position(|b| *b == b'\n').ok_or("no blocks")? + start + 1;
    let mut blocks = Vec::new();
    for entry in bytes[line..].chunks(8) {
        let number =
            |at: usize, n: usize| entry[at..at + n].iter().rev().fold(0u32, |v, b| v << 8 | u32::from(*b));
        if number(6, 2) == u32::from(id) {
            blocks.push(number(0, 4)..number(0, 4) + number(4, 2));
        }
    }
    let symbols = Command::new("nm").arg(c.program).output()?;
    let symbols = String::from_utf8(symbols.stdout)?;
    let at = |name: &str| -> Result<u32, Failed> {
        let line = symbols.lines().find(|l| l.ends_with(name)).ok_or("no symbol")?;
        Ok(u32::from_str_radix(line.split(' ').next().unwrap_or_default(), 16)?)
    };
    let covered = |at: u32| blocks.iter().any(|b| b.contains(&at));
    need(covered(at(" hot_function")?), "hot_function is not covered")?;
    need(!covered(at(" never_called")?), "never_called is covered")
}

fn dump(c: &Context<'_>) -> Result<(), Failed> {
    let output = c.good(&["--dump=all", "-O3", "--always-optimize"])?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    for word in ["\n  guest\n", "\n  lifted\n", "\n  optimised\n", "\n  host, ", "\n  exits\n"] {
        need(text.contains(word), format!("no {word:?}"))?;
    }
    Ok(())
}

fn perf_map(c: &Context<'_>) -> Result<(), Failed> {
    let output = c.good(&["--perf-map", "--stats=s.json"])?;
    let s: Value = serde_json::from_str(&c.read("s.json")?)?;
    let path = format!("/tmp/perf-{}.map", s["pid"]);
    let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e} {output:?}"))?;
    fs::remove_file(&path)?;
    let good = |line: &str| {
        let mut words = line.split(' ');
        let hex = |w: Option<&str>| w.is_some_and(|w| u64::from_str_radix(w, 16).is_ok());
        hex(words.next()) && hex(words.next()) && words.next() == Some("dynrun")
    };
    need(text.lines().count() > 10 && text.lines().all(good), "not a map")
}

fn jitdump(c: &Context<'_>) -> Result<(), Failed> {
    c.good(&["--jitdump", "--stats=s.json"])?;
    let s: Value = serde_json::from_str(&c.read("s.json")?)?;
    let path = format!("/tmp/jit-{}.dump", s["pid"]);
    let bytes = fs::read(&path).map_err(|e| format!("{path}: {e}"))?;
    fs::remove_file(&path)?;
    let word = |at: usize| bytes.get(at..at + 4).and_then(|b| Some(u32::from_ne_bytes(b.try_into().ok()?)));
    need(word(0) == Some(0x4A69_5444) && word(8) == Some(40), "no header")?;
    let (mut at, mut named) = (40, false);
    while at < bytes.len() {
        let size = word(at + 4).filter(|n| *n > 56).ok_or("a record without a size")? as usize;
        let record = bytes.get(at..at + size).ok_or("a record cut short")?;
        named |= record.windows(12).any(|w| w == b"hot_function");
        at += size;
    }
    need(named, "hot_function has no name")
}

/// A file that cannot be written costs one line and changes nothing else.
fn unwritable(c: &Context<'_>) -> Result<(), Failed> {
    for option in ["--stats", "--report", "--events", "--timeline", "--drcov"] {
        let output = c.good(&[&format!("{option}=/no/such/place/x"), "--log=error"])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        need(said.lines().count() == 1 && said.contains("/no/such/place/x"), format!("{option}: {said}"))?;
    }
    Ok(())
}

/// Passes can be named and left out.
fn without(c: &Context<'_>) -> Result<(), Failed> {
    let names = Command::new(c.dynrun).arg("--without=help").output()?;
    let names = String::from_utf8(names.stdout)?;
    need(names.lines().any(|n| n == "hoist"), &names)?;
    for name in names.lines() {
        c.good(&["-O3", "--hot=100", &format!("--without={name}")])?;
    }
    let wrong = Command::new(c.dynrun).args(["--without=nothing", "true"]).output()?;
    need(wrong.status.code() == Some(2), format!("{wrong:?}"))
}

/// Memory that is the runtime's own, counted rather than timed: a third of slack over what was measured.
fn memory(c: &Context<'_>) -> Result<(), Failed> {
    /// KiB of written pages in a small program that waits for input, beyond those of the same program natively.
    const WRITTEN: u64 = 3200;
    /// Bytes of host code, and of code memory in use, for 100 bytes of guest code.
    const HOST: u64 = 220;
    const CACHE: u64 = 430;
    let native = written(Command::new("/bin/cat"))?;
    let mut command = Command::new(c.dynrun);
    suite::surroundings(&mut command, c.dir);
    command.args(["--no-persist", "/bin/cat"]);
    let ours = written(command)?;
    need(ours < native + WRITTEN, format!("{ours} KiB are written, natively {native}"))?;
    c.good(&["--no-persist", "-O1", "--stats=s.json"])?;
    let s: Value = serde_json::from_str(&c.read("s.json")?)?;
    let bytes = |group: &str, name: &str| s[group][name].as_u64().ok_or("a figure is missing");
    let (guest, host) = (bytes("code", "guest_bytes")?, bytes("code", "host_bytes")?);
    let cache = bytes("memory", "cache_bytes")?;
    need(host * 100 < guest * HOST, format!("{guest} bytes of guest code became {host}"))?;
    need(cache * 100 < guest * CACHE, format!("{guest} bytes of guest code take {cache}"))
}

/// KiB of pages that a process has written when it has echoed one line.
fn written(mut command: Command) -> Result<u64, Failed> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (mut stdin, stdout) = (stdin.ok_or("no pipe")?, stdout.ok_or("no pipe")?);
    stdin.write_all(b"line\n")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", child.id()))?;
    drop(stdin);
    child.wait()?;
    let dirty = text.lines().filter(|l| l.starts_with("Pss_Anon:") || l.starts_with("Pss_Shmem:"));
    Ok(dirty.filter_map(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok()).sum())
}

/// The listings of the program's own code in `docs/walkthrough.md`, up to the section about -O3, are what `--dump` writes.
fn walkthrough(c: &Context<'_>) -> Result<(), Failed> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/walkthrough.md");
    let document = fs::read_to_string(document)?;
    let (document, _) = document.split_once("\n## 9. ").ok_or("the section about -O3 is missing")?;
    let indented = document.lines().skip_while(|l| !l.starts_with("    #include"));
    let source: Vec<&str> = indented.take_while(|l| l.is_empty() || l.starts_with("    ")).collect();
    fs::write(c.dir.join("loop.c"), source.join("\n"))?;
    let compiler = Command::new("gcc")
        .args(["-O1", "-fno-toplevel-reorder", "-o", "loop", "loop.c"])
        .current_dir(c.dir)
        .status()?;
    need(compiler.success(), "gcc failed")?;
    let options = ["-O1", "--no-aslr", "--no-persist", "--hot=60", "--dump=all", "./loop"];
    let mut command = Command::new(c.dynrun);
    suite::surroundings(&mut command, c.dir);
    let dump = String::from_utf8_lossy(&command.args(options).output()?.stderr).into_owned();
    let made: Vec<Listing> = dump.split("\n\n").filter_map(Listing::of_program).collect();
    let shown: Vec<Listing> = document.split("```\n").filter_map(Listing::of_program).collect();
    need(shown.len() >= 3, "the listings are missing")?;
    for want in &shown {
        let same = made.iter().find(|m| m.what == want.what);
        let got = same.ok_or_else(|| format!("{} is not in the dump", want.what))?;
        let other_compiler = !want.guest.is_empty() && got.guest != want.guest;
        let other_processor = want.host.iter().any(|i| i.starts_with("rorx"))
            && !fs::read_to_string("/proc/cpuinfo")?.contains(" bmi2 ");
        if other_compiler || other_processor {
            continue;
        }
        // Data stands behind the code.
        let host = got.host.get(..want.host.len());
        need(
            host == Some(&want.host),
            format!(
                "docs/walkthrough.md shows of {}\n{:#?}\nand it is\n{:#?}",
                want.what, want.host, got.host
            ),
        )?;
    }
    Ok(())
}

/// A fragment in a dump, without what is different in each run: addresses, and what is there for alignment.
struct Listing {
    /// Its kind and the last digits of its address.
    what: String,
    guest: Vec<String>,
    host: Vec<String>,
}

impl Listing {
    /// Reads one; `None` when it is something else, or of code that is not the program's.
    fn of_program(text: &str) -> Option<Listing> {
        let (first, rest) = text.trim_start_matches('\n').split_once('\n')?;
        let (fragment, pc) = first.split_once(" for 0x")?;
        let kind = fragment.split(' ').next().filter(|k| ["block", "trace"].contains(k))?;
        let page = pc.strip_prefix("5555")?.get(..5)?;
        let what = format!("{kind} {}", pc.get(9..)?);
        let mut listing = Listing { what, guest: Vec::new(), host: Vec::new() };
        let mut host = false;
        for line in rest.lines().take_while(|l| *l != "  exits" && *l != "```") {
            host |= line.starts_with("  host");
            let Some((_, instruction)) = line.strip_prefix("    0x").and_then(|l| l.split_once("  ")) else {
                continue;
            };
            let filling = ["nop", "xchg %ax,%ax", "int3", "("].iter().any(|f| instruction.starts_with(f));
            if !filling {
                let list = if host { &mut listing.host } else { &mut listing.guest };
                list.push(without_addresses(instruction));
            }
        }
        // Of all that the program's file has, the page with its text.
        (page.ends_with('5')).then_some(listing)
    }
}

/// Long numbers are addresses, or what is to be subtracted from one; the table of indirect branches is the base of a jump.
fn without_addresses(instruction: &str) -> String {
    let mut out = String::new();
    let mut rest = instruction;
    while let Some(at) = rest.find("0x") {
        let digits = rest[at + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        let end = at + 2 + digits;
        out += &rest[..at];
        out += if digits > 8 || rest[end..].starts_with("(,%rdx,8)") { "ADDRESS" } else { &rest[at..end] };
        rest = &rest[end..];
    }
    out + rest
}
