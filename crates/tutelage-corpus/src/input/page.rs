//! Records of a crawl become documents: texts as they are, pages as HTML that is still to be read.

use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::charset::{declared_in_page, decode};
use super::warc::header;
use crate::record::Fault;
use crate::{Reason, Record};

/// Name of the field that holds a page until its text is taken out of it.
pub(crate) const HTML_FIELD: &str = "html";

fn fault(reason: Reason, found: impl Into<String>) -> Fault {
    Fault { reason, found: found.into() }
}

/// The document of a record of a crawl.
///
/// # Errors
/// When it holds no page and no text, or is damaged.
pub(crate) fn of_warc(head: &[u8], body: &[u8], text_field: &str, max_bytes: usize) -> Result<Record, Fault> {
    let is_response = header(head, "warc-type").is_some_and(|kind| kind.eq_ignore_ascii_case("response"));
    let is_http = is_response && header(head, "content-type").is_none_or(|kind| kind.starts_with("application/http"));
    let mut record = match is_http {
        true => of_http(body, text_field, max_bytes)?,
        false => of_body(body, header(head, "content-type").unwrap_or("text/plain"), text_field)?,
    };
    let id = header(head, "warc-record-id").unwrap_or_default();
    let id = id.trim_start_matches('<').trim_end_matches('>').trim_start_matches("urn:uuid:");
    record.set("id", &id);
    for (name, field) in
        [("url", "warc-target-uri"), ("date", "warc-date"), ("declared_language", "warc-identified-content-language")]
    {
        if let Some(value) = header(head, field) {
            record.note(name, &value.trim_start_matches('<').trim_end_matches('>'));
        }
    }
    Ok(record)
}

/// The document of a file that is a page or a text.
pub(crate) fn of_file(name: &str, is_html: bool, bytes: &[u8], text_field: &str) -> Result<Record, Fault> {
    let mut record = of_body(bytes, if is_html { "text/html" } else { "text/plain" }, text_field)?;
    record.set("id", &name);
    Ok(record)
}

fn of_http(body: &[u8], text_field: &str, max_bytes: usize) -> Result<Record, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut response = httparse::Response::new(&mut headers);
    let start = match httparse::ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .parse_response(&mut response, body)
    {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) => return Err(fault(Reason::NotHttp, "the head of an answer ends early")),
        Err(error) => return Err(fault(Reason::NotHttp, error.to_string())),
    };
    if response.code != Some(200) {
        return Err(fault(Reason::HttpStatus, format!("status {}", response.code.unwrap_or(0))));
    }
    let field = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let content_type = field("content-type").unwrap_or("text/html");
    let mut content = body[start..].to_vec();
    // Crawlers often undo these and leave the head as it was: what does not look coded is taken as it is.
    if field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        && let Some(whole) = unchunked(&content)
    {
        content = whole;
    }
    let coding = field("content-encoding").unwrap_or_default().trim().to_ascii_lowercase();
    if let Some(whole) = decompressed(&coding, &content, max_bytes)? {
        content = whole;
    }
    of_body(&content, content_type, text_field)
}

/// Nothing if it is not compressed.
fn decompressed(coding: &str, content: &[u8], max_bytes: usize) -> Result<Option<Vec<u8>>, Fault> {
    let broken = |error: std::io::Error| fault(Reason::NotDecodable, format!("content-encoding {coding}: {error}"));
    let decoder: Box<dyn Read + '_> = match coding {
        "" | "identity" => return Ok(None),
        "gzip" | "x-gzip" if content.starts_with(&[0x1f, 0x8b]) => Box::new(MultiGzDecoder::new(content)),
        "deflate" if content.first().is_some_and(|byte| byte & 0xf == 8) => Box::new(ZlibDecoder::new(content)),
        "zstd" if content.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) => {
            Box::new(zstd::Decoder::new(content).map_err(broken)?)
        }
        // Text is what most crawlers keep; what is neither is not decodable.
        _ if std::str::from_utf8(&content[..content.len().min(64)]).is_ok_and(|start| !start.contains('\0')) => {
            return Ok(None);
        }
        _ => return Err(fault(Reason::NotDecodable, format!("content-encoding {coding} is not known here"))),
    };
    let mut out = Vec::new();
    decoder.take(max_bytes as u64 + 1).read_to_end(&mut out).map_err(broken)?;
    if out.len() > max_bytes {
        return Err(fault(Reason::TooLong, format!("decompresses to more than max_record_bytes, {max_bytes}")));
    }
    Ok(Some(out))
}

