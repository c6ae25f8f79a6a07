//! Numbers as text: what `tostring` prints and `tonumber` reads.

/// Appends a number in the format of `tostring` (`%.14g`, `nan`, `inf`).
pub fn format(n: f64, out: &mut Vec<u8>) {
    if n.fract() == 0.0 && n.abs() < 1e14 && !(n == 0.0 && n.is_sign_negative()) {
        out.extend_from_slice((n as i64).to_string().as_bytes());
    } else if n.is_finite() {
        out.extend_from_slice(n.to_string().as_bytes());
    } else if n.is_nan() {
        out.extend_from_slice(b"nan");
    } else {
        out.extend_from_slice(if n > 0.0 { b"inf" } else { b"-inf" });
    }
}

/// Reads a whole string as a number, with the blanks around it; `None` if it is none.
pub fn parse(s: &[u8]) -> Option<f64> {
    let s = std::str::from_utf8(s).ok()?.trim();
    if let Some(h) = s.strip_prefix("0x") {
        return u64::from_str_radix(h, 16).ok().map(|n| n as f64);
    }
    if s.contains("inf") || s.contains("nan") { None } else { s.parse().ok() }
}
