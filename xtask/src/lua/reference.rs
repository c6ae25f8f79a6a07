//! Building the reference implementation.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The version of the crate whose sources are built.
const CRATE: &str = "luajit-src-210.7";

/// The reference's binary, if it has been built (or is named by `RJIT_REFERENCE`).
pub fn find(root: &Path) -> Option<PathBuf> {
    let named = std::env::var_os("RJIT_REFERENCE").map(PathBuf::from);
    let built = super::target_directory(root).join("luajit-reference/src/luajit");
    named.or(Some(built)).filter(|p| p.is_file())
}

/// Builds the reference from the crate's sources, unless that has been done.
pub fn build(root: &Path) -> Result<PathBuf> {
    if let Some(found) = find(root) {
        return Ok(found);
    }
    let sources = sources(root)?;
    let to = super::target_directory(root).join("luajit-reference");
    eprintln!("xtask: building {} in {}", sources.display(), to.display());
    let _ = std::fs::remove_dir_all(&to);
    super::output(Command::new("cp").arg("-r").arg(&sources).arg(&to))?;
    super::output(Command::new("make").arg("-C").arg(to.join("src")).arg("luajit"))?;
    find(root).context("the build made no luajit")
}

/// The unpacked crate, fetched by cargo as a dependency of this one.
fn sources(root: &Path) -> Result<PathBuf> {
    let metadata =
        super::output(Command::new("cargo").args(["metadata", "--format-version", "1"]).current_dir(root))?;
    let text = String::from_utf8_lossy(&metadata.stdout).into_owned();
    // The quoted word that ends in this crate's manifest.
    let end = text
        .match_indices("/Cargo.toml\"")
        .map(|(at, _)| at)
        .find(|at| text[..*at].rsplit('/').next().is_some_and(|folder| folder.starts_with(CRATE)))
        .context("cargo does not know the crate luajit-src")?;
    let start = text[..end].rfind('"').map_or(0, |i| i + 1);
    let found = PathBuf::from(&text[start..end]).join("luajit2");
    ensure!(found.is_dir(), "{} is not a directory", found.display());
    Ok(found)
}