/// Nothing if it is not in chunks.
fn unchunked(content: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::with_capacity(content.len()), content);
    loop {
        let httparse::Status::Complete((start, len)) = httparse::parse_chunk_size(rest).ok()? else { return None };
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        if len == 0 {
            return Some(out);
        }
        out.extend_from_slice(rest.get(start..end)?);
        rest = rest.get(end..)?.strip_prefix(b"\r\n")?;
    }
}

fn of_body(bytes: &[u8], content_type: &str, text_field: &str) -> Result<Record, Fault> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = content_type.split(';').filter_map(|part| part.trim().split_once('=')).find_map(|(name, value)| {
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    });
    let is_html = matches!(&kind[..], "text/html" | "application/xhtml+xml");
    let is_text = is_html || matches!(&kind[..], "text/plain" | "text/markdown");
    if !is_text {
        return Err(fault(Reason::NotText, format!("content type {kind}")));
    }
    let of_page = if is_html { declared_in_page(bytes) } else { None };
    let declared: Vec<&str> = charset.into_iter().chain(of_page).collect();
    let (text, encoding) = decode(bytes, &declared);
    let mut record = match is_html {
        true => {
            let mut record = Record::without_text(text_field);
            record.set(HTML_FIELD, &text);
            record
        }
        false => Record::new(text_field, text.into_owned()),
    };
    if encoding != "UTF-8" {
        record.note("encoding", &encoding);
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn http(head: &str, body: &[u8]) -> Result<String, Reason> {
        let message = [format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat();
        of_http(&message, "text", 1000)
            .map(|record| record.string(HTML_FIELD).unwrap_or(record.text))
            .map_err(|fault| fault.reason)
    }

    #[test]
    fn answers_are_decoded() {
        let ok = |head: &str, body: &[u8]| http(&format!("200 OK\r\n{head}"), body);
        assert_eq!(ok("Content-Type: text/html", b"<p>a").unwrap(), "<p>a");
        assert_eq!(ok("Content-Type: text/plain; charset=latin1", b"stra\xdfe").unwrap(), "straße");
        let chunked = b"3\r\n<p>\r\n2;x=y\r\nab\r\n0\r\n\r\n";
        assert_eq!(ok("Transfer-Encoding: chunked", chunked).unwrap(), "<p>ab");
        assert_eq!(ok("Transfer-Encoding: chunked", b"<p>already whole").unwrap(), "<p>already whole");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(b"<p>zipped").unwrap();
        let gz = gz.finish().unwrap();
        assert_eq!(ok("Content-Encoding: gzip", &gz).unwrap(), "<p>zipped");
        assert_eq!(ok("Content-Encoding: gzip", b"<p>already plain").unwrap(), "<p>already plain");
        assert_eq!(ok("Content-Encoding: gzip", &gz[..gz.len() - 9]).unwrap_err(), Reason::NotDecodable);
        assert_eq!(ok("Content-Encoding: br", b"\x8b\xff\x00").unwrap_err(), Reason::NotDecodable);
        // A small body that would fill the memory.
        let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        bomb.write_all(&vec![b' '; 1 << 20]).unwrap();
        assert_eq!(ok("Content-Encoding: gzip", &bomb.finish().unwrap()).unwrap_err(), Reason::TooLong);
    }

    #[test]
    fn what_is_no_page_is_told() {
        assert_eq!(http("404 Not Found", b"<p>").unwrap_err(), Reason::HttpStatus);
        assert_eq!(http("200 OK\r\nContent-Type: image/png", b"\x89PNG").unwrap_err(), Reason::NotText);
        assert_eq!(of_http(b"HTTP/1.1 200 OK\r\nContent-", "text", 10).unwrap_err().reason, Reason::NotHttp);
        assert_eq!(of_http(b"\x00\x01", "text", 10).unwrap_err().reason, Reason::NotHttp);
    }
}
