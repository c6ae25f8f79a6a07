//! The interactive mode.
//!
//! On a terminal, lines are edited with history and completion of names; otherwise they are read from standard input as they are,
//! with the prompt on standard output. A line that begins with `=` is an expression to show; a chunk that ends too early
//! asks for more lines; Ctrl-C gives up the chunk, Ctrl-D ends the session.

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Context, Editor, Helper, Highlighter, Hinter, Validator};

use super::Host;
use super::options::Options;
use crate::api::Cx;
use crate::object::{Func, Table};
use crate::stdio::{self, Stream};
use crate::stdlib;
use crate::value::{Gc, Value};

/// Where lines come from.
enum Input {
    Terminal(Box<Editor<Names, DefaultHistory>>, Option<Vec<u8>>),
    Plain,
}

/// What reading a line gave.
enum Line {
    Text(Vec<u8>),
    Interrupted,
    End,
}

/// Runs the session until its input ends.
pub fn run(host: &Host<'_>, options: &Options) {
    let host = Host { cx: host.cx, name: None };
    let mut input = open(host.cx, options);
    loop {
        let chunk = match read_chunk(&host, &mut input) {
            Line::Text(chunk) => chunk,
            Line::Interrupted => continue,
            Line::End => break,
        };
        match compile(host.cx, &chunk) {
            Ok(f) => show_results(&host, f),
            Err(message) => host.message(&message),
        }
    }
    if let Input::Terminal(editor, Some(file)) = &mut input {
        // A history that cannot be saved is no reason to complain.
        let _ = editor.save_history(&path(file));
    }
    let _ = Stream::stdout().write(b"\n");
    let _ = Stream::stdout().flush();
}

fn path(bytes: &[u8]) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::path::PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

fn open(cx: Cx, options: &Options) -> Input {
    if !Stream::stdin().is_terminal() {
        return Input::Plain;
    }
    let config = Config::builder().completion_type(CompletionType::List).auto_add_history(true).build();
    let Ok(mut editor) = Editor::with_config(config) else { return Input::Plain };
    editor.set_helper(Some(Names { cx }));
    let home = stdio::getenv(b"HOME").filter(|_| !options.no_env);
    let history = home.map(|h| [&h[..], b"/.rjit_history"].concat());
    if let Some(file) = &history {
        let _ = editor.load_history(&path(file));
    }
    Input::Terminal(Box::new(editor), history)
}

/// The prompt that a script may have set.
fn prompt(cx: Cx, first: bool) -> Vec<u8> {
    let (name, default) = if first { ("_PROMPT", "> ") } else { ("_PROMPT2", ">> ") };
    let mut text = Vec::new();
    if !stdlib::put_text(&mut text, cx.field(cx.globals(), name)) {
        text.extend_from_slice(default.as_bytes());
    }
    text
}

fn read_line(cx: Cx, input: &mut Input, first: bool) -> Line {
    let prompt = prompt(cx, first);
    match input {
        Input::Plain => {
            let _ = Stream::stdout().write(&prompt);
            let _ = Stream::stdout().flush();
            let mut line = Vec::new();
            if !Stream::stdin().read_line(&mut line) {
                return Line::End;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            Line::Text(line)
        }
        Input::Terminal(editor, _) => {
            let _ = Stream::stdout().flush();
            match editor.readline(&*String::from_utf8_lossy(&prompt)) {
                Ok(line) => Line::Text(line.into_bytes()),
                Err(ReadlineError::Interrupted) => Line::Interrupted,
                Err(_) => Line::End,
            }
        }
    }
}

/// Reads lines until they are a complete chunk, or wrong in another way than ending too early.
fn read_chunk(host: &Host<'_>, input: &mut Input) -> Line {
    let mut chunk = match read_line(host.cx, input, true) {
        Line::Text(line) => match line.strip_prefix(b"=") {
            Some(expression) => [b"return ", expression].concat(),
            None => line,
        },
        other => return other,
    };
    loop {
        match compile(host.cx, &chunk) {
            Err(message) if message.ends_with(b"'<eof>'") => {}
            _ => return Line::Text(chunk),
        }
        match read_line(host.cx, input, false) {
            Line::Text(more) => {
                chunk.push(b'\n');
                chunk.extend_from_slice(&more);
            }
            other => return other,
        }
    }
}

fn compile(cx: Cx, chunk: &[u8]) -> Result<Gc<Func>, Vec<u8>> {
    cx.load(chunk, b"=stdin", "t", None).map_err(|e| {
        let mut text = Vec::new();
        stdlib::put_text(&mut text, cx.take_error(e));
        text
    })
}

/// Runs a chunk and prints its results.
fn show_results(host: &Host<'_>, f: Gc<Func>) {
    let cx = host.cx;
    let top = cx.nargs();
    cx.push(cx.field(cx.globals(), "print"));
    cx.push(f);
    if let Ok(n) = host.call(0, -1)
        && n > 0
        && let Err(e) = cx.pcall_pushed(n, 0, None)
    {
        let mut text = b"error calling 'print' (".to_vec();
        stdlib::put_text(&mut text, e);
        text.push(b')');
        host.message(&text);
    }
    cx.set_top(top);
}

/// Completes names of globals and of fields of tables.
#[derive(Helper, Highlighter, Hinter, Validator)]
struct Names {
    cx: Cx,
}

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let before = &line[..pos];
        let start = before.rfind(|c| !is_name(c) && c != '.' && c != ':').map_or(0, |i| i + 1);
        let start = (start..=pos).find(|&i| before.is_char_boundary(i)).unwrap_or(pos);
        let mut parts: Vec<&str> = before[start..].split(['.', ':']).collect();
        let prefix = parts.pop().unwrap_or("");
        let mut t = Some(self.cx.globals());
        for part in parts {
            t = t.and_then(|t| self.fields_of(t.get_str(self.cx.str(part.as_bytes()))));
        }
        let mut found = Vec::new();
        let mut pos_in = 0;
        while let Some((next, k, _)) = t.and_then(|t| t.next_from(pos_in)) {
            if let Some(k) = k.as_str()
                && let Ok(k) = std::str::from_utf8(k.bytes())
                && k.starts_with(prefix)
            {
                found.push(k.to_owned());
            }
            pos_in = next;
        }
        found.sort();
        Ok((pos - prefix.len(), found))
    }
}

impl Names {
    /// The table in which fields of a value are found: itself, or the `__index` of its metatable.
    fn fields_of(&self, v: Value) -> Option<Gc<Table>> {
        v.as_table().or_else(|| self.cx.field(self.cx.metatable(v)?, "__index").as_table())
    }
}
