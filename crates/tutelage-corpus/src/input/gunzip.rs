//! Gzip with many members, as crawls have one for each record: after a damaged member reading goes on at the next.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The content of all members, one after the other.
pub(super) struct Gunzip<R> {
    state: State<R>,
}

enum State<R> {
    /// Before a member.
    Between(Counted<R>),
    Member(Box<GzDecoder<Counted<R>>>),
    Ended,
}

impl<R: BufRead> Gunzip<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { state: State::Between(Counted { inner, at: 0, front: Vec::new() }) }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(0),
                State::Between(mut inner) => {
                    // Some writers pad files with zeros.
                    let padding = skip_zeros(&mut inner)?;
                    let start = inner.fill_buf()?;
                    if start.is_empty() {
                        return Ok(0);
                    }
                    if padding && !start.starts_with(&MAGIC[..start.len().min(MAGIC.len())]) {
                        return self.damaged(inner, "what follows is no gzip member");
                    }
                    self.state = State::Member(Box::new(GzDecoder::new(inner)));
                }
                State::Member(mut member) => match member.read(out) {
                    Ok(0) => self.state = State::Between(member.into_inner()),
                    Ok(read) => {
                        self.state = State::Member(member);
                        return Ok(read);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Other => return Err(error),
                    Err(error) => return self.damaged(member.into_inner(), &error.to_string()),
                },
            }
        }
    }
}

impl<R: BufRead> Gunzip<R> {
    /// Finds the next member, and reports the damage before it.
    fn damaged(&mut self, mut inner: Counted<R>, found: &str) -> io::Result<usize> {
        let at = inner.at;
        let found = match next_member(&mut inner)? {
            true => {
                let found = format!("gzip damaged before byte {at} ({found}); reading goes on at byte {}", inner.at);
                self.state = State::Between(inner);
                found
            }
            false => format!("gzip damaged before byte {at} ({found}), and no whole member follows"),
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, found))
    }
}

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Of a member's header: magic, flags, time, extra flags, system.
const HEADER: usize = 10;

/// Moves to the next header of a member; false at the end of the file.
fn next_member<R: BufRead>(inner: &mut Counted<R>) -> io::Result<bool> {
    // The end of the buffers before, in which a header may begin.
    let mut before: Vec<u8> = Vec::new();
    loop {
        let buffer = inner.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let (seen, len) = (before.len(), buffer.len());
        before.extend_from_slice(buffer);
        if let Some(at) = before.windows(HEADER).position(is_header) {
            if at >= seen {
                inner.consume(at - seen);
            } else {
                inner.put_back(&before[at..seen]);
            }
            return Ok(true);
        }
        inner.consume(len);
        before.drain(..before.len().saturating_sub(HEADER - 1));
    }
}

fn is_header(bytes: &[u8]) -> bool {
    // No reserved flags, an extra flag and a system that exist.
    bytes.starts_with(&MAGIC)
        && bytes[3] & 0xe0 == 0
        && matches!(bytes[8], 0 | 2 | 4)
        && (bytes[9] <= 13 || bytes[9] == 255)
}

/// Whether there were any.
fn skip_zeros<R: BufRead>(inner: &mut Counted<R>) -> io::Result<bool> {
    let mut any = false;
    loop {
        let buffer = inner.fill_buf()?;
        let zeros = buffer.iter().take_while(|&&byte| byte == 0).count();
        if zeros == 0 {
            return Ok(any);
        }
        any = true;
        inner.consume(zeros);
    }
}

/// A reader that knows where it is, and takes bytes back.
struct Counted<R> {
    inner: R,
    at: u64,
    front: Vec<u8>,
}

impl<R> Counted<R> {
    fn put_back(&mut self, bytes: &[u8]) {
        self.at -= bytes.len() as u64;
        self.front.splice(..0, bytes.iter().copied());
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let buffer = self.fill_buf()?;
        let len = buffer.len().min(out.len());
        out[..len].copy_from_slice(&buffer[..len]);
        self.consume(len);
        Ok(len)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.front.is_empty() { self.inner.fill_buf() } else { Ok(&self.front) }
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount as u64;
        if self.front.is_empty() {
            self.inner.consume(amount);
        } else {
            self.front.drain(..amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn member(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// What can be read, and the damage, with buffers of this size.
    fn read(bytes: &[u8], buffer: usize) -> (String, Vec<String>) {
        let mut reader = Gunzip::new(BufReader::with_capacity(buffer, bytes));
        let (mut text, mut damage) = (Vec::new(), Vec::new());
        loop {
            let mut out = [0; 7];
            match reader.read(&mut out) {
                Ok(0) => return (String::from_utf8_lossy(&text).into_owned(), damage),
                Ok(n) => text.extend_from_slice(&out[..n]),
                Err(error) => damage.push(error.to_string()),
            }
        }
    }

    #[test]
    fn members_follow_each_other_with_padding_or_without() {
        let mut bytes = [member("one "), member(""), member("two ")].concat();
        assert_eq!(read(&bytes, 64), ("one two ".to_owned(), vec![]));
        bytes.extend_from_slice(&[0; 700]);
        assert_eq!(read(&bytes, 64), ("one two ".to_owned(), vec![]));
        assert_eq!(read(b"", 64), (String::new(), vec![]));
    }

    #[test]
    fn reading_goes_on_at_the_next_whole_member() {
        let text: String = (0..300u32).map(|i| format!("{} ", i.wrapping_mul(2_654_435_761))).collect();
        let (first, second, third) = (member("first "), member(&text), member("third"));
        for buffer in [11, 64, 4096] {
            let mut damaged = second.clone();
            let middle = damaged.len() / 2;
            damaged[middle..middle + 40].fill(0xff);
            let (found, faults) = read(&[&first[..], &damaged, &third].concat(), buffer);
            assert!(found.starts_with("first ") && found.ends_with("third"), "{found}");
            assert_eq!(faults.len(), 1, "{faults:?}");
            let at = first.len() + second.len();
            assert!(faults[0].contains(&format!("goes on at byte {at}")), "{faults:?}");

            let cut = [&first[..], &second[..second.len() - 9]].concat();
            let (found, faults) = read(&cut, buffer);
            assert!(found.starts_with("first ") && faults.len() == 1, "{found} {faults:?}");
            assert!(faults[0].contains("no whole member follows"), "{faults:?}");
        }
        let (found, faults) = read(b"plain text", 64);
        assert!(found.is_empty() && faults.len() == 1, "{faults:?}");
    }
}
