//! BPE training that goes on from a vocabulary (1508.07909), which the `tokenizers` library's does not.

use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::TokenError;

/// Ids of the kept tokens begin after the three borders.
const FIRST: u32 = 3;

/// Adds `n` tokens: each is the most frequent pair of neighbours of its time, the smallest ids among equals.
pub(super) fn add(
    tokens: &mut Vec<String>,
    merges: &mut Vec<[String; 2]>,
    words: HashMap<Vec<u32>, u64>,
    n: usize,
) -> Result<(), TokenError> {
    let mut words: Vec<(Vec<u32>, u64)> = words.into_iter().collect();
    words.sort_unstable();
    let mut known: HashSet<String> = tokens.iter().cloned().collect();
    let mut counts: HashMap<(u32, u32), u64> = HashMap::new();
    let mut places: HashMap<(u32, u32), HashSet<usize>> = HashMap::new();
    for (at, (word, count)) in words.iter().enumerate() {
        for pair in word.windows(2) {
            *counts.entry((pair[0], pair[1])).or_insert(0) += count;
            places.entry((pair[0], pair[1])).or_default().insert(at);
        }
    }
    type Entry = (u64, std::cmp::Reverse<(u32, u32)>);
    let mut heap: BinaryHeap<Entry> = counts.iter().map(|(&pair, &count)| (count, std::cmp::Reverse(pair))).collect();
    let mut added = 0;
    while added < n {
        let Some((count, std::cmp::Reverse(pair))) = heap.pop() else {
            let found = format!("but the text supports {added} only; add fewer or give more text");
            return Err(TokenError::VocabSize { asked: n, found });
        };
        // Entries of the heap grow old; a pair that is worth less now is looked at later.
        let now = counts.get(&pair).copied().unwrap_or(0);
        if now != count {
            if now > 0 {
                heap.push((now, std::cmp::Reverse(pair)));
            }
            continue;
        }
        if now < 2 {
            heap.clear();
            continue;
        }
        let [left, right] = [pair.0, pair.1].map(|id| tokens[(id - FIRST) as usize].clone());
        let whole = format!("{left}{right}");
        let id = FIRST + tokens.len() as u32;
        if !known.insert(whole.clone()) {
            // Made in another way already: this way would need an id of its own.
            counts.remove(&pair);
            continue;
        }
        tokens.push(whole);
        merges.push([left, right]);
        added += 1;
        let mut changed: Vec<usize> = places.remove(&pair).unwrap_or_default().into_iter().collect();
        changed.sort_unstable();
        for at in changed {
            let (word, count) = &mut words[at];
            for old in word.windows(2) {
                if let Some(total) = counts.get_mut(&(old[0], old[1])) {
                    *total = total.saturating_sub(*count);
                }
            }
            *word = merged(word, pair, id);
            for new in word.windows(2) {
                let new = (new[0], new[1]);
                let total = counts.entry(new).or_insert(0);
                *total += *count;
                places.entry(new).or_default().insert(at);
                heap.push((*total, std::cmp::Reverse(new)));
            }
        }
        counts.remove(&pair);
    }
    Ok(())
}

/// A word with each `pair`, from the left, made one.
fn merged(word: &[u32], pair: (u32, u32), id: u32) -> Vec<u32> {
    let mut out = Vec::with_capacity(word.len());
    let mut at = 0;
    while at < word.len() {
        if at + 1 < word.len() && (word[at], word[at + 1]) == pair {
            out.push(id);
            at += 2;
        } else {
            out.push(word[at]);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_are_those_worked_out_by_hand() {
        let mut tokens: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        let mut merges = Vec::new();
        // "abab" twice, "abc" three times: ab 7 times; then ab-c 3, ab-ab 2; then abab.
        let words = [(vec![3, 4, 3, 4], 2), (vec![3, 4, 5], 3)].into_iter().collect();
        add(&mut tokens, &mut merges, words, 3).unwrap();
        assert_eq!(tokens[3..], ["ab", "abc", "abab"]);
        assert_eq!(merges[1], ["ab", "c"]);
        let words = [(vec![3, 4], 2)].into_iter().collect();
        let error = add(&mut vec!["a".into(), "b".into()], &mut Vec::new(), words, 2).unwrap_err();
        assert!(error.to_string().contains("supports 1 only"), "{error}");
    }
}
