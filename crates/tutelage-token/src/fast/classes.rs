//! Classes of characters as regular expressions have them: letters, numbers, white space, marks. The tables are those of the library
//! that the patterns are otherwise carried out by, so both have one version of Unicode.

use regex_syntax::hir::{Class, HirKind};

use crate::TokenError;

pub(super) const LETTER: u8 = 1;
pub(super) const NUMBER: u8 = 2;
pub(super) const SPACE: u8 = 4;
pub(super) const MARK: u8 = 8;

const BLOCK: usize = 128;

/// A byte of classes for each character.
#[derive(Debug)]
pub(super) struct Classes {
    ascii: [u8; 128],
    /// The block of each 128 characters.
    blocks: Vec<u16>,
    bytes: Vec<u8>,
}

impl Classes {
    pub(super) fn new() -> Result<Self, TokenError> {
        let mut all = vec![0u8; 0x11_0000];
        for (pattern, class) in [(r"\p{L}", LETTER), (r"\p{N}", NUMBER), (r"\s", SPACE), (r"\p{M}", MARK)] {
            let hir = regex_syntax::parse(pattern).map_err(|error| TokenError::Library(error.to_string()))?;
            let HirKind::Class(Class::Unicode(found)) = hir.kind() else {
                return Err(TokenError::Library(format!("{pattern} is no class of characters")));
            };
            for range in found.ranges() {
                all[u32::from(range.start()) as usize..=u32::from(range.end()) as usize]
                    .iter_mut()
                    .for_each(|c| *c |= class);
            }
        }
        let mut ascii = [0; 128];
        ascii.copy_from_slice(&all[..128]);
        let (mut blocks, mut bytes): (Vec<u16>, Vec<u8>) = (Vec::new(), Vec::new());
        for block in all.chunks_exact(BLOCK) {
            let known = bytes.chunks_exact(BLOCK).position(|known| known == block);
            blocks.push(known.unwrap_or(bytes.len() / BLOCK) as u16);
            if known.is_none() {
                bytes.extend_from_slice(block);
            }
        }
        Ok(Self { ascii, blocks, bytes })
    }

    /// The classes of the character at a byte of valid UTF-8, and its length; of nothing at the end.
    #[inline]
    pub(super) fn at(&self, text: &[u8], at: usize) -> (u8, usize) {
        let Some(&first) = text.get(at) else { return (0, 0) };
        if first < 128 {
            return (self.ascii[usize::from(first)], 1);
        }
        let (code, len) = decode(&text[at..]);
        let block = usize::from(self.blocks[code as usize / BLOCK]);
        (self.bytes[block * BLOCK + code as usize % BLOCK], len)
    }
}

/// The first character of valid UTF-8 that is not ASCII.
#[inline]
fn decode(bytes: &[u8]) -> (u32, usize) {
    let more = |at: usize| u32::from(bytes.get(at).copied().unwrap_or(0) & 0x3f);
    match bytes[0] {
        first @ 0xf0.. => (u32::from(first & 7) << 18 | more(1) << 12 | more(2) << 6 | more(3), 4),
        first @ 0xe0.. => (u32::from(first & 15) << 12 | more(1) << 6 | more(2), 3),
        first => (u32::from(first & 31) << 6 | more(1), 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_have_their_classes() {
        let classes = Classes::new().unwrap();
        let of = |text: &str| classes.at(text.as_bytes(), 0);
        assert_eq!((of("a"), of("5"), of(" "), of("!")), ((LETTER, 1), (NUMBER, 1), (SPACE, 1), (0, 1)));
        assert_eq!((of("é"), of("中"), of("𐐀"), of("\u{301}")), ((LETTER, 2), (LETTER, 3), (LETTER, 4), (MARK, 2)));
        assert_eq!((of("\u{3000}"), of("½"), of("😀")), ((SPACE, 3), (NUMBER, 2), (0, 4)));
        assert_eq!((of(""), of("\u{10ffff}")), ((0, 0), (0, 4)));
    }
}
