//! Escapes of half a surrogate pair in JSON: Python writes them, and strings of Rust cannot hold them.

/// The line with `\ufffd` in place of each half that stands alone; nothing if there is none.
pub(super) fn replaced(line: &str) -> Option<String> {
    let bytes = line.as_bytes();
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match escape(bytes, at) {
            Some(0xd800..=0xdbff) if matches!(escape(bytes, at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                out.get_or_insert_with(|| bytes.to_vec())[at + 2..at + 6].copy_from_slice(b"fffd");
                at += 6;
            }
            // Whatever else is escaped takes the next character along, a backslash too.
            _ => at += 2,
        }
    }
    // Only ASCII was replaced by ASCII.
    String::from_utf8(out?).ok()
}

/// The code unit of `\uXXXX` at `at`.
fn escape(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
