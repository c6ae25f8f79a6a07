//! The page in a real browser: headless Chromium, driven by the WebDriver protocol (packages `chromium` and
//! `chromium-driver`). Skipped with a note where they are missing, a failure with `E2E_REQUIRE_ALL=1`.
//!
//! With `VIEWER_SCREENSHOTS=DIR` each step leaves a picture to look at.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use viewer::{Event, Exit, Fragment, GuestLine, Line, Phase, Reason, Run, Stage};

/// A run with `count` traces: every fourth grew from the one before it, all have two stages of IR.
fn sample(count: u32) -> Run {
    let line = |text: String, origin: u32| Line { text, origin: Some(origin) };
    let fragment = |id: u32| Fragment {
        id,
        kind: "optimised trace".into(),
        trace: true,
        live: id % 9 != 8,
        loops: id.is_multiple_of(3),
        head: format!("0x{:x}", 0x40_1000 + id * 64),
        name: format!("function_{}", id % 50),
        source: format!("/src/program.c:{}", id + 1),
        address: 0x7f00_0000_0000 + u64::from(id) * 256,
        size: 200,
        samples: u64::from(count / (id + 1)),
        parent: (id % 4 == 3).then(|| (id - 1, 7)),
        made_ms: Some(0.25),
        exits: vec![Exit {
            number: 7,
            to: "0x402000".into(),
            target: Some((id + 1) % count),
            taken: Some(12),
        }],
        guest: (0..6)
            .map(|i| GuestLine {
                at: format!("0x{:x}", 0x40_1000 + id * 64 + i * 4),
                text: format!("add ${i}, %rax"),
                source: format!("/src/program.c:{}", i / 2 + 1),
                source_text: "sum += a[i] < limit && b[i];".into(),
            })
            .collect(),
        stages: ["recorded", "fold", "hoist"]
            .iter()
            .enumerate()
            .map(|(stage, name)| Stage {
                name: (*name).into(),
                lines: (0..8 - stage as u32)
                    .map(|i| {
                        line(
                            format!("%{}: i64 = add %{i}, {}", i + stage as u32, i + 10 * stage as u32),
                            i % 6,
                        )
                    })
                    .collect(),
            })
            .collect(),
        host: (0..7).map(|i| line(format!("lea {i}(%rax), %rax"), i % 6)).collect(),
    };
    Run {
        producer: "dynrun 0.1.0".into(),
        command: vec!["./program".into(), "<b>&amp;</script>".into()],
        facts: vec![("level".into(), "3".into())],
        end: "exit status 0".into(),
        elapsed_ms: 800.0,
        phases: vec![
            Phase { name: "in traces".into(), ms: 700.0 },
            Phase { name: "translating".into(), ms: 60.0 },
        ],
        samples: 800,
        sample_us: 1000,
        reasons: vec![
            Reason { what: "refused".into(), why: "gains nothing".into(), count: 12, cost_ms: Some(3.0) },
            Reason { what: "evicted".into(), why: "the cache was full".into(), count: 40, cost_ms: None },
        ],
        fragments: (0..count).map(fragment).collect(),
        events: (0..count)
            .map(|i| Event {
                ms: f64::from(i) * 0.1,
                kind: if i % 5 == 0 { "trace" } else { "block" }.into(),
                at: format!("0x{i:x}"),
                detail: String::new(),
            })
            .collect(),
        events_lost: 3,
        notes: vec!["IR is shown of the hottest traces only.".into()],
    }
}

