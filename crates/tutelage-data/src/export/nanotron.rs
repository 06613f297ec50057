//! What nanotron and datatrove read (datatrove 0.10, `pipeline/tokens/tokenizer.py`): `.ds` is the ids alone, the very bytes of
//! Megatron's `.bin`; `.ds.index` the end of each document in tokens, u64; `.ds.metadata` three lines for people.

use std::path::Path;

use tutelage_run::{link_or_copy, write_atomic};

use crate::{DataError, Shard};

/// Endings of its files.
pub const NANOTRON_ENDINGS: [&str; 3] = ["ds", "ds.index", "ds.metadata"];

/// Writes `TO.ds`, which is a second name of `STEM.bin` where the system has that, with its index and metadata.
///
/// # Errors
/// When files cannot be written.
pub fn nanotron(stem: &Path, shard: &Shard, to: &Path, tokenizer: &str) -> Result<(), DataError> {
    let [ds, ds_index, ds_metadata] = NANOTRON_ENDINGS.map(|ending| to.with_extension(ending));
    let index: Vec<u8> = (0..shard.n_documents()).flat_map(|i| shard.document(i).end.to_le_bytes()).collect();
    write_atomic(&ds_index, &index)?;
    let tokens = shard.n_tokens();
    let metadata = format!("{tokenizer}|{}\n{tokens}\n{}", shard.width(), metric(tokens));
    write_atomic(&ds_metadata, metadata.as_bytes())?;
    link_or_copy(&stem.with_extension("bin"), &ds)?;
    Ok(())
}

/// A number of tokens in three digits: `1.23 kT`.
fn metric(n: u64) -> String {
    const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let group = n.checked_ilog10().unwrap_or(0) as usize / 3;
    let value = n as f64 / 1000f64.powi(group as i32);
    let digits = 2 - (n.checked_ilog10().unwrap_or(0) as usize % 3);
    format!("{value:.digits$} {}T", PREFIXES[group.min(6)])
}

#[cfg(test)]
mod tests {
    use super::metric;

    #[test]
    fn numbers_are_short() {
        assert_eq!((metric(0), metric(7)), ("0.00 T".to_owned(), "7.00 T".to_owned()));
        assert_eq!((metric(1234), metric(56_700)), ("1.23 kT".to_owned(), "56.7 kT".to_owned()));
        assert_eq!(metric(999_000_000), "999 MT");
    }
}
