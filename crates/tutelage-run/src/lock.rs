//! One process a run folder.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::FileError;

/// Held while a process works in a folder; the system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the folder.
    ///
    /// # Errors
    /// When another process has it, or the lock file cannot be made.
    pub fn acquire(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join(".lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(FileError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let holder = match pid.trim() {
                    "" => String::new(),
                    pid => format!(" (process {pid})"),
                };
                return Err(FileError::InUse { path: folder.to_path_buf(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(FileError::io("lock", &path)(error)),
        }
        // Only a hint for the message above, so a failure to write it is not one.
        let _ = file.set_len(0);
        let _ = file.rewind();
        let _ = write!(file, "{}", std::process::id());
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_is_gone() {
        let folder = std::env::temp_dir().join(format!("tutelage-lock-{}", std::process::id()));
        crate::create_folder(&folder).unwrap();
        let first = RunLock::acquire(&folder).unwrap();
        let refusal = RunLock::acquire(&folder).unwrap_err();
        assert!(refusal.is_request() && refusal.to_string().contains(&std::process::id().to_string()));
        drop(first);
        RunLock::acquire(&folder).unwrap();
        crate::remove_folder(&folder).unwrap();
    }
}
