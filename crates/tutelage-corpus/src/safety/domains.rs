//! Blocked domains: millions of names in a few bytes each.
//!
//! A name is kept as 52 bits of its hash: the first 20 choose a bucket, the other 32 lie in it. Thirteen million names take 56 MB, and a
//! name that is not among them is taken for one with a probability of 3e-9. An entry blocks its domain and all below it; an
//! entry that is a public suffix, such as `co.uk` or `github.io`, blocks the name alone, not the domains of others below it.

use std::io::{BufRead, BufReader};
use std::path::Path;

use psl::Psl;
use tutelage_run::FileError;
use twox_hash::XxHash3_64;

/// A set of domains.
#[derive(Debug)]
pub(super) struct Domains {
    /// Where each bucket begins, and where the last one ends.
    starts: Vec<u32>,
    rests: Vec<u32>,
    /// Lines of the lists that are not UTF-8.
    unread: u64,
}

const BUCKET_BITS: u32 = 20;

fn bucket_and_rest(name: &str) -> (usize, u32) {
    let hash = XxHash3_64::oneshot(name.as_bytes());
    ((hash >> (64 - BUCKET_BITS)) as usize, hash as u32)
}

impl Domains {
    /// Reads lists of a domain a line; `#` begins a comment, and lines of hosts files (`0.0.0.0 name`) are read too.
    pub(super) fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Self, FileError> {
        // Twice over the files, so that nothing but the set itself is ever in memory.
        let (mut starts, mut unread) = (vec![0u32; (1 << BUCKET_BITS) + 2], 0);
        for path in paths {
            unread += each(path.as_ref(), |name| starts[bucket_and_rest(name).0 + 2] += 1)?;
        }
        for i in 2..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut rests = vec![0u32; starts[starts.len() - 1] as usize];
        for path in paths {
            each(path.as_ref(), |name| {
                let (bucket, rest) = bucket_and_rest(name);
                let next = &mut starts[bucket + 1];
                // A list that grew in between has names for which there is no place; the next run has them.
                if let Some(place) = rests.get_mut(*next as usize) {
                    *place = rest;
                    *next += 1;
                }
            })?;
        }
        starts.pop();
        Ok(Self { starts, rests, unread })
    }

    pub(super) fn len(&self) -> usize {
        self.rests.len()
    }

    /// Lines of the lists that are not UTF-8, and were passed over.
    pub(super) fn unread(&self) -> u64 {
        self.unread
    }

    fn has(&self, name: &str) -> bool {
        let (bucket, rest) = bucket_and_rest(name);
        self.rests[self.starts[bucket] as usize..self.starts[bucket + 1] as usize].contains(&rest)
    }

    /// Whether the host of `url`, or a domain that it is below, is blocked.
    pub(super) fn blocks(&self, url: &str) -> bool {
        let Some(host) = host(url) else { return false };
        let host = plain(host);
        if self.has(&host) {
            return true;
        }
        // Up to what someone has registered; above that are suffixes, which are nobody's.
        let registered = psl::List.domain(host.as_bytes()).map_or(host.len(), |domain| domain.as_bytes().len());
        let mut rest = &host[..];
        while let Some((_, above)) = rest.split_once('.') {
            if above.len() < registered {
                return false;
            }
            if self.has(above) {
                return true;
            }
            rest = above;
        }
        false
    }
}

/// A name as resolvers ask for it: small letters, other scripts as `xn--`.
fn plain(name: &str) -> String {
    match name.is_ascii() {
        true => name.to_ascii_lowercase(),
        // What cannot be a name is compared as it is.
        false => idna::domain_to_ascii(name).unwrap_or_else(|_| name.to_lowercase()),
    }
}

