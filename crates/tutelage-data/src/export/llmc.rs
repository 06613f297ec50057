//! The token files of llm.c and modded-nanogpt (llm.c, `dev/data/data_common.py`): a head of 256 numbers of four bytes, then the
//! ids in one stream. Version 1 has ids of two bytes, version 7, of Llama 3, four.

use std::path::Path;

use tutelage_run::AtomicFile;

use crate::{DataError, Shard};

/// Writes `FOLDER/NAME_000000.bin` and so on, `file_tokens` tokens each; how many there are.
///
/// # Errors
/// When files cannot be written.
pub fn llmc(shard: &Shard, folder: &Path, name: &str, file_tokens: u32) -> Result<usize, DataError> {
    let (magic, version) = if shard.width() == 4 { (20_240_801u32, 7u32) } else { (20_240_520, 1) };
    let n_files = shard.n_tokens().div_ceil(u64::from(file_tokens));
    for number in 0..n_files {
        let start = number * u64::from(file_tokens);
        let end = (start + u64::from(file_tokens)).min(shard.n_tokens());
        let mut head = [0u32; 256];
        (head[0], head[1], head[2]) = (magic, version, (end - start) as u32);
        let mut file = AtomicFile::create(&folder.join(format!("{name}_{number:06}.bin")))?;
        file.write(&head.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>())?;
        file.write(shard.bytes(start..end))?;
        file.commit()?;
    }
    Ok(n_files as usize)
}