/// A session of a browser.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver takes the browser with it; what is gone needs no killing.
        let _ = self.request("DELETE", "", &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// `None` when the driver is not installed.
    fn start(profile: &Path) -> Option<Browser> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let port = {
            let mut text = String::new();
            let out = driver.stdout.as_mut().unwrap();
            let mut byte = [0];
            // "ChromeDriver was started successfully on port N."
            loop {
                assert_eq!(out.read(&mut byte).unwrap(), 1, "chromedriver said: {text}");
                text.push(char::from(byte[0]));
                if text.ends_with('\n')
                    && let Some(at) = text.find("successfully on port ")
                {
                    let digits: String = text[at + 21..].chars().take_while(char::is_ascii_digit).collect();
                    break digits.parse().unwrap();
                }
            }
        };
        let mut browser = Browser { driver, port, session: String::new() };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1500,950",
        ];
        let mut arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments }, "goog:loggingPrefs": { "browser": "ALL" } } } });
        let answer = browser.http("POST", "/session", &wanted);
        browser.session = answer["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Some(browser)
    }

    fn http(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let length = head.split("content-length:").nth(1).and_then(|t| t.lines().next()?.trim().parse().ok());
        let mut text = vec![0; length.unwrap_or_else(|| panic!("{head}"))];
        stream.read_exact(&mut text).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["value"].take()
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        self.http(method, &format!("/session/{}{path}", self.session), body)
    }

    fn open(&self, file: &Path) {
        self.request("POST", "/url", &json!({ "url": format!("file://{}", file.display()) }));
    }

    fn script(&self, text: &str) -> Value {
        let answer = self.request("POST", "/execute/sync", &json!({ "script": text, "args": [] }));
        assert!(answer.get("error").is_none(), "{text}: {answer}");
        answer
    }

    fn find(&self, selector: &str) -> String {
        let answer = self.request("POST", "/element", &json!({ "using": "css selector", "value": selector }));
        let element = answer.as_object().and_then(|o| o.values().next()).and_then(Value::as_str);
        element.unwrap_or_else(|| panic!("{selector}: {answer}")).to_owned()
    }

    fn click(&self, selector: &str) {
        let answer = self.request("POST", &format!("/element/{}/click", self.find(selector)), &json!({}));
        assert!(answer.is_null(), "{selector}: {answer}");
    }

    fn write(&self, selector: &str, text: &str) {
        self.request("POST", &format!("/element/{}/value", self.find(selector)), &json!({ "text": text }));
    }

    fn text(&self, selector: &str) -> String {
        self.script(&format!("return document.querySelector('{selector}').textContent"))
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn count(&self, selector: &str) -> u64 {
        self.script(&format!("return document.querySelectorAll('{selector}').length")).as_u64().unwrap()
    }

    /// Waits until this many elements match.
    fn await_count(&self, selector: &str, wanted: u64) {
        let start = Instant::now();
        while self.count(selector) != wanted {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{selector}: {} elements",
                self.count(selector)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Leaves a picture where they are wanted.
    fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("VIEWER_SCREENSHOTS") else { return };
        let data = self.request("GET", "/screenshot", &Value::Null);
        let bytes = base64(data.as_str().unwrap());
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
    }

    /// What the page complained about.
    fn complaints(&self) -> Vec<Value> {
        let log = self.request("POST", "/se/log", &json!({ "type": "browser" }));
        log.as_array().cloned().unwrap_or_default()
    }
}

fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits =
            four.iter().enumerate().fold(0u32, |sum, (i, c)| sum | u32::from(value(*c)) << (18 - 6 * i));
        out.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    out
}

#[test]
fn a_person_finds_a_trace_and_sees_its_code_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let Some(browser) = Browser::start(&folder.path().join("profile")) else {
        assert!(
            std::env::var_os("E2E_REQUIRE_ALL").is_none(),
            "chromedriver is missing (package chromium-driver)"
        );
        eprintln!("note: skipped, chromedriver is missing (package chromium-driver)");
        return;
    };
    let file = folder.path().join("page.html");
    std::fs::write(&file, viewer::page(&sample(40)).unwrap()).unwrap();
    browser.open(&file);
    assert_eq!(browser.text("#title"), "./program <b>&amp;</script>");
    assert!(browser.text("#overview").contains("refused"), "{}", browser.text("#overview"));
    browser.picture("overview");

    // From the table of the hottest traces to the second of them.
    browser.click("#overview tbody tr:nth-child(2) .link");
    assert_eq!(browser.text("#detail h2"), "Trace 1");
    assert_eq!(browser.text("#tree .chosen .label"), "1  function_1  program.c:2");
    assert_eq!(browser.count("#detail .column"), 4);
    browser.picture("trace");

    // Another pass, and a line of guest code lights up what it became.
    assert_eq!(browser.count("#detail .column:nth-child(3) .code div, #stage option"), 3);
    assert_eq!(browser.script("return document.getElementById('stage').value"), "2");
    browser.script(
        "const s = document.getElementById('stage'); s.value = 1; s.dispatchEvent(new Event('change'));",
    );
    assert!(browser.count("#detail .new") > 0);
    let line = browser.find("#detail .column:nth-child(2) .code div:nth-child(2)");
    let to = json!({ "actions": [{ "type": "pointer", "id": "mouse", "actions": [
        { "type": "pointerMove", "origin": { "element-6066-11e4-a52e-4f735466cecf": line }, "x": 0, "y": 0 }] }] });
    browser.request("POST", "/actions", &to);
    assert!(browser.count("#detail .on") >= 4, "{}", browser.count("#detail .on"));
    browser.picture("linked");

    // Exits lead on; the search narrows the tree.
    browser.click("#detail table:last-of-type .link");
    assert_eq!(browser.text("#detail h2"), "Trace 2");
    browser.write("#search", "function_17");
    browser.await_count("#tree .row", 1);
    browser.click("#tree .row");
    assert_eq!(browser.text("#detail h2"), "Trace 17");

    browser.click("#tab-cache");
    assert!(browser.count("#map rect") >= 36);
    browser.picture("cache");
    browser.click("#tab-events");
    assert!(browser.text("#events").contains("3 older events"));
    browser.picture("events");
    assert_eq!(browser.complaints(), Vec::<Value>::new());

    // Five thousand traces are still pleasant.
    std::fs::write(&file, viewer::page(&sample(5000)).unwrap()).unwrap();
    let start = Instant::now();
    browser.open(&file);
    browser.click("#tab-traces");
    assert_eq!(browser.count("#tree .row"), 5000);
    browser.write("#search", "function_49");
    browser.await_count("#tree .row", 100);
    browser.click("#tab-cache");
    assert!(browser.count("#map rect") >= 4000);
    eprintln!("5000 traces: opened, searched and mapped in {:?}", start.elapsed());
    assert_eq!(browser.complaints(), Vec::<Value>::new());
}
