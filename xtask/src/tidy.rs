//! House rules that no compiler checks.
//!
//! - every Rust file opens with a `//!` header, every hazard program with its directives (its own suite);
//! - every `unsafe` block, and every `unsafe impl`, has a `SAFETY:` comment close above;
//! - no file of Rust is longer than [`LONGEST`] lines;
//! - no notes to self ([`NOTES`]) and no disabled tests;
//! - paths that `README.md` and `docs/` name in backticks or link to exist.
//!
//! All violations are reported at once, as `file:line: what`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Lines of the longest acceptable Rust file.
const LONGEST: usize = 1200;
/// Lines above an `unsafe` block in which its `SAFETY:` comment must begin.
const SAFETY_WITHIN: usize = 12;
/// Notes that belong into the issue tracker; split, so that this file does not contain them.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Checks every file that git knows (or would add).
///
/// # Errors
/// With all violations, one a line.
pub fn check(root: &Path) -> Result<()> {
    let mut violations = Vec::new();
    for file in files(root)? {
        let Ok(text) = fs::read_to_string(root.join(&file)) else {
            continue; // Deleted in the work tree, or not text.
        };
        let shown = file.display().to_string();
        let mut report = |line: usize, what: String| violations.push(format!("{shown}:{line}: {what}"));
        match file.extension().and_then(|e| e.to_str()) {
            Some("rs") => rust(&text, &mut report),
            Some("md") if file.starts_with("docs") || shown == "README.md" => {
                document(root, &file, &text, &mut report);
            }
            _ => {}
        }
        if matches!(
            file.extension().and_then(|e| e.to_str()),
            Some("rs" | "c" | "cpp" | "S" | "sh" | "toml" | "md")
        ) {
            notes(&text, &mut report);
        }
    }
    if violations.is_empty() {
        eprintln!("xtask: tidy");
        return Ok(());
    }
    bail!("{} untidy places:\n{}", violations.len(), violations.join("\n"))
}

/// Tracked and new files, without what `.gitignore` excludes.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect())
}

fn rust(text: &str, report: &mut impl FnMut(usize, String)) {
    if !text.trim_start().starts_with("//!") {
        report(1, "no `//!` header: say what lives here, what it assumes, what it guarantees".into());
    }
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > LONGEST {
        report(lines.len(), format!("more than {LONGEST} lines: split it by topic"));
    }
    for (n, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or("");
        // The patterns are split for the same reason as the notes.
        let opens = [concat!("unsafe", " {"), concat!("unsafe", " impl ")].iter().any(|p| code.contains(p));
        let in_text = code.contains('"');
        if opens && !in_text {
            let above = &lines[n.saturating_sub(SAFETY_WITHIN)..=n];
            if !above.iter().any(|l| l.contains("SAFETY:")) {
                report(n + 1, format!("no `SAFETY:` comment within {SAFETY_WITHIN} lines"));
            }
        }
        if line.trim_start().starts_with(concat!("#[ig", "nore")) {
            report(n + 1, "a disabled test: repair or remove it".into());
        }
    }
}

fn notes(text: &str, report: &mut impl FnMut(usize, String)) {
    for (n, line) in text.lines().enumerate() {
        for note in NOTES {
            let alone = |part: Option<char>| part.is_none_or(|c| !c.is_alphanumeric() && c != '_');
            let found = line.match_indices(note).any(|(at, _)| {
                alone(line[..at].chars().next_back()) && alone(line[at + note.len()..].chars().next())
            });
            if found {
                report(n + 1, format!("{note}: write an issue instead"));
            }
        }
    }
}

fn document(root: &Path, file: &Path, text: &str, report: &mut impl FnMut(usize, String)) {
    let mut fenced = false;
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        for quoted in line.split('`').skip(1).step_by(2) {
            if looks_like_path(root, quoted) && !root.join(quoted.trim_end_matches('/')).exists() {
                report(n + 1, format!("`{quoted}` does not exist"));
            }
        }
        for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or("");
            let local = !target.is_empty() && !target.contains(':');
            let base = root.join(file.parent().unwrap_or(Path::new("")));
            if local && !base.join(target).exists() {
                report(n + 1, format!("the link to {target} leads nowhere"));
            }
        }
    }
}

/// A path within the repository: its first part is a directory there (or `.ci`), it has a second part, and
/// no placeholder.
fn looks_like_path(root: &Path, text: &str) -> bool {
    let Some((first, rest)) = text.split_once('/') else { return false };
    let plain = |c: char| c.is_alphanumeric() || "._-/".contains(c);
    !first.is_empty()
        && first != "target"
        && !rest.is_empty()
        && text.chars().all(plain)
        && root.join(first).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_rust(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        rust(text, &mut |line, what| found.push(format!("{line}: {what}")));
        found
    }

    #[test]
    fn a_header_is_required() {
        assert!(of_rust("//! What it is.\nfn f() {}\n").is_empty());
        assert_eq!(of_rust("fn f() {}\n").len(), 1);
    }

    #[test]
    fn safety_comments_are_required() {
        let block = format!("//! x\nfn f() {{\n    {} g() }};\n}}\n", concat!("unsafe", " {"));
        assert_eq!(of_rust(&block).len(), 1);
        let documented = block.replace("fn f", "// SAFETY: g has no contract.\nfn f");
        assert!(of_rust(&documented).is_empty());
    }

    #[test]
    fn notes_are_whole_words() {
        let mut found = 0;
        notes(&format!("// {}: later", NOTES[0]), &mut |_, _| found += 1);
        notes(&format!("MAST{}N", NOTES[0]), &mut |_, _| found += 1);
        assert_eq!(found, 1);
    }

    #[test]
    fn dead_paths_in_documents_are_found() {
        let root = tempfile::tempdir().expect("temporary directory");
        fs::create_dir_all(root.path().join("docs")).expect("docs");
        fs::write(root.path().join("docs/a.md"), "x").expect("a.md");
        let mut found = Vec::new();
        let text = "`docs/a.md` `docs/b.md` `a/b` `docs/<name>.md` [a](a.md) [c](c.md#x) [w](https://x.y)\n```\n`docs/c.md`\n```\n";
        document(root.path(), Path::new("docs/x.md"), text, &mut |_, what| found.push(what));
        assert_eq!(found, ["`docs/b.md` does not exist", "the link to c.md leads nowhere"]);
    }
}
