//! Bytes of unknown encoding become text.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// The text of `bytes`, and the name of the encoding it was taken for.
///
/// A byte order mark decides; then whether all is UTF-8, whatever is declared (pages that declare Latin-1 and are UTF-8 are
/// common, and no other encoding looks like UTF-8 by chance); then what is declared, if it fits; then a guess.
pub(crate) fn decode<'b>(bytes: &'b [u8], declared: &[&str]) -> (Cow<'b, str>, &'static str) {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let (text, _) = encoding.decode_without_bom_handling(&bytes[mark..]);
        return (text, encoding.name());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (Cow::Borrowed(text), UTF_8.name());
    }
    for label in declared {
        if let Some(encoding) = Encoding::for_label(label.trim().as_bytes()).filter(|&encoding| encoding != UTF_8) {
            let (text, has_errors) = encoding.decode_without_bom_handling(bytes);
            if !has_errors {
                return (text, encoding.name());
            }
        }
    }
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    let encoding = detector.guess(None, chardetng::Utf8Detection::Allow);
    (encoding.decode_without_bom_handling(bytes).0, encoding.name())
}

/// What a page says of its own encoding within its first kilobyte: `<meta charset=...>`, and the like.
pub(crate) fn declared_in_page(bytes: &[u8]) -> Option<&str> {
    let start = &bytes[..bytes.len().min(1024)];
    let at = start.windows(8).position(|window| window.eq_ignore_ascii_case(b"charset="))? + 8;
    let rest = &start[at..];
    let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'")).unwrap_or(rest);
    let end = rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"-_:.".contains(byte)));
    std::str::from_utf8(&rest[..end.unwrap_or(rest.len())]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], declared: &[&str], text: &str, encoding: &str) {
        assert_eq!(decode(bytes, declared), (Cow::Borrowed(text), encoding));
    }

    #[test]
    fn encodings_are_found_even_when_another_is_declared() {
        let german = "Die Straße führt über die Brücke, und niemand weiß, wohin; früher hieß sie anders.";
        let (latin1, _, _) = encoding_rs::WINDOWS_1252.encode(german);
        check(german.as_bytes(), &["iso-8859-1"], german, "UTF-8");
        check(&latin1, &["iso-8859-1"], german, "windows-1252");
        check(&latin1, &["utf-8"], german, "windows-1252");
        check(&latin1, &["no-such-encoding"], german, "windows-1252");
        let chinese = "中文网页常常使用国标编码，而声明却写着别的。";
        let (gbk, _, _) = encoding_rs::GBK.encode(chinese);
        check(&gbk, &["gb2312"], chinese, "GBK");
        check(&gbk, &["utf-8"], chinese, "GBK");
        let utf16: Vec<u8> = [0xfeff].into_iter().chain("ab".encode_utf16()).flat_map(u16::to_le_bytes).collect();
        check(&utf16, &[], "ab", "UTF-16LE");
        check(b"\xef\xbb\xbfab", &["gbk"], "ab", "UTF-8");
    }

    #[test]
    fn pages_declare_their_encoding() {
        for (page, found) in [
            (&b"<meta charset=\"gbk\">"[..], Some("gbk")),
            (b"<META http-equiv=x content='text/html; CHARSET=iso-8859-1'>", Some("iso-8859-1")),
            (b"<meta charset='utf-8'/>", Some("utf-8")),
            (b"<p>", None),
        ] {
            assert_eq!(declared_in_page(page), found);
        }
    }
}
