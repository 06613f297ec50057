//! The token files of llm.c and modded-nanogpt (llm.c, `dev/data/data_common.py`): a head of 256 numbers of four bytes, then the
//! ids in one stream. Version 1 has ids of two bytes, version 7, of Llama 3, four.

use std::path::Path;

use tutelage_run::{AtomicFile, FileError};

use crate::{DataError, Shard};

/// Writes `FOLDER/NAME_000000.bin` and so on, `file_tokens` tokens each; how many there are.
///
/// # Errors
/// When the folder has files of an export into more of them, which readers of `NAME_*.bin` would take for part of this one; or files
/// cannot be written.
pub fn llmc(shard: &Shard, folder: &Path, name: &str, file_tokens: u32) -> Result<usize, DataError> {
    let (magic, version) = if shard.width() == 4 { (20_240_801u32, 7u32) } else { (20_240_520, 1) };
    let n_files = shard.n_tokens().div_ceil(u64::from(file_tokens));
    let path = |number: u64| folder.join(format!("{name}_{number:06}.bin"));
    if path(n_files).exists() {
        let found =
            format!("is left of another export, and this one has {n_files} files; remove it and those after it");
        return Err(FileError::content(&path(n_files), found).into());
    }
    for number in 0..n_files {
        let start = number * u64::from(file_tokens);
        let end = (start + u64::from(file_tokens)).min(shard.n_tokens());
        let mut head = [0u32; 256];
        (head[0], head[1], head[2]) = (magic, version, (end - start) as u32);
        let mut file = AtomicFile::create(&path(number))?;
        file.write(&head.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>())?;
        file.write(shard.bytes(start..end))?;
        file.commit()?;
    }
    Ok(n_files as usize)
}
