//! Personal data: mail addresses, numbers of machines, telephone numbers, each replaced by a word that says what stood there.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use regex::Regex;
use serde::{Deserialize, Serialize};

/// What is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Personal {
    /// Mail addresses.
    Email,
    /// IP addresses of machines that anyone can reach.
    Ip,
    /// Telephone numbers: international ones, those of North America, mobile numbers of China.
    Phone,
}

impl Personal {
    /// As manifests count what was masked.
    pub(super) fn masked(self) -> &'static str {
        match self {
            Self::Email => "safety_masked_email",
            Self::Ip => "safety_masked_ip",
            Self::Phone => "safety_masked_phone",
        }
    }
}

/// Finds personal data.
#[derive(Debug)]
pub(super) struct Mask {
    email: Regex,
    ipv4: Regex,
    ipv6: Regex,
    phone: Regex,
}

impl Mask {
    #[allow(clippy::expect_used, reason = "the patterns are constants, which a test compiles")]
    pub(super) fn new() -> Self {
        let compile = |pattern: &str| Regex::new(pattern).expect("a constant");
        Self {
            email: compile(
                r"(?i)[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}\b",
            ),
            ipv4: compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
            ipv6: compile(r"(?i)[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}"),
            phone: compile(
                r"(?x)
                \+\d{1,3}[\s.\-/]?(?:\(\d{1,4}\)[\s.\-/]?)?\d{1,4}(?:[\s.\-/]?\d{2,4}){2,4}  # international
                | \(\d{3}\)\s?\d{3}[-.\s]\d{4} | \b\d{3}[-.]\d{3}[-.]\d{4}                       # North America
                | \b1[3-9]\d[\s-]?\d{4}[\s-]?\d{4}                                               # China, mobile
                ",
            ),
        }
    }

    /// The text without them, and how many there were.
    pub(super) fn apply<'t>(&self, what: Personal, text: &'t str) -> (Cow<'t, str>, u64) {
        let mut count = 0;
        // Most texts have none, and one byte tells.
        let has = |bytes: &[u8]| bytes.iter().any(|&byte| memchr::memchr(byte, text.as_bytes()).is_some());
        let out = match what {
            Personal::Email if has(b"@") => self.email.replace_all(text, |_: &regex::Captures<'_>| {
                count += 1;
                "<EMAIL>"
            }),
            Personal::Ip if has(b".:") => {
                let mut replace = |found: &regex::Captures<'_>| {
                    let is_public = is_public(&found[0]);
                    count += u64::from(is_public);
                    if is_public { "<IP>".to_owned() } else { found[0].to_owned() }
                };
                match self.ipv4.replace_all(text, &mut replace) {
                    Cow::Borrowed(text) => self.ipv6.replace_all(text, &mut replace),
                    Cow::Owned(text) => Cow::Owned(self.ipv6.replace_all(&text, &mut replace).into_owned()),
                }
            }
            Personal::Phone => self.phone.replace_all(text, |found: &regex::Captures<'_>| {
                let whole = found.get(0).map_or(0..0, |found| found.range());
                // A part of a longer number is none.
                let joined = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric());
                if joined(text[..whole.start].chars().next_back()) || joined(text[whole.end..].chars().next()) {
                    return found[0].to_owned();
                }
                count += 1;
                "<PHONE>".to_owned()
            }),
            _ => Cow::Borrowed(text),
        };
        if count == 0 { (Cow::Borrowed(text), 0) } else { (out, count) }
    }
}

/// Whether it is the address of a machine that can be reached from anywhere.
fn is_public(text: &str) -> bool {
    if let Ok(four) = text.parse::<Ipv4Addr>() {
        let [a, b, ..] = four.octets();
        let is_shared = a == 100 && (64..128).contains(&b);
        return !(four.is_private()
            || four.is_loopback()
            || four.is_link_local()
            || four.is_broadcast()
            || four.is_documentation()
            || four.is_multicast()
            || is_shared
            || a == 0
            || a >= 240);
    }
    match text.parse::<Ipv6Addr>() {
        // Of the block that is given out.
        Ok(six) => six.segments()[0] & 0xe000 == 0x2000 && six.segments()[..2] != [0x2001, 0x0db8],
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(what: Personal, text: &str, masked: &str) {
        assert_eq!(Mask::new().apply(what, text).0, masked, "{text}");
    }

    #[test]
    fn personal_data_is_masked_and_other_numbers_stay() {
        check(Personal::Email, "Write to Jane.Doe+x@mail.example.co.uk, or not@all", "Write to <EMAIL>, or not@all");
        check(Personal::Email, "a@b.org;c@d.net @handle", "<EMAIL>;<EMAIL> @handle");
        check(
            Personal::Ip,
            "from 8.8.8.8 to 192.168.1.1, 10.0.0.1 and 127.0.0.1",
            "from <IP> to 192.168.1.1, 10.0.0.1 and 127.0.0.1",
        );
        check(Personal::Ip, "version 1.2.3, 999.1.1.1, at 12:30:45", "version 1.2.3, 999.1.1.1, at 12:30:45");
        check(Personal::Ip, "2a00:1450:4001:81b::200e and fe80::1 and ::", "<IP> and fe80::1 and ::");
        check(Personal::Phone, "+49 30 1234567, +1 (555) 123-4567, 13812345678", "<PHONE>, <PHONE>, <PHONE>");
        check(Personal::Phone, "(555) 123-4567 or 555-123-4567.", "<PHONE> or <PHONE>.");
        check(
            Personal::Phone,
            "in 1998-2004, 3.14159265, ISBN 978-3-16-148410-0, id138123456789",
            "in 1998-2004, 3.14159265, ISBN 978-3-16-148410-0, id138123456789",
        );
    }

    #[test]
    fn they_are_counted() {
        assert_eq!(Mask::new().apply(Personal::Email, "a@b.org c@d.net").1, 2);
        assert_eq!(Mask::new().apply(Personal::Ip, "10.0.0.1").1, 0);
    }
}
