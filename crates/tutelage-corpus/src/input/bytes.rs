//! The bytes of a file, counted and hashed on their way, and decompressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tutelage_run::{ContentHasher, FileError, Hash};

use super::gunzip::Gunzip;
use super::units::Packing;

/// What has been read of a file so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    bytes: AtomicU64,
    hasher: Mutex<ContentHasher>,
}

impl Watch {
    /// Bytes read, as they are in the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Hash of the bytes read.
    pub(crate) fn hash(&self) -> Hash {
        self.hasher.lock().unwrap_or_else(PoisonError::into_inner).finish()
    }
}

/// The system's refusal to read, wrapped so that it is told from damage, which decompressors report the same way.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(io::Error);

struct WatchedFile {
    file: File,
    watch: Arc<Watch>,
}

impl Read for WatchedFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = loop {
            match self.file.read(out) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(|error| io::Error::other(Refused(error)))?,
            }
        };
        self.watch.bytes.fetch_add(read as u64, Ordering::Relaxed);
        self.watch.hasher.lock().unwrap_or_else(PoisonError::into_inner).update(&out[..read]);
        Ok(read)
    }
}

/// Opens a file; its decompressed bytes come out of the reader.
///
/// An error of the reader is either the system's ([`refusal`] tells) or says that the content is damaged. After damage the
/// reader goes on at the next place that can be read, if there is any.
pub(crate) fn open(path: &Path, packing: Packing, watch: Arc<Watch>) -> Result<Box<dyn BufRead + Send>, FileError> {
    let file = File::open(path).map_err(FileError::io("read", path))?;
    let raw = BufReader::with_capacity(1 << 18, WatchedFile { file, watch });
    Ok(match packing {
        Packing::Plain => Box::new(raw),
        Packing::Gzip => Box::new(BufReader::with_capacity(1 << 18, Gunzip::new(raw))),
        Packing::Zstd => {
            let decoder = zstd::Decoder::with_buffer(raw).map_err(FileError::io("read", path))?;
            Box::new(BufReader::with_capacity(1 << 18, Ending { inner: decoder, ended: false }))
        }
    })
}

/// Nothing comes after damage.
struct Ending<R> {
    inner: R,
    ended: bool,
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let read = self.inner.read(out);
        self.ended = read.is_err();
        read
    }
}

/// The system's refusal, if this is one; otherwise the content is damaged.
pub(crate) fn refusal(error: io::Error, path: &Path) -> Result<io::Error, FileError> {
    match error.downcast::<Refused>() {
        Ok(Refused(error)) => Err(FileError::io("read", path)(error)),
        Err(error) => Ok(error),
    }
}

/// Reads to the end, so that the hash is that of the whole file.
pub(crate) fn drain(reader: &mut dyn BufRead, path: &Path) -> Result<(), FileError> {
    loop {
        match reader.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(bytes) => {
                let len = bytes.len();
                reader.consume(len);
            }
            Err(error) => {
                refusal(error, path)?;
            }
        }
    }
}
