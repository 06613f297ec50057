//! Runs of bytes that stand before elsewhere, by the suffix array of all texts.
//!
//! Suffixes that have the first `least` bytes in common follow each other in the array. The one that stands first in the texts stays;
//! what the others begin with is cut.

use libsais::SuffixArrayConstruction;

use super::Cut;
use crate::CorpusError;

/// What is to be cut, by document. `text` is all texts with a byte after each that is in none; `starts` where they begin, and the end.
pub(super) fn repeated(text: &[u8], starts: &[u64], least: usize) -> Result<Vec<Cut>, CorpusError> {
    if text.len() <= least {
        return Ok(Vec::new());
    }
    let failed = |error: libsais::LibsaisError| CorpusError::Panicked(format!("the suffix array: {error}"));
    let flags = if text.len() < i32::MAX as usize {
        let array = SuffixArrayConstruction::for_text(text).in_owned_buffer32().single_threaded().run();
        let array = array.map_err(failed)?.plcp_construction().single_threaded().run().map_err(failed)?;
        flags(text.len(), array.suffix_array(), array.plcp(), starts, least)
    } else {
        let array = SuffixArrayConstruction::for_text(text).in_owned_buffer64().single_threaded().run();
        let array = array.map_err(failed)?.plcp_construction().single_threaded().run().map_err(failed)?;
        flags(text.len(), array.suffix_array(), array.plcp(), starts, least)
    };
    Ok(cuts(&flags, starts, least))
}

/// A bit for each place whose next `least` bytes stand elsewhere before.
fn flags<N: Copy + Into<i64>>(n: usize, array: &[N], plcp: &[N], starts: &[u64], least: usize) -> Vec<u64> {
    let mut flags = vec![0u64; n.div_ceil(64)];
    let place = |i: usize| array[i].into() as usize;
    // The longest common prefix of a suffix with the one before it in the array.
    let joins = |i: usize| plcp[place(i)].into() as usize >= least;
    let mut i = 0;
    while i < array.len() {
        let mut end = i + 1;
        while end < array.len() && joins(end) {
            end += 1;
        }
        if end > i + 1 && is_inside(place(i), starts, least) {
            let first = (i..end).map(place).min().unwrap_or(0);
            for at in (i..end).map(place).filter(|&at| at != first) {
                flags[at / 64] |= 1 << (at % 64);
            }
        }
        i = end;
    }
    flags
}

/// Whether the bytes from there on are of one text. They are the same for all of a run, borders too.
fn is_inside(at: usize, starts: &[u64], least: usize) -> bool {
    let document = starts.partition_point(|&start| start <= at as u64);
    starts.get(document).is_some_and(|&next| ((at + least) as u64) < next)
}

fn cuts(flags: &[u64], starts: &[u64], least: usize) -> Vec<Cut> {
    let mut cuts: Vec<Cut> = Vec::new();
    for (word, &bits) in flags.iter().enumerate().filter(|(_, bits)| **bits != 0) {
        for bit in (0..64).filter(|bit| bits >> bit & 1 == 1) {
            let at = (64 * word + bit) as u64;
            let document = starts.partition_point(|&start| start <= at) - 1;
            let start = (at - starts[document]) as u32;
            let end = start + least as u32;
            match cuts.last_mut() {
                Some(last) if last.document == document as u32 && start <= last.end => last.end = end,
                _ => cuts.push(Cut { document: document as u32, start, end }),
            }
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Every window by itself.
    fn naive(texts: &[Vec<u8>], least: usize) -> Vec<Vec<bool>> {
        let mut seen: HashMap<&[u8], ()> = HashMap::new();
        let mut cut: Vec<Vec<bool>> = texts.iter().map(|text| vec![false; text.len()]).collect();
        for (text, cut) in texts.iter().zip(&mut cut) {
            for (at, window) in text.windows(least).enumerate() {
                if seen.insert(window, ()).is_some() {
                    cut[at..at + least].fill(true);
                }
            }
        }
        cut
    }

    #[test]
    fn what_is_cut_is_what_every_window_says() {
        let mut state = 9u64;
        let mut draw = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for round in 0..60 {
            let least = 3 + round % 6;
            let texts: Vec<Vec<u8>> = (0..12).map(|_| (0..draw(60)).map(|_| b'a' + draw(3) as u8).collect()).collect();
            let (mut text, mut starts) = (Vec::new(), vec![0]);
            for one in &texts {
                text.extend_from_slice(one);
                text.push(0xff);
                starts.push(text.len() as u64);
            }
            let mut found: Vec<Vec<bool>> = texts.iter().map(|text| vec![false; text.len()]).collect();
            for Cut { document, start, end } in repeated(&text, &starts, least).unwrap() {
                found[document as usize][start as usize..end as usize].fill(true);
            }
            assert_eq!(found, naive(&texts, least), "{round}");
        }
    }
}
