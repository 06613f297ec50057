//! Safetensors files: one, or several with an index.

mod read;
mod write;

use tutelage_run::{Hash, Hasher};

pub use read::read_tensors;
pub(crate) use read::{Arrays, WeightFiles, finite};
pub use write::{Named, StoredType, write_tensors};
pub(crate) use write::{Planned, write_folder};

/// The hash of a model's files: of the one file, or of the hashes of several in order.
pub(crate) fn hash_of_files(hashes: &[Hash]) -> Hash {
    if let [one] = hashes {
        return one.clone();
    }
    let mut hasher = Hasher::default();
    for hash in hashes {
        hasher.part(hash.to_string().as_bytes());
    }
    hasher.finish()
}