/// Calls `take` with every name of a list; gives the number of lines that are not UTF-8.
fn each(path: &Path, mut take: impl FnMut(&str)) -> Result<u64, FileError> {
    let io = |error| FileError::io("read", path)(error);
    let file = std::fs::File::open(path).map_err(io)?;
    let mut reader: Box<dyn BufRead> = match path.extension().is_some_and(|ending| ending == "gz") {
        true => Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(file))),
        false => Box::new(BufReader::with_capacity(1 << 18, file)),
    };
    let (mut line, mut unread) = (Vec::new(), 0);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(io)? == 0 {
            return Ok(unread);
        }
        match std::str::from_utf8(&line) {
            Ok(line) => name_of(line).iter().for_each(|name| take(name)),
            Err(_) => unread += 1,
        }
    }
}

/// The name in a line of a list.
fn name_of(line: &str) -> Option<String> {
    let line = line.split('#').next().unwrap_or_default();
    // In hosts files the last word is the name.
    let name = line.split_ascii_whitespace().next_back()?;
    let name = host(name).unwrap_or(name);
    let name = name.trim_start_matches("*.").trim_matches('.');
    (!name.is_empty()).then(|| plain(name))
}

/// The host of an address, with or without its scheme.
pub fn host(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(six) => six.split(']').next()?,
        None => host.split(':').next()?,
    };
    let host = host.trim_end_matches('.');
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use tutelage_testkit::Scratch;

    use super::*;

    fn domains(name: &str, list: &str) -> Domains {
        let folder = Scratch::new(name);
        let path = folder.join("list.txt");
        std::fs::write(&path, list).unwrap();
        Domains::read(&[&path]).unwrap()
    }

    #[test]
    fn a_domain_blocks_what_is_below_it() {
        let list =
            "# bad\nBad.example.com\n0.0.0.0 tracker.net # hosts\nhttp://shop.co.uk/\n*.wild.org\n\nblog.github.io\n";
        let found = domains("domains-below", list);
        assert_eq!(found.len(), 5);
        for (url, blocked) in [
            ("http://bad.example.com/x", true),
            ("https://a.b.bad.example.com:8080/?q", true),
            ("http://example.com/bad.example.com", false),
            ("http://notbad.example.com", false),
            ("tracker.net", true),
            ("http://user:pass@www.TRACKER.net./", true),
            ("http://shop.co.uk", true),
            ("http://other.co.uk", false),
            ("http://x.wild.org", true),
            ("http://blog.github.io", true),
            ("http://other.github.io", false),
            ("", false),
        ] {
            assert_eq!(found.blocks(url), blocked, "{url}");
        }
    }

    #[test]
    fn a_suffix_blocks_nobody_elses_domain() {
        let found = domains("domains-suffix", "co.uk\ngithub.io\ncom\n");
        assert!(
            !found.blocks("http://shop.co.uk")
                && !found.blocks("http://blog.github.io")
                && !found.blocks("http://x.com")
        );
        assert!(found.blocks("http://github.io/about"));
    }

    #[test]
    fn names_of_other_scripts_are_one_name() {
        // Encoded by hand as RFC 3492 has it: "mnchen", and where and what is put in.
        let found = domains("domains-scripts", "M\u{fc}nchen.example\nxn--fiqs8s.example\n");
        for url in
            ["http://xn--mnchen-3ya.example/", "https://www.m\u{fc}nchen.example", "http://\u{4e2d}\u{56fd}.example"]
        {
            assert!(found.blocks(url), "{url}");
        }
        assert!(!found.blocks("http://munchen.example"));
    }

    #[test]
    fn lines_that_are_no_utf8_are_counted() {
        let folder = Scratch::new("domains-unread");
        let path = folder.join("list.txt");
        std::fs::write(&path, b"bad.example\nm\xfcnchen.example\nworse.example\n").unwrap();
        let found = Domains::read(&[&path]).unwrap();
        assert_eq!((found.len(), found.unread()), (2, 1));
    }

    #[test]
    fn many_names_take_little() {
        let list: String = (0..200_000).map(|i| format!("site{i}.example{}.com\n", i % 977)).collect();
        let found = domains("domains-many", &list);
        assert_eq!(found.len(), 200_000);
        assert!((0..200_000).all(|i| found.has(&format!("site{i}.example{}.com", i % 977))));
        assert!(!(0..200_000).any(|i| found.has(&format!("other{i}.com"))));
    }
}
