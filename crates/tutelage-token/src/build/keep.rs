//! The most used tokens of a base, each with what it is merged from.

use std::collections::{HashMap, HashSet};

use super::Parts;
use crate::TokenError;

/// `n` entries and the merges among them, in the base's order.
pub(super) fn most_used(
    parts: &Parts,
    counts: &[u64],
    n: usize,
) -> Result<(Vec<String>, Vec<[String; 2]>), TokenError> {
    let ids: HashMap<&str, usize> =
        parts.tokens.iter().enumerate().filter_map(|(id, token)| Some((token.as_deref()?, id))).collect();
    let bytes: Vec<usize> = ids.iter().filter(|(token, _)| token.chars().count() == 1).map(|(_, &id)| id).collect();
    let refuse = |found: String| Err(TokenError::VocabSize { asked: n, found });
    if n < bytes.len() {
        return refuse(format!("but the base's bytes alone take {}; keep more", bytes.len()));
    }
    if n > ids.len() {
        return refuse(format!("but the base has {} tokens that are not special; keep fewer", ids.len()));
    }
    // How each token is first made.
    let mut made_of: HashMap<usize, [usize; 2]> = HashMap::new();
    for [left, right] in &parts.merges {
        let whole = format!("{left}{right}");
        if let (Some(&whole), Some(&left), Some(&right)) =
            (ids.get(whole.as_str()), ids.get(left.as_str()), ids.get(right.as_str()))
        {
            made_of.entry(whole).or_insert([left, right]);
        }
    }
    let mut kept: HashSet<usize> = bytes.into_iter().collect();
    let mut order: Vec<usize> = ids.values().copied().collect();
    order.sort_unstable_by_key(|&id| (std::cmp::Reverse(counts[id]), id));
    for id in order {
        let mut wanted = Vec::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if !kept.contains(&id) && !wanted.contains(&id) {
                wanted.push(id);
                open.extend(made_of.get(&id).into_iter().flatten());
            }
        }
        // What does not fit with all it is made of gives way to smaller ones.
        if kept.len() + wanted.len() <= n {
            kept.extend(wanted);
        }
        if kept.len() == n {
            break;
        }
    }
    let name = |id: &usize| parts.tokens[*id].clone();
    let mut kept_ids: Vec<usize> = kept.iter().copied().collect();
    kept_ids.sort_unstable();
    let tokens: Vec<String> = kept_ids.iter().filter_map(name).collect();
    let names: HashSet<&str> = tokens.iter().map(String::as_str).collect();
    let merges = parts.merges.iter().filter(|[left, right]| {
        let whole = format!("{left}{right}");
        [left.as_str(), right, &whole].iter().all(|token| names.contains(token))
    });
    let merges = merges.cloned().collect();
    Ok((tokens, merges))
}
