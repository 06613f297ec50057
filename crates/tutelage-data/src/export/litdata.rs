//! litdata's chunks (litdata 0.2, `streaming/writer.py`), which litgpt reads with a `TokensLoader`: a number of documents, where
//! each begins, and the ids; `index.json` names the chunks.
//!
//! Its reader takes whole blocks of a chunk: what is left over at the end of each is not seen, so chunks should be long beside
//! a block.

use std::path::Path;

use serde_json::json;
use tutelage_run::{AtomicFile, FileError, write_atomic};

use crate::{DataError, Shard};

/// Writes a folder of chunks of about `chunk_bytes` bytes, documents whole; how many there are.
///
/// # Errors
/// When `chunk_bytes` is 4 GiB or more, or files cannot be written.
pub fn litdata(shard: &Shard, folder: &Path, chunk_bytes: u64) -> Result<usize, DataError> {
    let width = shard.width() as u64;
    let mut chunks = Vec::new();
    let mut first = 0;
    while first < shard.n_documents() {
        let start = shard.document(first).start;
        let mut end = first + 1;
        while end < shard.n_documents() && (shard.document(end).end - start) * width <= chunk_bytes {
            end += 1;
        }
        let tokens = shard.document(end - 1).end - start;
        let name = format!("chunk-0-{}.bin", chunks.len());
        let bytes = chunk(shard, first..end, &folder.join(&name))?;
        chunks.push(json!({"chunk_bytes": bytes, "chunk_size": end - first, "dim": tokens, "filename": name}));
        first = end;
    }
    // Numbers of element types in its table: int32 and uint16.
    let kind = if width == 4 { 16 } else { 20 };
    let index = json!({
        "chunks": chunks,
        "config": {
            "chunk_bytes": chunk_bytes, "chunk_size": null, "compression": null, "compression_batch_size": null,
            "compression_level": null, "data_format": [format!("no_header_tensor:{kind}")],
            "data_spec": "[1, {\"type\": null, \"context\": null, \"children_spec\": []}]", "encryption": null,
            "ipc_compression": null, "item_loader": "TokensLoader", "types": "tensor",
        },
        "updated_at": "0",
    });
    write_atomic(&folder.join("index.json"), index.to_string().as_bytes())?;
    Ok(chunks.len())
}

fn chunk(shard: &Shard, documents: std::ops::Range<usize>, path: &Path) -> Result<u64, DataError> {
    let n = documents.len();
    let (start, end) = (shard.document(documents.start).start, shard.document(documents.end - 1).end);
    // The number of documents, where each begins in the file, and where the last ends.
    let head = 4 * (n as u64 + 2);
    let width = shard.width() as u64;
    let ends = documents.map(|document| head + (shard.document(document).end - start) * width);
    let offsets: Option<Vec<u32>> = [head].into_iter().chain(ends).map(|offset| u32::try_from(offset).ok()).collect();
    let Some(offsets) = offsets else {
        let found = "would be 4 GiB or more, which the format has no offsets for: set a smaller chunk_bytes";
        return Err(FileError::content(path, found).into());
    };
    let mut file = AtomicFile::create(path)?;
    let numbers = [n as u32].into_iter().chain(offsets);
    file.write(&numbers.flat_map(u32::to_le_bytes).collect::<Vec<_>>())?;
    file.write(shard.bytes(start..end))?;
    file.commit()?;
    Ok(head + (end - start) * width)
}
